"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
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


class AsyncCalotype:
    """As `Calotype`. Use it in an `async with` block, or `await close()`. Tasks of one event loop may share it."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        api_key: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """Arguments are those of `Calotype`."""
        self._server = Server.of(server, api_key)
        self._patience = Patience(timeout_s, retries)
        self._http = http or httpx.AsyncClient()
        self._is_ours = http is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._is_ours:
            await self._http.aclose()

    async def screenshot(
        self, page: str | None = None, /, *, idempotency_key: str | None = None, **fields: Unpack[ScreenshotFields]
    ) -> Screenshot:
        """As `Calotype.screenshot`."""
        return await self._run(
            flows.screenshot(capture_of(page, fields), self._patience, idempotency_key=idempotency_key)
        )

    async def create_job(
        self,
        page: str | None = None,
        /,
        *,
        priority: int = 0,
        webhook: str | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[ScreenshotFields],
    ) -> Job:
        """As `Calotype.create_job`."""
        order = job_order(page, fields, priority=priority, webhook=webhook)
        return await self._run(flows.create_job(order, self._patience, idempotency_key=idempotency_key))

    async def job(self, job_id: str) -> Job:
        """As `Calotype.job`."""
        return await self._run(flows.get_job(job_id, self._patience))

    async def wait(self, job_id: str, *, timeout_s: float = 600) -> Job:
        """As `Calotype.wait`."""
        return await self._run(flows.wait_for_job(job_id, self._patience, timeout_s=timeout_s))

    async def image(self, job_id: str) -> bytes:
        """As `Calotype.image`."""
        return await self._run(flows.job_image(job_id, self._patience))

    async def cancel(self, job_id: str) -> Job:
        """As `Calotype.cancel`."""
        return await self._run(flows.cancel_job(job_id, self._patience))

    def jobs(self, *, status: JobStatus | None = None) -> AsyncIterator[Job]:
        """As `Calotype.jobs`."""
        return self._iterate(flows.list_jobs(self._patience, status=status))

    def batch(
        self,
        requests: Iterable[ScreenshotFields],
        *,
        priority: int = 0,
        timeout_s: float = 3_600,
        on_progress: OnProgress | None = None,
    ) -> AsyncIterator[Job]:
        """As `Calotype.batch`."""
        orders = (dict(request) for request in requests)
        return self._iterate(
            flows.batch(orders, self._patience, priority=priority, timeout_s=timeout_s, on_progress=on_progress)
        )

    async def usage(self) -> dict[str, Any]:
        """As `Calotype.usage`."""
        return await self._run(flows.get_json(Call("GET", "/v1/usage"), self._patience))

    async def check_url(self, url: str) -> dict[str, Any]:
        """As `Calotype.check_url`."""
        return await self._run(flows.get_json(Call("POST", "/v1/url-check", {"url": url}), self._patience))

    async def _run(self, flow: Flow[Result]) -> Result:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = await self._carry_out(step)

    async def _iterate(self, flow: JobFlow) -> AsyncIterator[Job]:
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
                outcome = await self._carry_out(step)

    async def _carry_out(self, step: Call | Pause) -> Outcome:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._http.request(**self._server.request(step))
        except httpx.TransportError as error:
            return error
