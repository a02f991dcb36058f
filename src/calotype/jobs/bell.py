"""What processes tell each other about jobs (`database.notify`), and who here is woken by it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager

from sqlalchemy import Connection

from calotype.database import notify
from calotype.webhooks import table as deliveries

_QUEUED, _FINAL, _CANCEL = "job-queued", "job-final", "job-cancel"


def tell_queued(connection: Connection) -> None:
    """A job may be taken, now or later."""
    notify(connection, _QUEUED)


def tell_final(connection: Connection, job_id: str) -> None:
    """A job has come to its end."""
    notify(connection, f"{_FINAL} {job_id}")


def tell_cancel(connection: Connection, job_id: str) -> None:
    """Whoever runs the job is to stop."""
    notify(connection, f"{_CANCEL} {job_id}")


class Bell:
    """`hear` is for `Database.listen`."""

    def __init__(self) -> None:
        self._final: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.on_queued: Callable[[], None] = _nothing
        self.on_webhook: Callable[[], None] = _nothing
        self.on_cancel: Callable[[str | None], None] = _nothing
        """Takes the job's id; None: some may have been missed."""

    def hear(self, notice: str | None) -> None:
        kind, _, job_id = (notice or "").partition(" ")
        if notice is None:
            self.on_queued()
            self.on_webhook()
            self.on_cancel(None)
            for events in self._final.values():
                _set(events)
        elif kind == _QUEUED:
            self.on_queued()
        elif kind == deliveries.NOTICE:
            self.on_webhook()
        elif kind == _CANCEL:
            self.on_cancel(job_id)
        elif kind == _FINAL:
            _set(self._final.get(job_id, set()))

    @contextmanager
    def awaiting(self, job_id: str) -> Generator[asyncio.Event]:
        """An event that is set when the job may be final. Ask for it before looking."""
        event = asyncio.Event()
        self._final[job_id].add(event)
        try:
            yield event
        finally:
            self._final[job_id].discard(event)
            if not self._final[job_id]:
                del self._final[job_id]


def _set(events: set[asyncio.Event]) -> None:
    for event in events:
        event.set()


def _nothing(*_: object) -> None:
    pass
