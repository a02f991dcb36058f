"""The floor: the leanest loop over the DevTools pipe that follows the readiness rule. No API, no guard, no pool.

One browser, one fresh context per shot, commands sent without waiting where nothing depends on the answer, the context
disposed behind the shot's back. What calotype adds is measured against this.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

from bench.chromium import find_executable, floor_flags
from bench.loop import run
from bench.readiness import SETTLE, InFlight
from bench.side import HEIGHT, JPEG_QUALITY, WIDTH, Picture, work

if TYPE_CHECKING:
    from collections.abc import Callable

_PIPE_BYTES = 2**20  # the kernel's usual limit for a pipe; a screenshot is of that order


class Pipe:
    """DevTools messages over two pipes: JSON texts, each ended by a zero byte."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._parts: list[bytes] = []
        self.listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}
        os.set_blocking(read_fd, False)
        for fd in (read_fd, write_fd):
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        asyncio.get_running_loop().add_reader(read_fd, self._read)

    def send(self, method: str, session: str | None = None, **params: Any) -> asyncio.Future[dict[str, Any]]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_ignore_unread_error)
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        return answer

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._read_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _read(self) -> None:
        data = os.read(self._read_fd, _PIPE_BYTES)
        if not data:
            asyncio.get_running_loop().remove_reader(self._read_fd)
            for answer in self._answers.values():
                answer.set_exception(ConnectionError("the browser is gone"))
            self._answers.clear()
            return
        *whole, rest = data.split(b"\0")
        for message in whole:
            self._dispatch(json.loads(b"".join((*self._parts, message))))
            self._parts = []
        if rest:
            self._parts.append(rest)

    def _dispatch(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            if listener := self.listeners.get(message.get("sessionId", "")):
                listener(message["method"], message["params"])
            return
        answer = self._answers.pop(message["id"], None)
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(RuntimeError(message["error"]["message"]))
        else:
            answer.set_result(message["result"])


def _ignore_unread_error(answer: asyncio.Future[dict[str, Any]]) -> None:
    """Take the exception of a command nobody waits for; who waits still gets it."""
    if not answer.cancelled():
        answer.exception()


def start_browser(argv: list[str]) -> tuple[subprocess.Popen[bytes], Pipe]:
    """Start Chromium with its DevTools pipe; both are the caller's to end."""
    answers_in, answers_out = os.pipe()
    commands_in, commands_out = os.pipe()
    # Chromium reads commands from descriptor 3 and writes answers to 4. Ours may have these numbers: out of the way.
    ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (commands_in, answers_out)]
    moves = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]} {ends[0]}<&- {ends[1]}>&-'
    browser = subprocess.Popen(
        ["/bin/bash", "-c", moves, "chromium", *argv],
        pass_fds=ends,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for fd in (commands_in, answers_out, *ends):
        os.close(fd)
    return browser, Pipe(answers_in, commands_out)


class _Page:
    """The events of one page that the rule needs."""

    def __init__(self) -> None:
        self.loaded = asyncio.Event()
        self.requests = InFlight()

    def on_event(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requests.start(params["requestId"], params.get("type", ""))
            case "Network.loadingFinished" | "Network.loadingFailed":
                self.requests.end(params["requestId"])
            case "Page.loadEventFired":
                self.loaded.set()
            case _:
                pass


class Floor:
    async def open(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="calotype-bench-")
        self._disposals: list[asyncio.Future[dict[str, Any]]] = []
        self._browser, self._pipe = start_browser([find_executable(), *floor_flags(self._profile)])
        await self._pipe.send("Browser.getVersion")

    async def shoot(self, url: str, image_format: str) -> Picture:
        pipe = self._pipe
        context = (await pipe.send("Target.createBrowserContext"))["browserContextId"]
        try:
            return await self._shoot_in(context, url, image_format)
        finally:
            self._disposals.append(pipe.send("Target.disposeBrowserContext", browserContextId=context))

    async def _shoot_in(self, context: str, url: str, image_format: str) -> Picture:
        pipe = self._pipe
        target = await pipe.send(
            "Target.createTarget", url="about:blank", browserContextId=context, width=WIDTH, height=HEIGHT
        )
        attached = await pipe.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session = attached["sessionId"]
        page = _Page()
        pipe.listeners[session] = page.on_event
        try:
            pipe.send("Page.enable", session)
            # Waited for: a navigation sent before the answer can overtake it, and `load` is missed (Chromium 156).
            await pipe.send("Network.enable", session)
            navigated = await pipe.send("Page.navigate", session, url=url)
            if "errorText" in navigated:
                raise RuntimeError(navigated["errorText"])
            await page.loaded.wait()
            await self._settle(session, page.requests)
            return await self._capture(session, image_format)
        finally:
            del pipe.listeners[session]

    async def _settle(self, session: str, requests: InFlight) -> None:
        while True:
            started = await requests.quiet()
            await self._pipe.send("Runtime.evaluate", session, expression=SETTLE, awaitPromise=True)
            if requests.is_quiet_since(started):
                return

    async def _capture(self, session: str, image_format: str) -> Picture:
        params: dict[str, Any] = {"format": image_format, "optimizeForSpeed": True}
        if image_format == "jpeg":
            params["quality"] = JPEG_QUALITY
        answer = await self._pipe.send("Page.captureScreenshot", session, **params)
        return Picture(binascii.a2b_base64(answer["data"]))

    async def quiesce(self) -> None:
        await asyncio.gather(*self._disposals, return_exceptions=True)
        self._disposals.clear()

    async def close(self) -> None:
        self._pipe.send("Browser.close")
        try:
            await asyncio.to_thread(self._browser.wait, 10)
        except subprocess.TimeoutExpired:
            self._browser.kill()
            self._browser.wait()
        self._pipe.close()
        shutil.rmtree(self._profile, ignore_errors=True)


if __name__ == "__main__":
    run(work(Floor()))
