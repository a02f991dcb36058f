"""The forward proxy that is Chromium's only way to the network, in our event loop.

A channel per capture does the work; this opens them, knows them all, and closes what is left at the end. A process of
its own brought nothing (`docs/adr/0002`), as long as nobody blocks the loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from calotype.guard.channel import Channel
from calotype.guard.dialer import Dialer, SocketDialer
from calotype.guard.listener import Listeners, open_listeners
from calotype.guard.policy import EgressPolicy
from calotype.settings import GuardSettings, TargetRules


class EgressProxy:
    """Start it before Chromium, stop it after."""

    def __init__(
        self,
        policy: EgressPolicy,
        settings: GuardSettings,
        *,
        dialer: Dialer | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        self._policy = policy
        self._settings = settings
        self._dialer = dialer or SocketDialer(timeout_s=settings.connect_timeout_s)
        self._listeners = listeners
        self._channels: set[Channel] = set()
        self.counts: Counter[str] = Counter()
        """Decisions by reason, a host and port counted once per capture; limits reached, once per capture."""
        self._closed_bytes = 0
        self._closed_connections = 0

    @property
    def bytes_received(self) -> int:
        """By all captures so far."""
        return self._closed_bytes + sum(channel.bytes_received for channel in self._channels)

    @property
    def connections(self) -> int:
        """Made to targets so far."""
        return self._closed_connections + sum(channel.connections for channel in self._channels)

    @property
    def port(self) -> int:
        """The one port of all channels, from `start()` on; 0 where each channel has its own."""
        return self._listeners.port if self._listeners else 0

    async def start(self) -> None:
        """Take the port. The policy refuses the proxy's own endpoints from here on."""
        if self._listeners is None:
            self._listeners = open_listeners()
        self._policy.keep_from(self._listeners.owns)

    async def stop(self) -> None:
        """Close the channels that are still open, and the port."""
        await asyncio.gather(*(channel.close() for channel in list(self._channels)))
        if self._listeners is not None:
            self._listeners.close()
            self._listeners = None

    async def permit(self, url: str, rules: TargetRules) -> str:
        """As `EgressPolicy.permit`."""
        return await self._policy.permit(url, rules)

    async def open_channel(self) -> Channel:
        """Open a way out for one capture; the caller closes it.

        Raises:
            RuntimeError: the proxy is not running.
            OSError: no place to listen.
        """
        if self._listeners is None:
            raise RuntimeError("the proxy is not running")
        channel = Channel(
            self._listeners.bind(),
            policy=self._policy,
            dialer=self._dialer,
            settings=self._settings,
            counts=self.counts,
            on_closed=self._forget,
        )
        await channel.listen()
        self._channels.add(channel)
        return channel

    def _forget(self, channel: Channel) -> None:
        if channel in self._channels:
            self._channels.discard(channel)
            self._closed_bytes += channel.bytes_received
            self._closed_connections += channel.connections
        if self._listeners is not None:
            self._listeners.release(channel.port)
