"""Serve one connection of the browser: every request on it is parsed, decided and recorded on its own.

To the page a refused target, one without an address and one that does not answer are the same bare 502; only the
records know which it was. The connection to the origin is kept while requests for the same origin follow each other,
which is how browsers use a proxy's connections.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from calotype.guard.http1 import BadMessage, RequestHead, ResponseHead, parse_request, parse_response
from calotype.guard.policy import Decision
from calotype.guard.records import Records, Verdict, VerdictKind, verdict_of
from calotype.guard.relay import relay_body, relay_tunnel
from calotype.guard.target import Target, target_of
from calotype.guard.wire import HeadTooLarge, Wire, WireLost

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_MAX_INTERIM = 16  # 1xx answers to one request


class Egress(Protocol):
    """What a connection needs of its channel."""

    @property
    def records(self) -> Records: ...

    @property
    def is_over_bytes(self) -> bool: ...

    async def decide(self, host: str, port: int) -> Decision: ...

    async def dial(self, decision: Decision, port: int) -> Wire: ...


class _Failed(Exception):
    """There is no answer of the origin to pass on."""

    def __init__(self, kind: VerdictKind, reason: str) -> None:
        super().__init__(reason)
        self.verdict = Verdict(kind, reason)


class ClientConnection:
    """The connection. `serve()` returns when it is over, and leaves nothing open."""

    def __init__(self, client: Wire, egress: Egress, *, is_surplus: bool = False) -> None:
        """
        Args:
            is_surplus: the channel has its connections already: refuse this one's first request and close it.
        """
        self._is_surplus = is_surplus
        self._client = client
        self._egress = egress
        self._upstream: Wire | None = None
        self._upstream_of: tuple[str, int] | None = None

    async def serve(self) -> None:
        """Serve requests until one side closes."""
        try:
            while await self._serve_next():
                await self._client.drain()
                if self._client.has_pending:  # asked without waiting for answers: let others have their turn
                    await asyncio.sleep(0)
        except BaseException as error:
            # Cancelled, or broken off in the middle of an answer: the browser must see that there was no end.
            self._client.abort()
            if self._upstream is not None:
                self._upstream.abort()
            if not isinstance(error, WireLost):
                raise
        else:
            self._client.close()
            self._leave_upstream()

    async def _serve_next(self) -> bool:
        """Serve one request; return whether another may follow."""
        try:
            head = await self._client.read_head()
            if not head:
                return False
            request = parse_request(head)
            target = target_of(request)
        except (BadMessage, HeadTooLarge):
            self._client.write(_BAD_REQUEST)
            return False
        try:
            decision = await self._permit(target)
            if request.method == b"CONNECT":
                return await self._tunnel(target, decision)
            return await self._forward(request, target, decision)
        except _Failed as failed:
            self._egress.records.fail(target.key, failed.verdict)
            self._client.write(_BAD_GATEWAY)
            return request.keep_alive and request.body.kind == "none" and not self._is_surplus

    async def _permit(self, target: Target) -> Decision:
        if self._is_surplus:
            raise _Failed("limit", "max_connections")
        if self._egress.is_over_bytes:
            raise _Failed("limit", "max_bytes")
        decision = await self._egress.decide(target.host, target.port)
        if not decision.allowed:
            verdict = verdict_of(decision)
            raise _Failed(verdict.kind, verdict.reason)
        return decision

    async def _tunnel(self, target: Target, decision: Decision) -> bool:
        upstream = await self._dial(target, decision)
        self._client.write(_ESTABLISHED)
        self._egress.records.clear(target.key)
        await relay_tunnel(self._client, upstream)
        if self._egress.is_over_bytes:
            self._egress.records.fail(target.key, Verdict("limit", "max_bytes"))
        return False

    async def _forward(self, request: RequestHead, target: Target, decision: Decision) -> bool:
        upstream, is_reused = await self._upstream_for(request, target, decision)
        try:
            return await self._exchange(upstream, request, target)
        except _Failed as failed:
            # The origin may have closed a kept connection just as we used it (RFC 9112 section 9.3.1).
            if not is_reused or failed.verdict.reason != "connection_lost":
                raise
        return await self._exchange(await self._dial(target, decision), request, target)

    async def _exchange(self, upstream: Wire, request: RequestHead, target: Target) -> bool:
        """Send the request, pass the answer on; return whether the browser's connection can carry another one."""
        if self._client.has_ended:
            raise WireLost
        self._client.on_ended = upstream.abort  # a browser that closes its side has given up on the answer
        upstream.write(request.serialise(host=target.host_field, target=target.path))
        sending = self._begin_sending(upstream, request)
        try:
            response = await self._response(upstream, request)
            self._egress.records.clear(target.key)
            await self._pass_on(upstream, response, target)
        finally:
            self._client.on_ended = None
            is_sent = sending is None or sending.done()
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        if not (response.keep_alive and is_sent):
            self._leave_upstream()
        return request.keep_alive and is_sent and response.body.kind != "until_close"

    def _begin_sending(self, upstream: Wire, request: RequestHead) -> asyncio.Task[None] | None:
        """Send the body beside waiting for the answer, which may come before the body has gone."""
        if request.body.kind == "none":
            return None
        return asyncio.create_task(self._send_body(upstream, request), name="guard-send")

    async def _send_body(self, upstream: Wire, request: RequestHead) -> None:
        try:
            await relay_body(self._client, upstream, request.body)
        except (WireLost, BadMessage):
            upstream.abort()  # the origin must not take a half for the whole; the answer's reader notices

    async def _response(self, upstream: Wire, request: RequestHead) -> ResponseHead:
        try:
            for _ in range(_MAX_INTERIM):
                head = await upstream.read_head()
                if not head:
                    raise WireLost
                response = parse_response(head, method=request.method)
                if response.status >= 200:
                    return response
                if response.status == 100 and request.body.kind != "none":
                    self._client.write(_CONTINUE)
            raise BadMessage("too many interim answers")
        except (BadMessage, HeadTooLarge) as error:
            self._abort_upstream()
            raise _Failed("unreachable", "bad_response") from error
        except WireLost as error:
            self._abort_upstream()
            if self._client.has_ended:
                raise
            if self._egress.is_over_bytes:
                raise _Failed("limit", "max_bytes") from error
            raise _Failed("unreachable", "connection_lost") from error

    async def _pass_on(self, upstream: Wire, response: ResponseHead, target: Target) -> None:
        try:
            await relay_body(upstream, self._client, response.body, head=response.serialise())
        except (WireLost, BadMessage) as error:
            if self._egress.is_over_bytes:
                self._egress.records.fail(target.key, Verdict("limit", "max_bytes"))
            raise WireLost from error

    async def _upstream_for(self, request: RequestHead, target: Target, decision: Decision) -> tuple[Wire, bool]:
        """Return a connection to the origin and whether it was used before, which only repeatable requests may risk."""
        may_reuse = request.method in _REPEATABLE and request.body.kind == "none"
        kept = self._upstream
        if kept is not None and may_reuse and self._upstream_of == (target.host, target.port) and kept.is_usable:
            return kept, True
        return await self._dial(target, decision), False

    async def _dial(self, target: Target, decision: Decision) -> Wire:
        self._leave_upstream()
        try:
            self._upstream = await self._egress.dial(decision, target.port)
        except OSError as error:
            raise _Failed("unreachable", "connect_failed") from error
        self._upstream_of = (target.host, target.port)
        return self._upstream

    def _leave_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def _abort_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.abort()
            self._upstream = None
