"""Which ports a capture may visit: those that browsers open, narrowed by `guard.ports`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# https://fetch.spec.whatwg.org/#port-blocking (2025-06): other protocols' ports, which could be made to obey.
_UNSAFE_PORTS = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109}
    | {110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530}
    | {531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190}
    | {5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}
)
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PortPolicy:
    """The ranges of the setting, none meaning no further limit."""

    ranges: tuple[range, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[int | str], *, setting: str) -> PortPolicy:
        """
        Raises:
            ValueError: names the setting and the entry that is neither a port nor a range of ports.
        """
        return cls(tuple(_range(str(entry), setting) for entry in entries))

    def refusal(self, port: int) -> Literal["unsafe_port", "port_policy"] | None:
        """Return why the port is not visited."""
        if port in _UNSAFE_PORTS:
            return "unsafe_port"
        if self.ranges and not any(port in each for each in self.ranges):
            return "port_policy"
        return None


def _range(entry: str, setting: str) -> range:
    first, dash, last = entry.partition("-")
    try:
        ports = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        ports = range(0)
    if not ports or ports.start < 1 or ports.stop - 1 > _LAST_PORT:
        raise ValueError(f"{setting}: {entry!r} is not a port from 1 to {_LAST_PORT} or a range such as 8000-8999")
    return ports
