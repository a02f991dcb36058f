"""What a page looks like to one who waits: a slow and careful capture, and how like it another picture is.

The reference has no proxy and no API: navigate, wait for the load event and for 500 ms without a request, wait four
seconds more, end the animations of CSS as `settled` does (finite ones finished, endless ones taken off), wait for
images to be decoded, take the picture. A page that shows something else each time, or moves by itself, is not like
itself: each page is taken twice, and both are told.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import shutil
import subprocess
import tempfile
from typing import Any

from PIL import Image

from bench.chromium import find_executable, floor_flags
from bench.floor import Pipe, start_browser
from bench.readiness import SETTLE
from bench.side import HEIGHT, WIDTH

_PATIENCE_S = 4.0
_MOST_S = 25.0
_SETTLE_S = 5.0
# Names outside of the machine fail as they do behind the guard.
_OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE 127.0.0.1"


class Reference:
    """A browser of its own; close it."""

    def __init__(self, executable: str | None = None) -> None:
        self._profile = tempfile.mkdtemp(prefix="calotype-bench-")
        self._browser, self._pipe = start_browser(
            [executable or find_executable(), *floor_flags(self._profile), _OFFLINE]
        )

    async def shoot(self, url: str) -> Image.Image:
        """Take the viewport's picture, in a fresh context."""
        pipe = self._pipe
        context = (await pipe.send("Target.createBrowserContext"))["browserContextId"]
        try:
            target = await pipe.send(
                "Target.createTarget", url="about:blank", browserContextId=context, width=WIDTH, height=HEIGHT
            )
            attached = await pipe.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            return await _shot(pipe, attached["sessionId"], url)
        finally:
            await pipe.send("Target.disposeBrowserContext", browserContextId=context)

    async def close(self) -> None:
        self._pipe.send("Browser.close")
        try:
            await asyncio.to_thread(self._browser.wait, 10)
        except subprocess.TimeoutExpired:
            self._browser.kill()
            self._browser.wait()
        self._pipe.close()
        shutil.rmtree(self._profile, ignore_errors=True)


async def _shot(pipe: Pipe, session: str, url: str) -> Image.Image:
    reached = {"load": asyncio.Event(), "networkIdle": asyncio.Event()}
    loader_id = ""

    def on_event(method: str, params: dict[str, Any]) -> None:
        if method == "Page.lifecycleEvent" and params["loaderId"] == loader_id and params["name"] in reached:
            reached[params["name"]].set()

    pipe.listeners[session] = on_event
    try:
        await pipe.send("Page.enable", session)
        await pipe.send("Page.setLifecycleEventsEnabled", session, enabled=True)
        # Full Chromium's windows have a frame around the page.
        screen: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        await pipe.send("Emulation.setDeviceMetricsOverride", session, **screen)
        loader_id = (await pipe.send("Page.navigate", session, url=url))["loaderId"]
        for event in reached.values():
            with contextlib.suppress(TimeoutError):  # a page that never stops asking
                await asyncio.wait_for(event.wait(), _MOST_S)
        await asyncio.sleep(_PATIENCE_S)
        settled = pipe.send("Runtime.evaluate", session, expression=SETTLE, awaitPromise=True)
        await asyncio.wait([settled], timeout=_SETTLE_S)  # a page that never stops moving
        answer = await pipe.send("Page.captureScreenshot", session, format="png")
        return decoded(base64.b64decode(answer["data"]))
    finally:
        del pipe.listeners[session]


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def is_blank(picture: Image.Image) -> bool:
    """Tell whether it is one colour but for a thousandth of it."""
    thumbnail = picture.quantize(64).histogram()
    return max(thumbnail) >= 0.999 * picture.width * picture.height
