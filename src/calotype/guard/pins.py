"""The names that one capture asked for, and the addresses that it will use for each to its end.

A name is looked up once, also when many requests want it at the same moment: what DNS says later changes nothing, which
is what takes the ground from DNS rebinding.
"""

from __future__ import annotations

import asyncio

from calotype.guard.address import IPAddress
from calotype.guard.resolver import Resolver

MAX_NAMES = 1_000
"""Names of one capture: ten times the busiest real pages. A page that invents names can't flood the DNS server."""

_LOOKUPS_AT_ONCE = 8  # a page whose names are slow to look up must not take all the resolver's time from the others


class TooManyNames(Exception):
    """The capture has used up its names."""


class Pins:
    """One capture's names. `close()` it: lookups may be under way."""

    def __init__(self, *, max_names: int = MAX_NAMES) -> None:
        self._lookups: dict[str, asyncio.Task[tuple[IPAddress, ...]]] = {}
        self._max_names = max_names
        self._turns = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def lookup(self, name: str, resolver: Resolver) -> tuple[IPAddress, ...]:
        """Return the name's addresses, none if it has none; ask the resolver only for a new name.

        Raises:
            TooManyNames
        """
        lookup = self._lookups.get(name)
        if lookup is None:
            if len(self._lookups) >= self._max_names:
                raise TooManyNames
            lookup = self._lookups[name] = asyncio.create_task(self._resolve(name, resolver), name="guard-lookup")
        # Shielded: one request that goes away must not take the answer from the others.
        return await asyncio.shield(lookup)

    async def close(self) -> None:
        """Give up the lookups under way."""
        for lookup in self._lookups.values():
            lookup.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)
        self._lookups.clear()

    async def _resolve(self, name: str, resolver: Resolver) -> tuple[IPAddress, ...]:
        async with self._turns:
            return tuple(await resolver.resolve(name))
