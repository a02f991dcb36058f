"""The frames in the page: our own scripts in each, whatever its origin and process, in isolated worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from calotype.browser.cdp import CdpError, ConnectionLost, Session
from calotype.browser.page import Page
from calotype.capture.world import ScriptError, source, value_of

_ANSWER_S = 2.0  # of all frames together: one that is busy for longer is not waited for


@dataclass(slots=True)
class FrameAnswers:
    """What the script gave in each frame, in no order; frames that went away meanwhile count nowhere."""

    results: list[Any] = field(default_factory=list[Any])
    unreached: int = 0
    """Frames, or groups of them, that were too busy."""


async def run_in_frames(page: Page, script: str, *arguments: Any) -> FrameAnswers:
    """Call the function in `scripts/<script>.js` in all frames but the page's own document, all at once.

    Frames with a process of their own count if `page.follow` was called. Raises nothing.
    """
    passed = ", ".join(to_json(argument).decode() for argument in arguments)
    expression = f"({source(script)})({passed})"
    answers = FrameAnswers()
    tasks = [asyncio.ensure_future(_run(each, page, expression, answers)) for each in page.frame_sessions]
    done, late = await asyncio.wait(tasks, timeout=_ANSWER_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        task.result()
    answers.unreached = len(late)
    return answers


async def _run(session: Session, page: Page, expression: str, answers: FrameAnswers) -> None:
    try:
        tree = await session.call("Page.getFrameTree")
    except (CdpError, ConnectionLost):
        return
    frame_ids = [each for each in _ids(tree["frameTree"]) if each != page.main_frame_id]
    await asyncio.gather(*(_run_in(session, each, expression, answers) for each in frame_ids))


async def _run_in(session: Session, frame_id: str, expression: str, answers: FrameAnswers) -> None:
    try:
        world = await session.call("Page.createIsolatedWorld", frameId=frame_id, worldName="calotype")
        answer = await session.call(
            "Runtime.evaluate",
            expression=expression,
            contextId=world["executionContextId"],
            awaitPromise=True,
            returnByValue=True,
        )
        answers.results.append(value_of(answer))
    except (CdpError, ConnectionLost, ScriptError):
        pass  # it is gone, went elsewhere, or has no document to speak of


def _ids(tree: dict[str, Any]) -> Iterator[str]:
    yield tree["frame"]["id"]
    for child in tree.get("childFrames", ()):
        yield from _ids(child)
