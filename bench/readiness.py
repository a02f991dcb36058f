"""The readiness rule, the same for each side: when a page counts as drawn.

The load event has fired, web fonts are ready, images in the viewport are decoded, no request that matters is in flight,
and two frames in a row are laid out alike; a request that starts meanwhile starts the round anew. Animations are ended
or taken off. This is calotype's `settled`; the part inside the page is `SETTLE`, the part outside is `InFlight`, fed
with the browser's network events.
"""

from __future__ import annotations

import asyncio

# Kinds of request (DevTools and Playwright names, lower case) that a page may keep open for ever.
_NOT_WAITED_FOR = frozenset(
    {"media", "websocket", "eventsource", "ping", "beacon", "prefetch", "preflight", "cspviolationreport", "cspreport"}
)

SETTLE = """(async () => {
  for (const animation of document.getAnimations()) {
    if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish();
    else animation.cancel();
  }
  const inView = () => Array.from(document.images).filter((image) => {
    const box = image.getBoundingClientRect();
    return box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
  });
  const frame = () => new Promise(requestAnimationFrame);
  const layout = () => {
    const root = document.documentElement;
    return [root.scrollWidth, root.scrollHeight, document.getElementsByTagName('*').length, inView().length].join();
  };
  for (;;) {
    await document.fonts.ready;
    await Promise.all(inView().map((image) => image.decode().catch(() => 0)));
    await frame();
    const before = layout();
    await frame();
    if (before === layout() && inView().every((image) => image.complete)) return;
  }
})()"""


class InFlight:
    """Requests of one page that have started and not ended."""

    def __init__(self) -> None:
        self._open: set[object] = set()
        self._none = asyncio.Event()
        self._none.set()
        self.started = 0

    def start(self, request: object, kind: str) -> None:
        if kind.lower() not in _NOT_WAITED_FOR:
            self._open.add(request)
            self.started += 1
            self._none.clear()

    def end(self, request: object) -> None:
        self._open.discard(request)
        if not self._open:
            self._none.set()

    async def quiet(self) -> int:
        """Wait until nothing is in flight; give how many requests there have been."""
        await self._none.wait()
        return self.started

    def is_quiet_since(self, started: int) -> bool:
        return self._none.is_set() and self.started == started
