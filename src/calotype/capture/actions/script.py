"""`evaluate`: the caller's script in the page's own world, its result as JSON within bounds."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from calotype.browser.cdp import CdpError, Session
from calotype.capture.actions.progress import StepFailed
from calotype.capture.world import World, is_context_lost

RESULT_MAX_CHARS = 8_192
_MESSAGE_MAX_CHARS = 500

# The page gives text only, and never more than this: whatever the script returns or throws, it does not travel. A
# primitive it is because an object of the page's could have a `then`.
_BOUNDED = """
(async () => {
  try {
    const value = await %s;
    if (typeof value === "string" && value.length > %d) return "long:" + value.length;
    const text = JSON.stringify(value);
    if (typeof text !== "string") return "";
    return text.length > %d ? "long:" + text.length : "json:" + text;
  } catch (error) {
    try {
      const told = "threw:" + String(error).slice(0, %d);
      return told.length > %d ? "threw:" : told; // `length` is the one thing here that a page can't forge
    } catch {
      return "threw:it threw what has no text";
    }
  }
})()
"""


async def evaluate(session: Session, world: World, script: str) -> tuple[Any, str | None]:
    """Run the script; return its result, or what its promise gives, and a note if the result is left out.

    It is an expression; or statements, whose last value counts; or, where that is not valid JavaScript, the body of an
    asynchronous function, with `await` and `return`.

    Raises:
        StepFailed: it threw.
    """
    match await world.run("actions/script_kind", script):
        case "expression":
            run = f"(\n{script}\n)"
        case "body":
            run = f"(async () => {{\n{script}\n}})()"
        case _:
            run = f"(0, eval)({to_json(script).decode()})"  # gives the last statement's value, or says what is wrong
    try:
        answer = await session.call(
            "Runtime.evaluate",
            expression=_BOUNDED % (run, RESULT_MAX_CHARS, RESULT_MAX_CHARS, _MESSAGE_MAX_CHARS, RESULT_MAX_CHARS),
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
    except CdpError as error:
        if not is_context_lost(error):
            raise
        return None, "The page went elsewhere before there was a result."
    return _read(str(answer["result"].get("value", "threw:the script was ended")))


def _read(text: str) -> tuple[Any, str | None]:
    kind, _, rest = text.partition(":")
    match kind:
        case "json":
            return from_json(rest), None
        case "long":
            return None, f"The result, {rest} characters of JSON, is left out; up to {RESULT_MAX_CHARS} are given."
        case "threw":
            raise StepFailed(f"the script failed: {rest}")
        case _:
            return None, None
