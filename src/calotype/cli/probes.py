"""Serves what operators ask a worker, beside the jobs that it runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from calotype.app import WorkerServices, create_worker_app
from calotype.http.in_flight import InFlight
from calotype.http.wire import HEAD_MAX_BYTES, HttpProtocol


class _Server(uvicorn.Server):
    """uvicorn's server, whose signals are the worker's."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def answering_probes(
    services: WorkerServices, listener: socket.socket | None, in_flight: InFlight
) -> AsyncGenerator[None]:
    """Answer on the listener while the block runs; None: nobody asks."""
    if listener is None:
        yield
        return
    server = _Server(
        uvicorn.Config(
            create_worker_app(services, in_flight),
            http=HttpProtocol,
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve([listener]), name="worker-probes")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
