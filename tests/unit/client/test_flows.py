"""What the client does next, answer by answer, without a server and without time passing."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from calotype.client import (
    ApiError,
    Job,
    NoAnswer,
    Overloaded,
    RateLimited,
    RequestRefused,
    ServerFault,
    WaitEnded,
    flows,
)
from calotype.client.flows import Call, Outcome, Patience, Pause


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Server:
    """Plays the server: gives the outcomes in turn, and keeps what was asked and how long was waited."""

    def __init__(self, clock: Clock, *outcomes: Outcome) -> None:
        self.clock = clock
        self.outcomes = iter(outcomes)
        self.calls: list[Call] = []
        self.pauses: list[float] = []
        self.jobs: list[Job] = []

    def play(self, flow: Any) -> Any:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = None
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.clock.now_s += step.seconds
            elif isinstance(step, Job):
                self.jobs.append(step)
            else:
                self.calls.append(step)
                self.clock.now_s += 0.01
                outcome = next(self.outcomes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> Patience:
    return Patience(timeout_s=60, retries=3, clock=clock, spread=lambda: 0.5)


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body or {}, headers=named, request=httpx.Request("GET", "http://server/"))


def failure(status: int, code: str, **headers: str) -> httpx.Response:
    error = {"code": code, "message": "It is so.", "details": [{"field": "url"}], "request_id": "r1"}
    return answer(status, {"ok": False, "error": error}, **headers)


def job(status: str, job_id: str = "j1") -> httpx.Response:
    result = {"image_base64": base64.b64encode(b"picture").decode(), "content_type": "image/png", "meta": {"width": 1}}
    done = {"result": result} if status == "done" else {}
    return answer(200, {"job_id": job_id, "status": status, "priority": 0, "attempts": 1, **done})


LOST = httpx.ReadError("cut")


@pytest.mark.parametrize(
    ("outcome", "pause_s"),
    [
        (failure(429, "rate_limited", retry_after="7"), 7.125),
        (failure(503, "overloaded", retry_after="1"), 1.125),
        (failure(500, "page_crashed"), 0.1875),
        (answer(502, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 0.1875),
        (LOST, 0.1875),
    ],
)
def test_what_may_pass_is_tried_again(patience: Patience, clock: Clock, outcome: Outcome, pause_s: float) -> None:
    server = Server(clock, outcome, answer(200, {"ok": True}))
    assert server.play(flows.get_json(Call("GET", "/v1/usage"), patience)) == {"ok": True}
    assert server.pauses == [pause_s]
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (failure(400, "invalid_url"), RequestRefused),
        (failure(404, "not_found"), RequestRefused),
        (failure(422, "quota_reached"), ApiError),
        (failure(500, "capture_timeout"), ServerFault),
        (answer(500), ServerFault),
    ],
)
def test_what_stays_is_raised_at_once(patience: Patience, clock: Clock, outcome: Outcome, kind: type[ApiError]) -> None:
    server = Server(clock, outcome)
    with pytest.raises(kind) as raised:
        server.play(flows.get_json(Call("GET", "/v1/usage"), patience))
    assert (len(server.calls), server.pauses) == (1, [])
    if raised.value.code != "unknown":
        assert (raised.value.message, raised.value.request_id) == ("It is so.", "r1")
        assert raised.value.details == [{"field": "url"}]


def test_retries_end_with_their_number(patience: Patience, clock: Clock) -> None:
    server = Server(clock, *[failure(503, "overloaded", retry_after="2")] * 4)
    with pytest.raises(Overloaded):
        server.play(flows.get_json(Call("GET", "/v1/usage"), patience))
    assert len(server.calls) == 4


def test_retries_end_with_the_time(patience: Patience, clock: Clock) -> None:
    server = Server(clock, failure(429, "rate_limited", retry_after="3600"))
    with pytest.raises(RateLimited) as raised:
        server.play(flows.get_json(Call("GET", "/v1/usage"), patience))
    assert raised.value.retry_after_s == 3600
    assert server.pauses == []


def test_no_answer_is_said_with_its_cause(patience: Patience, clock: Clock) -> None:
    server = Server(clock, *[LOST] * 4)
    with pytest.raises(NoAnswer) as raised:
        server.play(flows.get_json(Call("GET", "/v1/usage"), patience))
    assert raised.value.__cause__ is LOST
    assert server.pauses == [0.1875, 0.375, 0.75]


@pytest.mark.parametrize("body", [[], "text", None])
def test_an_answer_of_something_else_is_said(patience: Patience, clock: Clock, body: Any) -> None:
    request = httpx.Request("GET", "http://server/")
    content = (
        httpx.Response(200, json=body, request=request)
        if body != "text"
        else httpx.Response(200, text="<html>", request=request)
    )
    with pytest.raises(NoAnswer, match="not calotype's"):
        Server(clock, content).play(flows.get_json(Call("GET", "/v1/usage"), patience))


def test_a_retry_makes_no_second_job(patience: Patience, clock: Clock) -> None:
    server = Server(clock, LOST, answer(202, {"job_id": "j1", "status": "queued"}))
    assert server.play(flows.create_job({}, patience, idempotency_key=None)).id == "j1"
    first, second = (call.headers["Idempotency-Key"] for call in server.calls)
    assert first == second


def test_waiting_asks_until_the_job_is_final(patience: Patience, clock: Clock) -> None:
    server = Server(clock, job("queued"), job("running"), job("done"))
    done = server.play(flows.wait_for_job("j1", patience, timeout_s=100))
    assert done.screenshot().image == b"picture"
    assert [call.params["wait"] for call in server.calls] == ["30.000"] * 3


def test_waiting_ends_with_its_time(patience: Patience, clock: Clock) -> None:
    server = Server(clock, job("queued"), job("running"))
    with pytest.raises(WaitEnded) as raised:
        server.play(flows.wait_for_job("j1", patience, timeout_s=0.015))
    assert raised.value.job.status == "running"


def test_a_batch_of_any_size(patience: Patience, clock: Clock) -> None:
    def outcomes() -> Iterator[Outcome]:
        yield answer(202, {"jobs": [{"job_id": f"j{n}"} for n in range(1000)]})
        yield failure(503, "overloaded")
        yield answer(202, {"jobs": [{"job_id": f"j{n}"} for n in range(1000, 1500)]})
        for number in range(1500):
            yield job("failed" if number == 7 else "done", f"j{number}")

    told: list[tuple[int, int]] = []
    server = Server(clock, *outcomes())
    requests = ({"url": f"https://example.com/{number}"} for number in range(1500))
    server.play(flows.batch(requests, patience, priority=3, timeout_s=1e6, on_progress=lambda *each: told.append(each)))
    posts = [call for call in server.calls if call.method == "POST"]
    assert [len((call.body or {})["jobs"]) for call in posts] == [1000, 500, 500]
    assert posts[1].headers == posts[2].headers != posts[0].headers
    assert [each.id for each in server.jobs] == [f"j{number}" for number in range(1500)]
    assert [each.status for each in server.jobs].count("failed") == 1
    assert told == [(number, 1500) for number in range(1, 1501)]


def test_large_requests_go_in_smaller_parts(patience: Patience, clock: Clock) -> None:
    requests = [{"html": "x" * 3 * 2**20} for _ in range(2)]
    server = Server(clock, *(answer(202, {"jobs": [{"job_id": "j"}]}) for _ in range(2)), job("done"), job("done"))
    server.play(flows.batch(requests, patience, priority=0, timeout_s=100, on_progress=None))
    assert [call.method for call in server.calls] == ["POST", "POST", "GET", "GET"]


def test_jobs_are_listed_over_all_pages(patience: Patience, clock: Clock) -> None:
    pages = [{"jobs": [{"job_id": "a", "status": "done"}], "next_cursor": "a"}, {"jobs": [], "next_cursor": None}]
    server = Server(clock, *(answer(200, page) for page in pages))
    server.play(flows.list_jobs(patience, status="done"))
    assert [each.id for each in server.jobs] == ["a"]
    first, second = (dict(call.params) for call in server.calls)
    assert first == {"limit": "100", "status": "done"}
    assert second == {**first, "cursor": "a"}


def test_importing_the_client_brings_none_of_the_server() -> None:
    heavy = "fastapi uvicorn sqlalchemy pydantic PIL structlog"
    check = f"import sys, calotype.client; print([name for name in {heavy.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
