"""`/v1/jobs`: captures that nobody waits for on an open connection."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import JSONResponse, Response

from calotype.accounts.keys import Principal
from calotype.capture.result import CaptureMeta
from calotype.delivery.names import Name, idempotency_name
from calotype.errors import InvalidRequest, NotFound, ShuttingDown
from calotype.http.body import read_json_object
from calotype.http.credentials import key_in_request
from calotype.http.job_bodies import ParsedJobs, keys_in, parse_batch, parse_job
from calotype.http.picture import NO_STORE, JsonWithPicture, RawPicture
from calotype.http.record import record_of
from calotype.http.screenshot import authenticated, idempotency_key, is_strict
from calotype.http.services import InFlightParameter, Services, ServicesParameter
from calotype.jobs.desk import Accepted, Seen
from calotype.jobs.view import BatchAcceptedAnswer, JobAcceptedAnswer, accepted, job_json, job_of
from calotype.request.wording import detail
from calotype.schema import CANCELLED, DONE, FAILED, QUEUED, RUNNING


class _JobIdConvertor(StringConvertor):
    """Any text but the name of the path beside it, which answers 405 to what is no POST."""

    regex = "(?!batch$)[^/]+"


register_url_convertor("job_id", _JobIdConvertor())
router = APIRouter()

_GET = ["GET", "HEAD"]
WAIT_MAX_S = 60
LIST_MAX = 100
STATUSES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED)
_LIST_DEFAULT = 20
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MARK = "\0picture\0"


@router.post("/v1/jobs")
async def post_job(request: Request, services: ServicesParameter) -> Response:
    body = await read_json_object(request, services.settings.server.max_body_bytes)
    caller = await authenticated(request, services, keys_in(body))
    parsed = parse_job(
        body,
        strict=is_strict(request),
        max_priority=caller.plan.max_priority,
        check_webhook=services.job_desk.webhook_check(caller),
    )
    done = await _accept(request, services, caller, parsed)
    job = accepted(done.job_ids[0])
    answer = JobAcceptedAnswer(**job.model_dump(), warnings=parsed.warnings)
    return JSONResponse(answer.model_dump(), 202, {"Location": job.status_url, **_headers(request, done)})


@router.post("/v1/jobs/batch")
async def post_batch(request: Request, services: ServicesParameter) -> Response:
    body = await read_json_object(request, services.settings.server.max_body_bytes)
    caller = await authenticated(request, services, keys_in(body))
    # In a thread: 1,000 jobs take some tenths of a second, in which nothing else would move.
    parsed = await asyncio.to_thread(
        parse_batch,
        body,
        strict=is_strict(request),
        max_priority=caller.plan.max_priority,
        check_webhook=services.job_desk.webhook_check(caller),
    )
    done = await _accept(request, services, caller, parsed)
    answer = BatchAcceptedAnswer(jobs=[accepted(job_id) for job_id in done.job_ids], warnings=parsed.warnings)
    return JSONResponse(answer.model_dump(), 202, _headers(request, done))


@router.api_route("/v1/jobs", methods=_GET)
async def list_jobs(request: Request, services: ServicesParameter) -> Response:
    caller = await authenticated(request, services, request.query_params.get("api_key"))
    status, limit, cursor = _list_parameters(request)
    rows = await services.job_desk.listed(caller, status=status, cursor=cursor, at_most=limit + 1)
    if rows is None:
        raise _invalid("cursor", "is not one that this list has given, or the job that it names is not kept any more")
    listed = [job_json(job_of(row)) for row in rows[:limit]]
    next_cursor = rows[limit - 1].id if len(rows) > limit else None
    return JSONResponse({"ok": True, "jobs": listed, "next_cursor": next_cursor}, headers=NO_STORE)


@router.api_route("/v1/jobs/{job_id:job_id}", methods=_GET)
async def get_job(request: Request, job_id: str, services: ServicesParameter, in_flight: InFlightParameter) -> Response:
    account_id = await _reader(request, services)
    job_id = _checked(job_id)
    wait_s = _wait_s(request)
    desk = services.job_desk
    if not wait_s:
        return await _answer(services, await desk.see(job_id, account_id=account_id))
    try:
        seen = await in_flight.run(
            lambda: desk.wait(job_id, wait_s, account_id=account_id), request.receive, is_mere_wait=True
        )
    except ShuttingDown:
        seen = await desk.see(job_id, account_id=account_id)
    return await _answer(services, seen)


@router.api_route("/v1/jobs/{job_id:job_id}/image", methods=_GET)
async def get_job_image(request: Request, job_id: str, services: ServicesParameter) -> Response:
    seen = await services.job_desk.see(_checked(job_id), account_id=await _reader(request, services))
    if seen.row.status != DONE:
        raise NotFound(f"The job is {seen.row.status}; it has no image{'' if seen.row.finished_us else ' yet'}.")
    image = await services.job_desk.picture(seen)
    if image is None:
        raise NotFound("The job's image is gone.")
    content = seen.row.result
    return RawPicture(image, content["content_type"], CaptureMeta.model_validate(content["meta"]), {})


@router.delete("/v1/jobs/{job_id:job_id}")
async def delete_job(request: Request, job_id: str, services: ServicesParameter) -> Response:
    caller = await authenticated(request, services, request.query_params.get("api_key"))
    seen = await services.job_desk.cancel(_checked(job_id), account_id=caller.account_id)
    return await _answer(services, seen)


async def _accept(request: Request, services: Services, caller: Principal, parsed: ParsedJobs) -> Accepted:
    telemetry = services.telemetry
    done = await services.job_desk.accept(
        parsed.wanted,
        caller,
        name=_name(request, parsed),
        note=record_of(request.scope).note,
        traceparent=telemetry.traces.traceparent(),
    )
    if not done.is_replay:
        telemetry.metrics.jobs_enqueued.inc(len(done.job_ids))
    return done


def _name(request: Request, parsed: ParsedJobs) -> Name | None:
    key = idempotency_key(request)
    if key is None:
        return None
    return idempotency_name(key, [[job.body, job.priority, job.webhook] for job in parsed.wanted])


def _headers(request: Request, done: Accepted) -> dict[str, str]:
    headers = dict(NO_STORE)
    if is_strict(request):
        headers["Preference-Applied"] = "handling=strict"
    if done.is_replay:
        headers["Idempotency-Replayed"] = "true"
    return headers


async def _reader(request: Request, services: Services) -> str | None:
    """Whose jobs the caller may see; None: anybody's whose id he knows."""
    elsewhere = request.query_params.get("api_key")
    if not services.settings.jobs.require_key and key_in_request(request.headers, elsewhere) is None:
        return None
    caller = await authenticated(request, services, elsewhere)
    return caller.account_id if services.settings.jobs.require_key else None


async def _answer(services: Services, seen: Seen) -> Response:
    deliveries = await services.job_desk.deliveries(seen)
    fields = job_json(job_of(seen.row, queue_position=seen.queue_position, deliveries=deliveries))
    if seen.row.status != DONE:
        return JSONResponse(fields, headers=NO_STORE)
    if (url := await services.job_desk.image_url(seen)) is not None:
        fields["result"]["image_url"] = url
    image = await services.job_desk.picture(seen)
    if image is None:
        fields["result"]["image_base64"] = None
        return JSONResponse(fields, headers=NO_STORE)
    fields["result"] = {"image_base64": _MARK, **fields["result"]}
    before, _, after = to_json(fields).partition(to_json(_MARK))
    return JsonWithPicture(before + b'"', image, b'"' + after, {})


def _checked(job_id: str) -> str:
    """
    Raises:
        NotFound: it is no job's id.
    """
    try:
        return str(uuid.UUID(job_id))
    except ValueError:
        raise NotFound("There is no such job, or not any more.") from None


def _wait_s(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    wait_s = float(text) if _DECIMAL.fullmatch(text) else -1
    if not 0 <= wait_s <= WAIT_MAX_S:
        raise _invalid("wait", f"must be a number of seconds from 0 to {WAIT_MAX_S}")
    return wait_s


def _list_parameters(request: Request) -> tuple[str | None, int, str | None]:
    status, cursor = request.query_params.get("status"), request.query_params.get("cursor")
    text = request.query_params.get("limit", str(_LIST_DEFAULT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    problems: list[dict[str, Any]] = []
    if cursor is not None and not _UUID.fullmatch(cursor):
        problems.append(detail("cursor", "is not one that this list has given", "wrong_value"))
    if status is not None and status not in STATUSES:
        problems.append(detail("status", f"must be one of {', '.join(STATUSES)}", "wrong_value"))
    if not 1 <= limit <= LIST_MAX:
        problems.append(detail("limit", f"must be an integer from 1 to {LIST_MAX}", "out_of_bounds"))
    if problems:
        raise InvalidRequest(str(problems[0]["message"]), details=problems)
    return status, limit, cursor


def _invalid(field: str, message: str) -> InvalidRequest:
    entry = detail(field, message, "wrong_value")
    return InvalidRequest(str(entry["message"]), details=[entry])
