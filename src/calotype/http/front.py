"""The outermost layer around every request: its id, its log line, and the headers that every answer carries.

Also the last resort: whatever a handler did not turn into an answer is turned into one here.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calotype.errors import ERRORS, ShuttingDown
from calotype.http.envelope import CLIENT_GONE_STATUS, crash_response, error_response
from calotype.http.observed import UNWATCHED, Observer
from calotype.http.record import RequestRecord, open_record
from calotype.http.standing import standing_headers

_log = structlog.get_logger(__name__)

_PATH_MAX_CHARS = 256
_CLIENT_MAX_CHARS = 64  # an address, or what a trusted proxy calls one


class Front:
    """ASGI middleware; the first to see a request and the last to see its answer."""

    def __init__(self, app: ASGIApp, *, observer: Observer, hsts_max_age_s: int = 0) -> None:
        """
        Args:
            hsts_max_age_s: of `Strict-Transport-Security` (RFC 6797) in answers over HTTPS; 0: none.
        """
        self._app = app
        self._observer = observer
        self._hsts = f"max-age={hsts_max_age_s}" if hsts_max_age_s else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = open_record(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=record.request_id)
        answer = _Answer(send, record, hsts=self._hsts if scope["scheme"] == "https" else None)
        with self._observer.request(scope) as observed:
            try:
                await self._handle(scope, receive, answer)
            finally:
                _log_answer(scope, record, answer)
                observed.answered(answer.status, record)

    async def _handle(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:
            # Only the server cancels a request: when it must end and the request does not.
            if not answer.has_begun:
                await error_response(ShuttingDown(), scope)(scope, receive, answer.send)
            raise
        except Exception as crash:
            if answer.has_begun:
                raise  # half an answer can't be mended: the server closes the connection, and logs why
            await crash_response(crash, scope)(scope, receive, answer.send)


class _Answer:
    """Watches an answer go by and adds what every answer has."""

    def __init__(self, send: Send, record: RequestRecord, *, hsts: str | None) -> None:
        self._send = send
        self._record = record
        self._hsts = hsts
        self._started_at = time.perf_counter()
        self.status = CLIENT_GONE_STATUS
        self.has_begun = False

    @property
    def elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._started_at) * 1000, 1)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._record.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            if self._hsts is not None:
                headers["Strict-Transport-Security"] = self._hsts
            standing = await self._record.caller_standing()
            if standing is not None:
                headers.update(standing_headers(standing))
            if self._record.is_embeddable:
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        await self._send(message)


def _log_answer(scope: Scope, record: RequestRecord, answer: _Answer) -> None:
    code = record.error_code
    level = ERRORS[code].log_level if code in ERRORS else "info"
    if scope["path"] in UNWATCHED and code is None:
        level = "debug"
    client = scope["client"][0][:_CLIENT_MAX_CHARS] if scope["client"] else None
    optional = {"client": client, "key_id": record.key_id, "error": code, "client_request_id": record.client_request_id}
    getattr(_log, level)(
        "request_answered",
        method=scope["method"],
        path=_path(scope),
        status=answer.status,
        elapsed_ms=answer.elapsed_ms,
        **{name: value for name, value in optional.items() if value is not None},
    )


def _path(scope: Scope) -> str:
    """The path as it was sent, still percent-encoded: nothing in it can break a log line. Never the query."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode("ascii", "backslashreplace")
    return raw_path.partition(b"?")[0].decode("latin-1")[:_PATH_MAX_CHARS]
