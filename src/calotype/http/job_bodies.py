"""What `POST /v1/jobs` and `/v1/jobs/batch` take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import ada_url

from calotype.errors import CalotypeError, Detail, InvalidRequest
from calotype.jobs.desk import Wanted
from calotype.request import CaptureRequest, Warning_, parse_body
from calotype.request.parse import DETAILS_MAX
from calotype.request.wording import detail, summary
from calotype.schema import FINAL

BATCH_MAX = 1_000
_PRIORITY_MIN = -(2**31)
_JOB_FIELDS = ("request", "priority", "webhook", "api_key")
_BATCH_FIELDS = ("jobs", "api_key")
_WEBHOOK_FIELDS = ("url", "events")

CheckWebhook = Callable[[str], None]
"""Raises an error of the table if this server does not post there."""


@dataclass(frozen=True, slots=True)
class ParsedJobs:
    """Valid jobs, and what parsing them has warned of; a warning's field begins with the job's place in a batch."""

    wanted: list[Wanted]
    warnings: list[Warning_]


def keys_in(body: Mapping[str, Any]) -> object:
    """The API key that a body carries, beside `request` or in it, of a single job or a batch's; checked by who asks.

    Raises:
        InvalidRequest: there are two different ones.
    """
    jobs = body.get("jobs")
    items = [body, *(cast("list[Any]", jobs) if isinstance(jobs, list) else ())]
    keys = [key for item in items if isinstance(item, Mapping) for key in _keys_of(cast("Mapping[str, Any]", item))]
    different = [key for key in keys if key != keys[0]]
    if different:
        message = "The request carries two different API keys; send one."
        raise InvalidRequest(message, details=[{"field": "api_key", "message": message, "type": "contradiction"}])
    return keys[0] if keys else None


def parse_job(body: Mapping[str, Any], *, strict: bool, max_priority: int, check_webhook: CheckWebhook) -> ParsedJobs:
    """
    Raises:
        InvalidUrl: the URL is the only problem.
        InvalidRequest: with every problem in `details`.
    """
    return _parsed([("", body)], [], [], strict=strict, max_priority=max_priority, check_webhook=check_webhook)


def parse_batch(body: Mapping[str, Any], *, strict: bool, max_priority: int, check_webhook: CheckWebhook) -> ParsedJobs:
    """As `parse_job`, for `{"jobs": [job, …]}`."""
    jobs = body.get("jobs")
    if not isinstance(jobs, list):
        raise _invalid([detail("jobs", "must be a list of jobs, each as for `POST /v1/jobs`", "wrong_type")])
    listed = cast("list[Any]", jobs)
    if not 1 <= len(listed) <= BATCH_MAX:
        raise _invalid([detail("jobs", f"must have 1 to {BATCH_MAX} jobs, not {len(listed)}", "out_of_bounds")])
    warnings: list[Warning_] = []
    problems = list(_unknown(body, _BATCH_FIELDS, "", warnings, strict=strict))
    items = [(f"jobs[{number}].", job) for number, job in enumerate(listed)]
    return _parsed(items, warnings, problems, strict=strict, max_priority=max_priority, check_webhook=check_webhook)


def _parsed(
    items: Sequence[tuple[str, Any]],
    warnings: list[Warning_],
    problems: list[Detail],
    *,
    strict: bool,
    max_priority: int,
    check_webhook: CheckWebhook,
) -> ParsedJobs:
    """Parse the jobs; `warnings` and `problems` are those found around them."""
    wanted: list[Wanted] = []
    kinds: set[type[CalotypeError]] = set()
    for where, item in items:
        if not isinstance(item, Mapping):
            problems.append(detail(where.rstrip("."), "must be an object", "wrong_type"))
            continue
        job = cast("Mapping[str, Any]", item)
        found = [
            *_unknown(job, _JOB_FIELDS, where, warnings, strict=strict),
            *_priority(job, where, max_priority),
            *_webhook(job, where, warnings, strict=strict),
        ]
        if isinstance(url := _webhook_url(job), str):
            try:
                check_webhook(url)
            except CalotypeError as error:
                kinds.add(type(error))
                found += [{**each, "field": f"{where}webhook.url"} for each in error.details]
        try:
            warnings += _request(job, where, strict=strict)
        except CalotypeError as error:
            kinds.add(type(error))
            found += [_prefixed(each, where) for each in error.details]
        problems += found
        if not found:
            priority = _priority_of(job, max_priority)
            wanted.append(Wanted(_kept_request(job["request"]), priority, _kept_webhook(job.get("webhook"))))
    if problems:
        raise _invalid(problems, kinds.pop() if len(kinds) == len(problems) == 1 else InvalidRequest)
    if len(warnings) > DETAILS_MAX:
        message = f"{len(warnings) - DETAILS_MAX} more warnings are not listed."
        warnings[DETAILS_MAX:] = [{"code": "truncated", "field": "", "message": message}]
    return ParsedJobs(wanted, warnings)


def _request(job: Mapping[str, Any], where: str, *, strict: bool) -> list[Warning_]:
    request = job.get("request")
    if not isinstance(request, Mapping):
        message = "is required: an object such as for `POST /v1/screenshot`"
        kind = "missing" if request is None else "wrong_type"
        raise InvalidRequest(details=[{"field": "", "message": f"`{where}request` {message}.", "type": kind}])
    parsed = parse_body(cast("Mapping[str, Any]", request), strict=strict)
    try:
        json.dumps(request, allow_nan=False)
    except ValueError:  # 1e999 in a field that is not known, say: JSON, but the database can't keep it
        message = f"`{where}request` has a number that is too large."
        raise InvalidRequest(details=[{"field": "", "message": message, "type": "out_of_bounds"}]) from None
    return [_prefixed(each, where) for each in parsed.warnings]


def _priority(job: Mapping[str, Any], where: str, max_priority: int) -> Iterator[Detail]:
    priority = _priority_of(job, max_priority)
    if isinstance(priority, bool) or not isinstance(priority, int):
        yield detail(f"{where}priority", "must be an integer; higher goes first", "wrong_type")
    elif not _PRIORITY_MIN <= priority <= max_priority:
        message = f"must be from {_PRIORITY_MIN} to {max_priority}, the highest of your plan"
        yield detail(f"{where}priority", message, "out_of_bounds")


def _priority_of(job: Mapping[str, Any], max_priority: int) -> Any:
    return job.get("priority", min(0, max_priority))


def _webhook(job: Mapping[str, Any], where: str, warnings: list[Warning_], *, strict: bool) -> Iterator[Detail]:
    webhook = job.get("webhook")
    if webhook is None:
        return
    if not isinstance(webhook, Mapping):
        yield detail(f"{where}webhook", 'must be an object such as {"url": "https://example.com/hook"}', "wrong_type")
        return
    given = cast("Mapping[str, Any]", webhook)
    yield from _unknown(given, _WEBHOOK_FIELDS, f"{where}webhook.", warnings, strict=strict)
    url, events = given.get("url"), given.get("events")
    if not isinstance(url, str):
        yield detail(f"{where}webhook.url", "must be a URL", "missing" if url is None else "wrong_type")
    known = ", ".join(FINAL)
    if events is not None and not (
        isinstance(events, list) and events and all(each in FINAL for each in cast("list[Any]", events))
    ):
        yield detail(f"{where}webhook.events", f"must be a list of one or more of {known}", "wrong_type")


def _kept_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """A valid request without the key. Of an unknown field only the name, for its warning: its value may be a key under
    the name that another service has for it."""
    known = CaptureRequest.model_fields
    return {name: value if name in known else None for name, value in request.items() if name != "api_key"}


def _kept_webhook(webhook: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What is known of a valid webhook, its URL as it is called: text as it came may have what no database keeps."""
    if webhook is None:
        return None
    events = list(dict.fromkeys(webhook.get("events") or ())) or None  # each once, however often it was sent
    return {"url": ada_url.URL(webhook["url"]).href, **({} if events is None else {"events": events})}


def _webhook_url(job: Mapping[str, Any]) -> object:
    webhook = job.get("webhook")
    return cast("Mapping[str, Any]", webhook).get("url") if isinstance(webhook, Mapping) else None


def _unknown(
    given: Mapping[str, Any], known: Sequence[str], where: str, warnings: list[Warning_], *, strict: bool
) -> Iterator[Detail]:
    for name in given:
        if name in known:
            continue
        shown = name if len(name) <= 64 else f"{name[:63]}…"
        message = f"is unknown here; known are {', '.join(known)}"
        if strict:
            yield detail(f"{where}{shown}", message, "unknown_field")
        else:
            warnings.append({"code": "unknown_field", "field": f"{where}{shown}", "message": f"`{shown}` {message}"})


def _keys_of(job: Mapping[str, Any]) -> Iterator[Any]:
    for place in (job, job.get("request")):
        if isinstance(place, Mapping):
            key: Any = cast("Mapping[str, Any]", place).get("api_key")
            if key is not None and key != "":
                yield key


def _prefixed(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An error or warning of a request, as one of the job that it is in."""
    field = entry["field"]
    message = str(entry["message"]).replace(f"`{field}`", f"`{where}request.{field}`", 1)
    return {**entry, "field": f"{where}request.{field}".rstrip("."), "message": message}


def _invalid(problems: list[Detail], kind: type[CalotypeError] = InvalidRequest) -> CalotypeError:
    listed = problems[:DETAILS_MAX]
    if len(problems) > DETAILS_MAX:
        listed.append(detail("", f"has {len(problems) - DETAILS_MAX} more problems that are not listed", "more"))
    return kind(summary(listed), details=listed)
