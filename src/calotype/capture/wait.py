"""The waits that a caller names: for an element, for an expression, for a time."""

from __future__ import annotations

from calotype.capture.activity import PageActivity
from calotype.capture.deadline import Deadline
from calotype.capture.world import NavigatedAway, ScriptError, World
from calotype.errors import InvalidRequest
from calotype.request import Render

_MESSAGE_MAX_CHARS = 500


async def wait_as_told(world: World, render: Render, deadline: Deadline) -> None:
    """Wait for `wait_for`, then `wait_for_function`.

    Raises:
        InvalidRequest: the selector is none, or the expression throws.
        DeadlineReached
    """
    if render.wait_for is not None:
        selector, state = render.wait_for.selector, render.wait_for.state
        async with deadline.waiting_for(f"wait_for: {selector} to be {state}", "wait_for"):
            await wait_for_element(world, selector, state, field="render.wait_for")
    if render.wait_for_function is not None:
        async with deadline.waiting_for("wait_for_function", "wait_for_function"):
            await _wait_for_function(world, render.wait_for_function)


async def wait_for_element(world: World, selector: str, state: str, *, field: str) -> None:
    """Wait until the element is `visible`, `hidden`, `attached` or `detached`.

    Raises:
        InvalidRequest: `field` holds no selector.
    """
    try:
        await world.run("wait_for", selector, state)
    except ScriptError as error:
        message = f"{selector!r} is not a valid CSS selector."
        raise InvalidRequest(message, details=[{"field": field, "message": message}]) from error


async def wait_delay(activity: PageActivity, delay_ms: int, deadline: Deadline) -> None:
    """Raises ConnectionLost as soon as the page is gone."""
    if delay_ms:
        async with deadline.waiting_for("delay_ms", "delay_ms"):
            await activity.stay_for(delay_ms / 1000)


async def _wait_for_function(world: World, expression: str) -> None:
    try:
        while not await _is_true(world, expression):
            await world.evaluate("new Promise(requestAnimationFrame)")
    except ScriptError as error:
        message = f"The expression failed: {str(error)[:_MESSAGE_MAX_CHARS]}"
        raise InvalidRequest(message, details=[{"field": "render.wait_for_function", "message": message}]) from error


async def _is_true(world: World, expression: str) -> bool:
    try:
        return await world.run_as_page(expression)
    except NavigatedAway:
        return False  # it will be asked of the next document
