"""The failures that no application sees: bytes that are not HTTP, or that never come. uvicorn answers the first; here
in our envelope. For the second it has no bound: whoever connects and says nothing, or half a head, would keep a file
descriptor for ever (https://datatracker.ietf.org/doc/html/rfc9110#name-408-request-timeout).

h11 rather than httptools: httptools loses the body of a request that offers an upgrade, as Java's HTTP client does by
default (https://github.com/Kludex/uvicorn/issues/2722), and has no bound for the size of a request's head. Its speed is
of no use to a server that makes some pictures a second.
"""

from __future__ import annotations

import asyncio

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from calotype.errors import InvalidRequest
from calotype.http.envelope import envelope
from calotype.http.record import RequestRecord

HEAD_MAX_BYTES = 64 * 2**10
"""Of a request's first line and headers: css and js may be in the query."""

HEAD_TIMEOUT_S = 30.0
"""From a connection's beginning, or the first byte after an answer, to the end of the request's head."""

_log = structlog.get_logger(__name__)


class HttpProtocol(H11Protocol):
    """uvicorn's protocol with our words."""

    _head_timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_head()

    def _await_head(self) -> None:
        """Begin to count when a head is due, and stop when it came. Bytes that come slowly begin nothing anew."""
        if self.conn.their_state is not h11.IDLE or self.timeout_keep_alive_task is not None:
            self._head_came()  # or uvicorn counts: between an answer and the next request's first byte
        elif self._head_timeout is None:
            self._head_timeout = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _head_came(self) -> None:
        if self._head_timeout is not None:
            self._head_timeout.cancel()
            self._head_timeout = None

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer_nonsense()
        self.transport.close()

    def _answer_nonsense(self) -> None:
        record = RequestRecord()
        message = f"This is not a valid HTTP request, or its head is over {HEAD_MAX_BYTES} bytes."
        body = envelope(InvalidRequest(message), record.request_id)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-request-id": record.request_id,
            "x-content-type-options": "nosniff",
            "connection": "close",
        }
        head = h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request")
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        _log.info("request_answered", request_id=record.request_id, status=400, error=InvalidRequest.code)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: clients may offer, servers may ignore (RFC 9110, section 7.8)."""
