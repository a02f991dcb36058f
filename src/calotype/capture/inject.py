"""What the caller puts into the page before the picture: styles, hidden and removed elements, scripts."""

from __future__ import annotations

from typing import Any

from calotype.capture.world import NavigatedAway, ScriptError, World
from calotype.request import CaptureRequest

_MESSAGE_MAX_CHARS = 500


async def inject(world: World, request: CaptureRequest) -> list[dict[str, Any]]:
    """Inject `css`, `hide`, `remove` and `js`, in this order; return a warning for each script that throws."""
    sheets = [*request.css]
    # A rule each: one selector that Chromium does not know would void a common rule.
    sheets += [f"{selector} {{ visibility: hidden !important }}" for selector in request.hide]
    sheets += [f"{selector} {{ display: none !important }}" for selector in request.remove]
    if sheets:
        await world.run("inject_css", sheets)
    warnings: list[dict[str, Any]] = []
    for number, script in enumerate(request.js):
        try:
            await world.run_as_page(script)
        except (ScriptError, NavigatedAway) as error:
            reason = str(error)[:_MESSAGE_MAX_CHARS] or "the page went elsewhere while it ran"
            message = f"The script failed: {reason}"
            warnings.append({"code": "script_failed", "field": f"js[{number}]", "message": message})
    return warnings
