"""What the caller puts into the page before the picture: styles, hidden and removed elements, scripts."""

from __future__ import annotations

from typing import Any

from calotype.browser.page import Page
from calotype.capture.frames import run_in_frames
from calotype.capture.world import NavigatedAway, ScriptError, World
from calotype.request import CaptureRequest

_MESSAGE_MAX_CHARS = 500


async def inject(page: Page, world: World, request: CaptureRequest) -> list[dict[str, Any]]:
    """Inject `css`, `hide`, `remove` and `js`, in this order; return a warning for each script that throws."""
    if request.css:
        await world.run("inject_css", request.css)
    await hide(page, world, request)
    warnings: list[dict[str, Any]] = []
    for number, script in enumerate(request.js):
        try:
            await world.run_as_page(script)
        except (ScriptError, NavigatedAway) as error:
            reason = str(error)[:_MESSAGE_MAX_CHARS] or "the page went elsewhere while it ran"
            message = f"The script failed: {reason}"
            warnings.append({"code": "script_failed", "field": f"js[{number}]", "message": message})
    return warnings


async def hide(page: Page, world: World, request: CaptureRequest) -> None:
    """Apply `hide` and `remove` to the document and the frames there are now; again, for those that came since."""
    if sheets := _hiding(request):
        await world.run("adopt_styles", sheets)
        await run_in_frames(page, "adopt_styles", sheets)


def _hiding(request: CaptureRequest) -> list[str]:
    """A rule each: one selector that Chromium does not know would void a common rule."""
    hidden = [f"{selector} {{ visibility: hidden !important }}" for selector in request.hide]
    return hidden + [f"{selector} {{ display: none !important }}" for selector in request.remove]
