"""One DevTools connection to one Chromium, over a pair of pipes.

Messages are JSON ended by NUL (`--remote-debugging-pipe`), so no DevTools port exists that a page could reach. This
module knows the framing, the pairing of calls and answers, sessions (flat mode) and how it ends; it knows no CDP
domain. Events are dispatched synchronously, in the order they arrive: a handler only records and wakes.
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Callable
from typing import Any, cast

import structlog
from pydantic_core import from_json, to_json

_log = structlog.get_logger(__name__)

Params = dict[str, Any]
Handler = Callable[[Params], None]

_EVENT_MAX_BYTES = 16 * 2**20
"""What a page has a hand in: its log, its URLs and posts come whole. Answers are as long as what was asked for."""
_ANSWER_BEGINS = b'{"id":'
_PIPE_BYTES = 2**20  # Linux's limit for ordinary users; pictures arrive in a dozen reads instead of hundreds


class CdpError(Exception):
    """Chromium answered a call with an error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message


class ConnectionLost(Exception):
    """The session or the whole browser is gone; `str()` says which and how."""


class Session:
    """Calls to, and events of, one target; the connection's own `root` session is the browser's."""

    def __init__(self, connection: Connection, session_id: str | None) -> None:
        self._connection = connection
        self._session_id = session_id
        self._handlers: dict[str, list[Handler]] = defaultdict(list)
        self._pending: dict[int, tuple[str, asyncio.Future[Params]]] = {}
        self._lost: ConnectionLost | None = None
        self._on_lost: Callable[[], None] | None = None

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    def when_lost(self, wake: Callable[[], None]) -> None:
        """Call `wake()` once when the session ends."""
        self._on_lost = wake

    def on(self, event: str, handler: Handler) -> None:
        """Call `handler(params)` for each `event`, e.g. `Page.loadEventFired`, until the session ends."""
        self._handlers[event].append(handler)

    def off(self, event: str, handler: Handler) -> None:
        """Forget one handler of an event."""
        self._handlers[event] = [each for each in self._handlers[event] if each != handler]

    def off_all(self, event: str) -> None:
        """Forget the handlers of an event."""
        self._handlers.pop(event, None)

    def post(self, method: str, **params: Any) -> asyncio.Future[Params]:
        """Send a call now and return the future of its result, so that several can be under way at once.

        The future raises `CdpError` or `ConnectionLost`. Its exception counts as seen: a caller may drop it.
        """
        future: asyncio.Future[Params] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_mark_seen)
        if self._lost:
            future.set_exception(self._lost)
            return future
        call_id = self._connection.write(method, params, self._session_id, self)
        if call_id is None:
            future.set_exception(ConnectionLost("the browser is gone"))
        else:
            self._pending[call_id] = (method, future)
        return future

    async def call(self, method: str, **params: Any) -> Params:
        """Send a call and wait for its result.

        Raises:
            CdpError: Chromium refused it.
            ConnectionLost: the target or the browser went away first.
        """
        return await self.post(method, **params)

    def lose(self, reason: str) -> None:
        """End the session: every call under way and every later one raises `ConnectionLost(reason)`."""
        if self._lost:
            return
        self._lost = ConnectionLost(reason)
        pending, self._pending = self._pending, {}
        for _, future in pending.values():
            if not future.done():
                future.set_exception(self._lost)
        if self._on_lost:
            self._on_lost()

    def detach(self) -> None:
        """Forget the session after its target was closed; late messages for it are dropped."""
        self.lose("the page was closed")
        self._handlers.clear()
        self._connection.forget(self._session_id)

    def resolve(self, call_id: int, message: Params) -> None:
        method, future = self._pending.pop(call_id, (None, None))
        if future is None or method is None or future.done():
            return
        if (error := message.get("error")) is not None:
            future.set_exception(CdpError(method, error.get("code", 0), error.get("message", "")))
        else:
            future.set_result(message.get("result", {}))

    def dispatch(self, event: str, params: Params) -> None:
        for handler in tuple(self._handlers.get(event, ())):
            try:
                handler(params)
            except Exception:  # one page's odd event must not end the connection that all pages share
                _log.exception("cdp_handler_failed", cdp_event=event)


class Connection:
    """Owns both pipe ends. `closed` is set once the browser's end is gone, however that came about."""

    def __init__(self) -> None:
        self.root = Session(self, None)
        self.closed = asyncio.Event()
        self._sessions: dict[str | None, Session] = {None: self.root}
        self._callers: dict[int, Session] = {}
        self.root.on("Target.detachedFromTarget", self._on_detached)
        self._last_id = 0
        self._chunks: list[bytes] = []
        self._chunks_bytes = 0
        self._is_too_long = False
        self._writer: asyncio.WriteTransport | None = None
        self._reader: asyncio.ReadTransport | None = None

    async def open(self, read_fd: int, write_fd: int) -> None:
        """Take over the two file descriptors, both ours to close from now on."""
        for fd in (read_fd, write_fd):
            try:
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            except (AttributeError, OSError):  # not Linux, or the user's pipe quota is used up: only slower
                break
        loop = asyncio.get_running_loop()
        self._reader, _ = await loop.connect_read_pipe(lambda: _PipeReader(self), os.fdopen(read_fd, "rb", 0))
        self._writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write_fd, "wb", 0))

    def session(self, session_id: str) -> Session:
        """The session that `Target.attachToTarget` with `flatten` has just opened."""
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(self, session_id)
            if self.closed.is_set():  # between that answer and us
                session.lose("the browser is gone")
        return session

    def forget(self, session_id: str | None) -> None:
        self._sessions.pop(session_id, None)

    def write(self, method: str, params: Params, session_id: str | None, session: Session) -> int | None:
        """Send a call; return its id, None if the pipe is closed."""
        if self._writer is None or self._writer.is_closing():
            return None
        self._last_id += 1
        message: Params = {"id": self._last_id, "method": method, "params": params}
        if session_id:
            message["sessionId"] = session_id
        self._callers[self._last_id] = session
        self._writer.write(to_json(message) + b"\0")
        return self._last_id

    def feed(self, data: bytes) -> None:
        """Take what the pipe brought: any number of whole messages and parts of them."""
        *ended, rest = data.split(b"\0")
        for part in ended:
            self._keep(part)
            message, is_too_long = b"".join(self._chunks), self._is_too_long
            self._chunks, self._chunks_bytes, self._is_too_long = [], 0, False
            if not is_too_long:
                self._receive(_parse(message))
        if rest:
            self._keep(rest)

    def _keep(self, chunk: bytes) -> None:
        """Add to the message that is coming in; what is too long is let go at once, and no handler sees it."""
        if self._is_too_long:
            return
        self._chunks.append(chunk)
        self._chunks_bytes += len(chunk)
        if self._chunks_bytes > _EVENT_MAX_BYTES and not self._begins_an_answer():
            _log.warning("cdp_event_dropped", limit_bytes=_EVENT_MAX_BYTES)
            self._chunks, self._is_too_long = [], True

    def _begins_an_answer(self) -> bool:
        beginning = b""
        for chunk in self._chunks:
            beginning += chunk[: len(_ANSWER_BEGINS)]
            if len(beginning) >= len(_ANSWER_BEGINS):
                break
        return beginning.startswith(_ANSWER_BEGINS)

    def close(self) -> None:
        """Close both ends; pending calls raise `ConnectionLost`. Chromium exits when its end of the pipe closes."""
        for transport in (self._reader, self._writer):
            if transport is not None:
                transport.close()
        self.lose("the browser was closed")

    def lose(self, reason: str) -> None:
        self._callers.clear()
        for session in tuple(self._sessions.values()):
            session.lose(reason)
        self.closed.set()

    def _on_detached(self, event: Params) -> None:
        session = self._sessions.get(event.get("sessionId"))
        if session is not None:
            session.lose("the page closed itself")

    def _receive(self, message: Params) -> None:
        if (call_id := message.get("id")) is not None:
            session = self._callers.pop(call_id, None)
            if session is not None:
                session.resolve(call_id, message)
            return
        session = self._sessions.get(message.get("sessionId"))
        if session is not None:
            session.dispatch(message["method"], message.get("params", {}))


class _PipeReader(asyncio.Protocol):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lose("the browser is gone")


def _parse(message: bytes) -> Params:
    try:
        return from_json(message)
    except ValueError:
        # A page's text may hold half a surrogate pair (`document.title = "\ud800"`), which is no Unicode.
        return _repaired(json.loads(message))


def _repaired(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_repaired(each) for each in cast("list[Any]", value)]
        case dict():
            return {_repaired(name): _repaired(each) for name, each in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _mark_seen(future: asyncio.Future[Params]) -> None:
    if not future.cancelled():
        future.exception()
