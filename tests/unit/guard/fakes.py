"""Stand-ins at the guard's two seams: DNS and the way to public addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from calotype.guard.address import IPAddress, parse_address
from calotype.guard.wire import Wire


class FakeResolver:
    """Answers from a table; a name with several answers gets them in turn, the last one for ever."""

    def __init__(self, answers: dict[str, list[str] | list[list[str]]] | None = None) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[list[str]]] = {}
        for name, answer in (answers or {}).items():
            turns = answer if answer and isinstance(answer[0], list) else [answer]
            self._answers[name] = list(turns)  # type: ignore[arg-type]

    async def resolve(self, name: str) -> Sequence[IPAddress]:
        self.asked.append(name)
        turns = self._answers.get(name, [[]])
        answer = turns.pop(0) if len(turns) > 1 else turns[0]
        return [parse_address(text) for text in answer]


class FakeInternet:
    """A dialer to whom every address is a server on loopback: 127.0.0.1 at the port asked for, or as `ports` says."""

    def __init__(self, ports: dict[tuple[str, int], int] | None = None) -> None:
        self.dialled: list[tuple[tuple[str, ...], int]] = []
        self._ports = ports or {}

    async def dial(self, addresses: Sequence[IPAddress], port: int, make_wire: Callable[[], Wire]) -> Wire:
        self.dialled.append((tuple(map(str, addresses)), port))
        local_port = self._ports.get((str(addresses[0]), port), port)
        _, wire = await asyncio.get_running_loop().create_connection(make_wire, "127.0.0.1", local_port)
        return wire
