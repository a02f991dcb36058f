"""What may leave the server, and what may not: the rules that hold after every test of the laboratory.

The list of addresses that are not public is the judge's own, written from the registries and not from `calotype.guard`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from .hostile_dns import NAMESERVER
from .internet import Visit
from .watch import Packet
from .wiring import BARE, BARE_V6, BROWSER, BROWSER_V6, DEVICE, OWN_ADDRESSES, SERVER, SERVER_V6

CLIENT = "127.0.0.99"
"""Where the tests' own clients connect from, so that nobody is taken for them."""

_CHANNELS = ip_network("127.9.0.0/16")
_NAT64 = ip_network("64:ff9b::/96")
_NOT_PUBLIC = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        # All but 2000::/3, and what IANA's registry of special addresses takes out of it.
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
_ICMPV6_OF_THE_KERNEL = range(130, 138)  # multicast listeners and neighbours (RFC 2710, RFC 4861)
_MLD2 = 143  # RFC 3810


def is_public(address: str) -> bool:
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed in _NAT64:
        parsed = IPv4Address(int(parsed) & 0xFFFF_FFFF)
    return not any(parsed in network for network in _NOT_PUBLIC)


class Judge:
    """Knows which endpoints of the machine are the server's own."""

    def __init__(self) -> None:
        self.proxies: set[int] = set()
        """Ports of the guard's channels."""
        self.servers: set[int] = set()
        """Ports of the HTTP API."""

    def violations(self, packets: Iterable[Packet], visits: Iterable[Visit]) -> list[str]:
        """Everything that the rules forbid, in words."""
        return [
            *(f"{reason}: {packet}" for packet in packets if (reason := self._forbids_packet(packet))),
            *(f"{reason}: {visit}" for visit in visits if (reason := self._forbids_visit(visit))),
        ]

    def _forbids_packet(self, packet: Packet) -> str | None:
        if packet.protocol == "icmpv6" and (packet.port in _ICMPV6_OF_THE_KERNEL or packet.port == _MLD2):
            return None
        if packet.device == DEVICE:
            return self._forbids_outside(packet)
        if packet.source == CLIENT:
            return None
        if packet.protocol != "tcp" or packet.is_stray:
            return "not TCP over loopback"
        if ip_address(packet.destination) in _CHANNELS and packet.port in self.proxies:
            return None
        return "loopback beside the proxy"

    def _forbids_outside(self, packet: Packet) -> str | None:
        if packet.source in (BROWSER, BROWSER_V6):
            return "past the proxy"
        if packet.source not in (SERVER, SERVER_V6):
            return "of an unknown source"
        if packet.protocol == "udp" and (packet.destination, packet.port) == (NAMESERVER, 53):
            return None
        if packet.protocol != "tcp" or packet.is_stray:
            return "not TCP"
        return None if is_public(packet.destination) else "to an address that is not public"

    def _forbids_visit(self, visit: Visit) -> str | None:
        if visit.source in (CLIENT, BARE, BARE_V6):
            return None
        if visit.place == "machine" or visit.address in OWN_ADDRESSES or not is_public(visit.address):
            return "canary"
        return "past the proxy" if visit.source in (BROWSER, BROWSER_V6) else None
