"""One capture's own way out: its listener, its limits, what it asked for and what became of it.

A channel opens every connection of its capture and closes all of them with itself; nothing of one channel is seen or
used by another.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

import structlog

from calotype.guard.address import AddressClass, classify, parse_address
from calotype.guard.dialer import Dialer
from calotype.guard.exchange import ClientConnection
from calotype.guard.pins import Pins
from calotype.guard.policy import NO_RULES, Decision, EgressPolicy
from calotype.guard.records import BlockedRequest, Records, Verdict
from calotype.guard.wire import Wire
from calotype.settings import GuardSettings, TargetRules

_log = structlog.get_logger(__name__)
_MAX_LOG_LINES = 100  # refusals of one capture: a page must not fill the log
_MAX_DECISIONS = 10_000


class Channel:
    """Opened by `EgressProxy.open_channel`; its owner closes it."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        policy: EgressPolicy,
        dialer: Dialer,
        settings: GuardSettings,
        counts: Counter[str],
        on_closed: Callable[[Channel], None],
    ) -> None:
        """
        Args:
            counts: of all channels together: decisions by reason, and limits reached.
        """
        host, self.port = listener.getsockname()
        self.server = f"{host}:{self.port}"
        """For Chromium's `proxyServer`."""
        self.request_id: str | None = None
        """Set it once it is known whose capture this is: log lines carry it."""
        self.bytes_received = 0
        self.connections = 0
        """Connections made to targets."""
        self.records = Records()
        self._listener = listener
        self._policy = policy
        self._dialer = dialer
        self._settings = settings
        self._pins = Pins()
        self._rules = NO_RULES
        self._decisions: dict[tuple[str, int], Decision] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: set[Wire] = set()
        self._clients = 0
        self._denials = 0
        self._limits: dict[str, None] = {}
        self._counts = counts
        self._time_limit: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None
        self._on_closed = on_closed

    def apply(self, rules: TargetRules) -> None:
        """Allow and deny further targets to this capture alone. Call it before navigating.

        Raises:
            ValueError: an entry can't be read.
        """
        self._policy.check(rules)
        self._rules = rules
        self._decisions.clear()

    def verdict_for(self, url: str) -> Verdict | None:
        """Return why the latest request for the URL came to nothing; None if it went well or was never made.

        Of https and WebSocket URLs only host and port count: the rest is inside the tunnel.
        """
        return self.records.verdict_for(url)

    def blocked(self) -> list[BlockedRequest]:
        """Return the distinct places that were refused, in order; the first hundred."""
        return self.records.blocked

    def limits_reached(self) -> list[str]:
        """Return the limits that cut this capture short: `max_bytes`, `max_connections`, `max_time`, `max_names`."""
        return list(self._limits)

    async def close(self) -> None:
        """Close the listener and every connection, end all work for them. Also more than once, also at once."""
        if self._closed is None:
            self._closed = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closed)

    # --- for the proxy and the connections ----------------------------------------------------------------------------

    async def listen(self) -> None:
        """Begin to accept. The listener is the channel's from here on, also if this fails."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Wire(on_made=self._accept), sock=self._listener)
        except BaseException:
            self._listener.close()
            raise

    @property
    def is_over_bytes(self) -> bool:
        return self.bytes_received > self._settings.max_bytes

    async def decide(self, host: str, port: int) -> Decision:
        """Ask the policy, once per host and port; write refusals down."""
        if "max_time" in self._limits:
            return Decision(False, "max_time")
        known = self._decisions.get((host, port))
        if known is not None:
            return known
        decision = await self._policy.decide(host, port, self._pins, self._rules)
        if (host, port) not in self._decisions:  # else another request was waiting for the same answer
            self._note(host, port, decision)
            if len(self._decisions) < _MAX_DECISIONS:
                self._decisions[host, port] = decision
        return decision

    async def dial(self, decision: Decision, port: int) -> Wire:
        """Connect to an address of the decision.

        Raises:
            OSError
        """
        wire = await self._dialer.dial(decision.addresses, port, self._make_upstream)
        self.connections += 1
        return wire

    # ------------------------------------------------------------------------------------------------------------------

    def _note(self, host: str, port: int, decision: Decision) -> None:
        self._counts[decision.reason] += 1
        fields: dict[str, object] = {"host": host, "port": port, "reason": decision.reason, "channel": self.server}
        fields["refused"] = [str(address) for address in decision.refused]
        fields["request_id"] = self.request_id
        if decision.allowed:
            _log.debug("egress_allowed", addresses=[str(address) for address in decision.addresses], **fields)
            return
        if decision.reason == "too_many_names":
            self._reach("max_names")
        elif decision.reason != "unresolvable":
            self.records.block(host, port, decision)
        self._denials += 1
        if self._denials <= _MAX_LOG_LINES:
            _log.info("egress_denied", **fields)

    def _make_upstream(self) -> Wire:
        return Wire(on_made=self._keep, on_bytes=self._count)

    def _count(self, received_bytes: int) -> bool:
        self.bytes_received += received_bytes
        if self.is_over_bytes:
            self._reach("max_bytes")
        return not self.is_over_bytes

    def _reach(self, limit: str) -> None:
        if limit not in self._limits:
            self._limits[limit] = None
            self._counts[limit] += 1
            _log.info("egress_limit_reached", limit=limit, channel=self.server, request_id=self.request_id)

    def _end_time(self) -> None:
        self._reach("max_time")
        for wire in list(self._wires):
            wire.abort()

    def _keep(self, wire: Wire) -> None:
        if self._closed is not None:
            wire.abort()
        self._wires.add(wire)
        wire.on_lost = self._wires.discard

    def _accept(self, wire: Wire) -> None:
        self._keep(wire)
        if self._closed is not None or not _is_loopback(wire.peer_host):
            wire.abort()
            return
        task = asyncio.create_task(self._serve(wire), name="guard-client")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire) -> None:
        if self._time_limit is None:
            self._time_limit = asyncio.get_running_loop().call_later(self._settings.max_time_s, self._end_time)
        self._clients += 1
        is_surplus = self._clients > self._settings.max_connections
        if is_surplus:
            self._reach("max_connections")
        try:
            await ClientConnection(wire, self, is_surplus=is_surplus).serve()
        finally:
            self._clients -= 1

    async def _close(self) -> None:
        if self._time_limit is not None:
            self._time_limit.cancel()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pins.close()
        wires = list(self._wires)
        for wire in wires:
            wire.abort()
        for wire in wires:
            await wire.wait_lost()
        if self._server is not None:
            await self._server.wait_closed()
        if self._denials > _MAX_LOG_LINES:
            _log.info("egress_denials_unlogged", number=self._denials - _MAX_LOG_LINES, request_id=self.request_id)
        self._on_closed(self)


def _is_loopback(host: str) -> bool:
    return bool(host) and classify(parse_address(host)) == AddressClass.LOOPBACK
