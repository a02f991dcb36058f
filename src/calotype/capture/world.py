"""Our own scripts in the page: evaluated in an isolated world, where the page's scripts can't reach or fake them.

The scripts are the files in `scripts/`, each one function expression; arguments and results are JSON.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from pydantic_core import to_json

from calotype.browser.cdp import CdpError
from calotype.browser.page import Page
from calotype.capture.activity import PageActivity

_CONTEXT_LOST = (
    "Execution context was destroyed",
    "Cannot find context",
    "Inspected target navigated",
    "uniqueContextId",
)


class ScriptError(Exception):
    """The script threw; `str()` is the exception's text."""


class NavigatedAway(Exception):
    """The document went away while a script ran in it."""


class World:
    """Evaluates in the document shown now, and again in the next one when the page navigates meanwhile."""

    def __init__(self, page: Page, activity: PageActivity) -> None:
        self._page = page
        self._activity = activity
        self._context_id: int | None = None
        self._loader_id: str | None = None

    async def run(self, script: str, *arguments: Any) -> Any:
        """Call the function in `scripts/<script>.js` and return what it, or its promise, gives.

        Raises:
            ScriptError: it threw.
            CdpError, ConnectionLost: the page is gone.
        """
        passed = ", ".join(to_json(argument).decode() for argument in arguments)
        return await self.evaluate(f"({source(script)})({passed})")

    async def evaluate(self, expression: str) -> Any:
        while True:
            try:
                answer = await self._page.session.call(
                    "Runtime.evaluate",
                    expression=expression,
                    contextId=await self._context(),
                    awaitPromise=True,
                    returnByValue=True,
                )
            except CdpError as error:
                if not is_context_lost(error):
                    raise
                self._context_id = None
                continue
            return value_of(answer)

    async def run_as_page(self, script: str) -> bool:
        """Run what the caller of the API sent, in the page's own world; return whether it, or its promise, is truthy.

        What it gives stays in the page: it may be of any size.

        Raises:
            NavigatedAway: the document is gone that it ran in; whether it came to its end is not known.
            ScriptError: it threw.
        """
        try:
            answer = await self._page.session.call(
                "Runtime.evaluate", expression=script, awaitPromise=True, userGesture=True
            )
        except CdpError as error:
            if not is_context_lost(error):
                raise
            raise NavigatedAway from error
        value = value_of(answer)
        special = answer["result"].get("unserializableValue")  # NaN, -0, Infinity, and big integers
        return "objectId" in answer["result"] or bool(value) or special not in (None, "NaN", "-0", "0n")

    async def _context(self) -> int:
        loader_id = self._activity.committed_id
        context_id = self._context_id
        if context_id is None or self._loader_id != loader_id:
            created = await self._page.session.call(
                "Page.createIsolatedWorld", frameId=self._page.main_frame_id, worldName="calotype"
            )
            context_id = int(created["executionContextId"])
            self._context_id, self._loader_id = context_id, loader_id
        return context_id


def is_context_lost(error: CdpError) -> bool:
    """Whether a call failed because its document went away."""
    return any(text in error.message for text in _CONTEXT_LOST)


def value_of(answer: dict[str, Any]) -> Any:
    """What `Runtime.evaluate` gave by value.

    Raises:
        ScriptError: it threw.
    """
    if (thrown := answer.get("exceptionDetails")) is not None:
        exception = thrown.get("exception", {})
        raise ScriptError(exception.get("description") or str(exception.get("value", thrown.get("text", ""))))
    return answer["result"].get("value")


@cache
def source(script: str) -> str:
    """The text of `scripts/<script>.js`, a function expression."""
    return files("calotype.capture").joinpath("scripts", f"{script}.js").read_text(encoding="utf-8").strip().rstrip(";")
