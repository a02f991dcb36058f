"""What the client does, without doing it: each flow asks for calls and pauses and is given their outcome.

So there is one implementation for two clients (`synchronous`, `asynchronous`), which only carry the steps out.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import httpx

from calotype.client.answers import Job, Screenshot, job_of, screenshot_of
from calotype.client.errors import ApiError, ClientError, NoAnswer, WaitEnded, error_of

Result = TypeVar("Result")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request."""

    method: str
    path: str
    body: Json | None = None
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


Outcome = httpx.Response | httpx.TransportError | None
"""Of a call its answer, or why there is none; of a pause nothing."""
Flow = Generator[Call | Pause, Outcome, Result]
JobFlow = Generator[Call | Pause | Job, Outcome, None]
"""Also gives jobs, one by one."""
OnProgress = Callable[[int, int], None]
"""Told how many jobs of a batch are final, and how many there are."""

BATCH_MAX = 1_000  # of the server, contract section 1
_BATCH_MAX_BYTES = 4 * 2**20  # half of what a server takes unless told otherwise
_LONG_POLL_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 30.0
# What may succeed at once if it is tried again. `capture_timeout` and `target_unreachable` speak of the page.
_TRIED_AGAIN = frozenset({"rate_limited", "overloaded", "shutting_down", "page_crashed", "internal_error"})
_GATEWAY_STATUSES = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how often, one call is tried."""

    timeout_s: float
    """In all, pauses included."""
    retries: int
    clock: Callable[[], float] = time.monotonic
    spread: Callable[[], float] = random.random

    def pause_s(self, failure: ClientError, tries: int) -> float | None:
        """How long to wait after so many tries; None: it is given up."""
        if tries > self.retries:
            return None
        if isinstance(failure, ApiError):
            is_gateway = failure.code == "unknown" and failure.status in _GATEWAY_STATUSES
            if not (failure.code in _TRIED_AGAIN or is_gateway):
                return None
            if failure.retry_after_s is not None:
                return failure.retry_after_s + self.spread() * _FIRST_PAUSE_S  # not all at the same moment
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (tries - 1))
        return pause_s * (0.5 + self.spread() / 2)


def exchange(call: Call, patience: Patience) -> Flow[httpx.Response]:
    """Make the call, again where that helps.

    Raises:
        ApiError, NoAnswer
    """
    ends_at = patience.clock() + patience.timeout_s
    tries = 0
    while True:
        timeout_s = max(0.001, ends_at - patience.clock())
        outcome = yield Call(call.method, call.path, call.body, call.params, call.headers, timeout_s)
        tries += 1
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return outcome
        failure = _failure_of(outcome)
        pause_s = patience.pause_s(failure, tries)
        if pause_s is None or patience.clock() + pause_s >= ends_at:
            raise failure from outcome if isinstance(outcome, httpx.TransportError) else None
        yield Pause(pause_s)


def screenshot(request: Json, patience: Patience, *, idempotency_key: str | None) -> Flow[Screenshot]:
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    answer = yield from exchange(Call("POST", "/v1/screenshot", request, headers=headers), patience)
    return screenshot_of(_json(answer))


def create_job(order: Json, patience: Patience, *, idempotency_key: str | None) -> Flow[Job]:
    # With a key a retry whose first answer was lost makes no second job.
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    answer = yield from exchange(Call("POST", "/v1/jobs", order, headers=headers), patience)
    return job_of(_json(answer))


def get_job(job_id: str, patience: Patience, *, wait_s: float = 0) -> Flow[Job]:
    params = {"wait": f"{wait_s:.3f}"} if wait_s else {}
    answer = yield from exchange(Call("GET", f"/v1/jobs/{job_id}", params=params), patience)
    return job_of(_json(answer))


def wait_for_job(job_id: str, patience: Patience, *, timeout_s: float) -> Flow[Job]:
    """
    Raises:
        WaitEnded: it is not final in time.
    """
    ends_at = patience.clock() + timeout_s
    while True:
        left_s = max(0.0, ends_at - patience.clock())
        job = yield from get_job(job_id, patience, wait_s=min(_LONG_POLL_S, left_s))
        if job.is_final:
            return job
        if patience.clock() >= ends_at:
            raise WaitEnded(job)


def cancel_job(job_id: str, patience: Patience) -> Flow[Job]:
    return job_of(_json((yield from exchange(Call("DELETE", f"/v1/jobs/{job_id}"), patience))))


def job_image(job_id: str, patience: Patience) -> Flow[bytes]:
    return (yield from exchange(Call("GET", f"/v1/jobs/{job_id}/image"), patience)).content


def list_jobs(patience: Patience, *, status: str | None) -> JobFlow:
    params = {"limit": "100"} if status is None else {"limit": "100", "status": status}
    while True:
        page = _json((yield from exchange(Call("GET", "/v1/jobs", params=params), patience)))
        for job in page["jobs"]:
            yield job_of(job)
        if page["next_cursor"] is None:
            return
        params = {**params, "cursor": page["next_cursor"]}


def batch(
    requests: Iterable[Json],
    patience: Patience,
    *,
    priority: int,
    timeout_s: float,
    on_progress: OnProgress | None,
) -> JobFlow:
    """Queue all requests, then give each job once it is final, in the order of the requests.

    Raises:
        WaitEnded: one is not final `timeout_s` after all were queued.
    """
    job_ids: list[str] = []
    for part in _parts(requests):
        body: Json = {"jobs": [{"request": request, "priority": priority} for request in part]}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        answer = yield from exchange(Call("POST", "/v1/jobs/batch", body, headers=headers), patience)
        job_ids += [job["job_id"] for job in _json(answer)["jobs"]]
    ends_at = patience.clock() + timeout_s
    for number, job_id in enumerate(job_ids, start=1):
        job = yield from wait_for_job(job_id, patience, timeout_s=max(0.0, ends_at - patience.clock()))
        if on_progress is not None:
            on_progress(number, len(job_ids))
        yield job


def get_json(call: Call, patience: Patience) -> Flow[Json]:
    return _json((yield from exchange(call, patience)))


def _parts(requests: Iterable[Json]) -> Generator[Sequence[Json]]:
    """Parts that one request to the server can carry."""
    rest = iter(requests)
    part: list[Json] = []
    size_bytes = 0
    for request in rest:
        own_bytes = len(json.dumps(request)) + 64
        if part and (len(part) == BATCH_MAX or size_bytes + own_bytes > _BATCH_MAX_BYTES):
            yield part
            part, size_bytes = [], 0
        part.append(request)
        size_bytes += own_bytes
    if part:
        yield part


def _failure_of(outcome: Outcome) -> ClientError:
    if not isinstance(outcome, httpx.Response):
        return NoAnswer(f"No answer: {outcome or type(outcome).__name__}")
    try:
        body = outcome.json()
    except ValueError:
        body = None
    return error_of(outcome.status_code, outcome.headers, body)


def _json(answer: httpx.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NoAnswer(f"{answer.url} is not calotype's: it answered something else than its JSON.")
    return cast("Json", body)
