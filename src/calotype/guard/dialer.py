"""Connect to one of the addresses that the policy checked, and to nothing else.

A name with several addresses is tried the way browsers do (RFC 8305): alternating between IPv6 and IPv4, the next one
when the last has failed or has not answered for a moment, the first to connect wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Protocol

from calotype.guard.address import IPAddress
from calotype.guard.wire import Wire

_NEXT_ATTEMPT_S = 0.25  # RFC 8305 section 8
_MAX_ATTEMPTS = 6


class Dialer(Protocol):
    """Opens connections to checked addresses; the seam at which tests stand in for the internet."""

    async def dial(self, addresses: Sequence[IPAddress], port: int, make_wire: Callable[[], Wire]) -> Wire:
        """Return the first connection made.

        Raises:
            OSError: none could be made, within the time; also as TimeoutError.
        """
        ...


class SocketDialer:
    """The real one."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    async def dial(self, addresses: Sequence[IPAddress], port: int, make_wire: Callable[[], Wire]) -> Wire:
        async with asyncio.timeout(self._timeout_s):
            ordered = alternate(addresses)[:_MAX_ATTEMPTS]
            if len(ordered) == 1:
                return await _connect(ordered[0], port, make_wire)
            return await _race(ordered, port, make_wire)


def alternate(addresses: Sequence[IPAddress]) -> list[IPAddress]:
    """Order the addresses by turns of the IP version, beginning with the first one's."""
    first = [address for address in addresses if address.version == addresses[0].version]
    others = [address for address in addresses if address.version != addresses[0].version]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]


async def _connect(address: IPAddress, port: int, make_wire: Callable[[], Wire]) -> Wire:
    # A literal address: the event loop looks nothing up.
    _, wire = await asyncio.get_running_loop().create_connection(make_wire, str(address), port)
    return wire


async def _race(addresses: Sequence[IPAddress], port: int, make_wire: Callable[[], Wire]) -> Wire:
    attempts: set[asyncio.Task[Wire]] = set()
    waiting = list(addresses)
    winner: asyncio.Task[Wire] | None = None
    error: BaseException = OSError("no address to connect to")
    try:
        while winner is None and (waiting or attempts):
            if waiting:
                attempts.add(asyncio.create_task(_connect(waiting.pop(0), port, make_wire), name="guard-dial"))
            done, attempts = await asyncio.wait(
                attempts, timeout=_NEXT_ATTEMPT_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                if failure := attempt.exception():
                    error = failure
                elif winner is None:
                    winner = attempt
                else:
                    attempt.result().abort()
    finally:
        await _give_up(attempts)
    if winner is None:
        raise error
    return winner.result()


async def _give_up(attempts: set[asyncio.Task[Wire]]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, Wire):  # connected in the last moment
            result.abort()
