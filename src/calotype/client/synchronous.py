"""The client for programs without an event loop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from calotype.client import flows
from calotype.client.answers import Job, JobStatus, Screenshot
from calotype.client.connection import (
    DEFAULT_RETRIES,
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT_S,
    Server,
    capture_of,
    job_order,
)
from calotype.client.fields import ScreenshotFields
from calotype.client.flows import Call, Flow, JobFlow, OnProgress, Outcome, Patience, Pause, Result


class Calotype:
    """A server. Use it in a `with` block, or `close()` it. Threads may share it."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        api_key: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        http: httpx.Client | None = None,
    ) -> None:
        """
        Args:
            api_key: None: that of the environment, `CALOTYPE_KEY`, if any.
            timeout_s: of each method that asks once, its retries included.
            retries: after 429, 503, a lost connection and what else may pass; 0: none.
            http: yours to configure and to close: proxies, certificates, connections at once.
        """
        self._server = Server.of(server, api_key)
        self._patience = Patience(timeout_s, retries)
        self._http = http or httpx.Client()
        self._is_ours = http is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._is_ours:
            self._http.close()

    def screenshot(
        self, page: str | None = None, /, *, idempotency_key: str | None = None, **fields: Unpack[ScreenshotFields]
    ) -> Screenshot:
        """Capture now.

        Args:
            page: its URL, which can be given as `url` too; `html` instead of it is markup.
            idempotency_key: with one, a retry within a day gets the first answer again, and costs nothing.

        Raises:
            ApiError, NoAnswer
        """
        return self._run(flows.screenshot(capture_of(page, fields), self._patience, idempotency_key=idempotency_key))

    def create_job(
        self,
        page: str | None = None,
        /,
        *,
        priority: int = 0,
        webhook: str | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[ScreenshotFields],
    ) -> Job:
        """Queue a capture; higher priorities first. `webhook` is told of its end.

        Raises:
            ApiError, NoAnswer
        """
        order = job_order(page, fields, priority=priority, webhook=webhook)
        return self._run(flows.create_job(order, self._patience, idempotency_key=idempotency_key))

    def job(self, job_id: str) -> Job:
        """The job as it is now, with its picture if it is done. Raises ApiError, NoAnswer."""
        return self._run(flows.get_job(job_id, self._patience))

    def wait(self, job_id: str, *, timeout_s: float = 600) -> Job:
        """The job once it is final: done, failed or cancelled.

        Raises:
            ApiError, NoAnswer
            WaitEnded: it is not, after `timeout_s`.
        """
        return self._run(flows.wait_for_job(job_id, self._patience, timeout_s=timeout_s))

    def image(self, job_id: str) -> bytes:
        """The picture alone of a job that is done. Raises ApiError, NoAnswer."""
        return self._run(flows.job_image(job_id, self._patience))

    def cancel(self, job_id: str) -> Job:
        """Raises ApiError (`job_finished`: too late), NoAnswer."""
        return self._run(flows.cancel_job(job_id, self._patience))

    def jobs(self, *, status: JobStatus | None = None) -> Iterator[Job]:
        """This key's jobs, newest first, without pictures. Raises ApiError, NoAnswer."""
        return self._iterate(flows.list_jobs(self._patience, status=status))

    def batch(
        self,
        requests: Iterable[ScreenshotFields],
        *,
        priority: int = 0,
        timeout_s: float = 3_600,
        on_progress: OnProgress | None = None,
    ) -> Iterator[Job]:
        """Queue any number of captures, then give each job once it is final, in the order of the requests.

        Raises:
            ApiError, NoAnswer
            WaitEnded: one is not final `timeout_s` after all were queued.
        """
        orders = (dict(request) for request in requests)
        return self._iterate(
            flows.batch(orders, self._patience, priority=priority, timeout_s=timeout_s, on_progress=on_progress)
        )

    def usage(self) -> dict[str, Any]:
        """Plan, credits and rate of the key. Raises ApiError, NoAnswer."""
        return self._run(flows.get_json(Call("GET", "/v1/usage"), self._patience))

    def check_url(self, url: str) -> dict[str, Any]:
        """Whether the server would visit the page: `allowed`, `reason`. Raises ApiError, NoAnswer."""
        return self._run(flows.get_json(Call("POST", "/v1/url-check", {"url": url}), self._patience))

    def _run(self, flow: Flow[Result]) -> Result:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = self._carry_out(step)

    def _iterate(self, flow: JobFlow) -> Iterator[Job]:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration:
                return
            if isinstance(step, Job):
                outcome = None
                yield step
            else:
                outcome = self._carry_out(step)

    def _carry_out(self, step: Call | Pause) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._http.request(**self._server.request(step))
        except httpx.TransportError as error:
            return error
