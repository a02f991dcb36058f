"""Make every picture of a list, some at once, and write each whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from calotype.cli.capturing.engines import CaptureFailed, Engine
from calotype.cli.capturing.sources import Target
from calotype.client import Screenshot

State = Literal["made", "kept", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a target. `kept`: its file was there already."""

    target: Target
    file: Path
    state: State
    screenshot: Screenshot | None = field(default=None, repr=False)
    code: str | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "ok": self.state != "failed",
            "url": self.target.page,
            "file": None,
            "state": self.state,
        }
        if self.state != "failed":
            shown["file"] = str(self.file)
        if self.error is not None:
            shown["error"] = {"code": self.code, "message": self.error}
        if self.screenshot is not None:
            shown["meta"] = self.screenshot.meta
        return shown


@dataclass(frozen=True, slots=True)
class Order:
    """A target and where its picture goes."""

    target: Target
    file: Path


async def outcomes(
    engine: Engine, orders: Iterable[Order], *, parallel: int, keep: Callable[[Path], bool]
) -> AsyncGenerator[Outcome]:
    """Give each outcome as it comes about, `parallel` captures at once. Closing this cancels those under way.

    Args:
        keep: whether a file that is there already will do.
    """
    waiting = iter(orders)
    running: set[asyncio.Task[Outcome]] = set()
    try:
        while True:
            for order in _some(waiting, parallel - len(running)):
                running.add(asyncio.create_task(_made(engine, order, keep), name="capture"))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def drained(stream: AsyncGenerator[Outcome], see: Callable[[Outcome], None]) -> None:
    """Show every outcome; the stream is closed also when this is cancelled."""
    async with aclosing(stream) as open_stream:
        async for outcome in open_stream:
            see(outcome)


async def _made(engine: Engine, order: Order, keep: Callable[[Path], bool]) -> Outcome:
    target, file = order.target, order.file
    if keep(file):
        return Outcome(target, file, "kept")
    try:
        screenshot = await engine.capture(target)
        await asyncio.to_thread(_write, screenshot, file)
    except CaptureFailed as failure:
        return Outcome(target, file, "failed", code=failure.code, error=str(failure))
    except OSError as error:
        return Outcome(target, file, "failed", code="not_written", error=f"Can't write {file}: {error.strerror}")
    return Outcome(target, file, "made", screenshot)


def _write(screenshot: Screenshot, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    screenshot.save(file)


def _some(orders: Iterator[Order], number: int) -> Iterator[Order]:
    for _ in range(number):
        if (order := next(orders, None)) is None:
            return
        yield order
