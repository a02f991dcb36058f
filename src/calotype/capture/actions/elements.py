"""Waits until an element can take a step: there, visible, at rest, enabled, and not covered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from calotype.capture.actions.frames import Frame, FrameGone, Frames
from calotype.capture.actions.progress import InvalidSelector, Progress, StepFailed

_PAUSES_S = (0.0, 0.02, 0.05, 0.1)
_MISSING: dict[str, Any] = {"state": "missing"}
_ELSEWHERE: dict[str, Any] = {"state": "waiting", "reason": "the page went elsewhere"}


@dataclass(frozen=True, slots=True)
class Reached:
    """An element held in its frame: `x` and `y` in the view where it is pointed at.

    `is_done`: there is nothing left to do. `takes_value`: its value is set, not typed.
    """

    frame: Frame
    x: float = 0
    y: float = 0
    is_done: bool = False
    takes_value: bool = False


class Elements:
    """A selector means the first visible match, else the first.

    It is looked for in the document and its open shadow trees; where those have none, in the first frame that has one.
    """

    def __init__(self, frames: Frames, progress: Progress) -> None:
        self._frames = frames
        self._progress = progress

    async def reach(self, kind: str, selector: str, argument: Any = None) -> Reached:
        """Wait until the first match can take a step of the kind (a probe of `scripts/actions/elements.js`).

        Raises:
            StepFailed: it never can.
            InvalidSelector
        """
        attempt = 0
        while True:
            try:
                frame, answer = await self._probe(kind, selector, attempt, argument)
                if answer["state"] == "ready" and "x" in answer:
                    answer |= await self._frames.to_view(frame, answer["x"], answer["y"])
            except FrameGone:
                frame, answer = self._frames.main, _ELSEWHERE
            match answer["state"]:
                case "ready" if "reason" not in answer:
                    return Reached(frame, answer.get("x", 0), answer.get("y", 0), takes_value="set" in answer)
                case "done":
                    return Reached(frame, is_done=True)
                case "failed":
                    raise StepFailed(answer["reason"])
                case "invalid":
                    raise InvalidSelector
                case _:
                    self._progress.reason = answer.get("reason", "no element matches")
            await asyncio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])  # no event tells of every change
            attempt += 1

    async def wait_for(self, selector: str, state: str) -> None:
        """Wait until a match in any frame is `visible` or `attached`, or none is any more: `hidden`, `detached`.

        Raises:
            InvalidSelector
        """
        self._progress.reason = f"it is not {state}"
        while not _has_reached(await self._seen(selector), state):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_PAUSES_S[-1])

    async def wait_for_focus(self) -> None:
        """Wait until a field that takes text is in focus."""
        self._progress.reason = "no field is in focus; name it with `selector`, or click it first"
        while "field" not in await self._in_each_frame("focused"):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_PAUSES_S[-1])

    async def _probe(self, kind: str, selector: str, attempt: int, argument: Any) -> tuple[Frame, dict[str, Any]]:
        main = self._frames.main
        answer = await self._frames.call(main, "probe", kind, selector, attempt, argument)
        if answer["state"] != "missing":
            return main, answer
        for frame in await self._frames.inner():
            try:
                answer = await self._frames.call(frame, "probe", kind, selector, attempt, argument)
            except FrameGone:
                continue
            if answer["state"] != "missing":
                return frame, answer
        return main, _MISSING

    async def _seen(self, selector: str) -> set[str]:
        seen = await self._in_each_frame("seen", selector)
        if "invalid" in seen:
            raise InvalidSelector
        return seen

    async def _in_each_frame(self, function: str, *arguments: Any) -> set[str]:
        answers = set[str]()
        for frame in (self._frames.main, *await self._frames.inner()):
            try:
                answers.add(await self._frames.call(frame, function, *arguments))
            except FrameGone:
                continue
        return answers


def _has_reached(seen: set[str], state: str) -> bool:
    match state:
        case "visible":
            return "visible" in seen
        case "hidden":
            return "visible" not in seen
        case "attached":
            return bool(seen & {"visible", "hidden"})
        case _:
            return not seen & {"visible", "hidden"}
