"""Tells people, on standard error, how far it is: a bar on a terminal, a line for each picture elsewhere."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from calotype.cli.capturing.run import Outcome


class Told:
    """Use it as a context; `see` each outcome."""

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._has_bar = self._console.is_terminal and total > 1
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._has_bar,
        )
        self._task = self._bar.add_task("Captures", total=total)
        self._total = total
        self.numbers: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def see(self, outcome: Outcome) -> None:
        self.numbers[outcome.state] += 1
        self._bar.advance(self._task)
        if outcome.state == "failed":
            self._say(
                f"[red]failed[/red] {escape(outcome.target.page)}: {escape(outcome.error or '')} ({outcome.code})"
            )
        elif outcome.screenshot is not None:
            self._say_made(outcome, outcome.screenshot.meta)

    def _say_made(self, outcome: Outcome, meta: dict[str, object]) -> None:
        status = "" if meta["status_code"] in (None, 200) else f", the page's status is {meta['status_code']}"
        size = f"{meta['width']}x{meta['height']}, {meta['bytes']} bytes, {meta['elapsed_ms']} ms"
        if not self._has_bar or status:
            self._say(f"{escape(str(outcome.file))}: {size}{status}")
        for note in notes(meta):
            self._say(f"  [yellow]{escape(note)}[/yellow]")

    def sum_up(self) -> None:
        """Say how it went, if there is more to it than one picture."""
        if self._total > 1:
            parts = [f"{self.numbers[state]} {state}" for state in ("made", "kept", "failed") if self.numbers[state]]
            self._say(f"{self._total} pictures: {', '.join(parts) or 'none made'}")

    def say_interrupted(self) -> None:
        done = sum(self.numbers.values())
        self._say(f"Interrupted after {done} of {self._total}. The same command with --resume goes on.")

    def _say(self, text: str) -> None:
        self._console.print(text)


def notes(meta: dict[str, object]) -> list[str]:
    """What is to be known of a picture that was made."""
    warnings: list[dict[str, str]] = meta["warnings"]  # type: ignore[assignment]
    told = [f"warning: {warning['message']}" for warning in warnings]
    if meta["partial"]:
        told.append(f"partial: {meta['partial_reason']}")
    flaws: list[dict[str, str]] = [] if meta["verdict"] == "ok" else meta["verdict"]  # type: ignore[assignment]
    return told + [f"verdict: {flaw['kind']}: {flaw['evidence']}" for flaw in flaws]
