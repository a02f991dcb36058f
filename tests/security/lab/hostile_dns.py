"""The DNS server that calotype is told to ask: it knows every name, and answers what the attacker likes.

`zones` holds scripts for names; of other names those that spell an address (as sslip.io does) lead there, those below
`.invalid` do not exist, and all the rest are a public address.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from .namespace import Namespace

NAMESERVER = "9.9.9.9"
PUBLIC = "93.184.216.34"
_PORT = 53
_INNER_NAMES = {"localtest.me": "127.0.0.1", "vcap.me": "127.0.0.1"}
_DASHED = re.compile(r"(?:^|[.-])(\d{1,3}(?:[.-]\d{1,3}){3})$")
_HEX = re.compile(r"(?:^|[.-])([0-9a-f]{8})$")

Script = Callable[[str, int], list[str]]
"""Of the question's type (`A`, `AAAA`) and how often it was asked before: the addresses of either version."""


class HostileDns:
    """Its sockets are made by the lab, its work is done in the loop of the internet."""

    def __init__(self) -> None:
        self.zones: dict[str, Script] = {}
        self.questions: Counter[tuple[str, str]] = Counter()
        """By name, without the root's dot, and type."""

    def name(self, name: str, *addresses: str) -> str:
        """Let the name have exactly these addresses; return it."""
        self.zones[name] = lambda kind, nth: list(addresses)
        return name

    def names(self) -> set[str]:
        """The names that were asked for."""
        return {name for name, _ in self.questions}

    def sockets(self, internet: Namespace) -> tuple[socket.socket, socket.socket]:
        datagrams = internet.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind((NAMESERVER, _PORT))
        return datagrams, internet.listener(_PORT, NAMESERVER)

    async def start(self, sockets: tuple[socket.socket, socket.socket]) -> tuple[asyncio.BaseTransport, asyncio.Server]:
        datagrams, listener = sockets
        datagrams.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Udp(self), sock=datagrams)
        return transport, await asyncio.start_server(self._serve_tcp, sock=listener)

    def answer(self, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        nth = self.questions[name, kind]
        self.questions[name, kind] += 1
        addresses = self._addresses(name, kind, nth)
        if addresses is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif kind in ("A", "AAAA"):
            found = [address for address in addresses if (":" in address) == (kind == "AAAA")]
            if found:
                response.answer.append(dns.rrset.from_text(question.name, 0, "IN", kind, *found))
        return response.to_wire()

    def _addresses(self, name: str, kind: str, nth: int) -> list[str] | None:
        if script := self.zones.get(name):
            return script(kind, nth)
        if name.endswith(".invalid"):
            return None
        return [_INNER_NAMES.get(name) or _spelled(name) or PUBLIC]

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.answer(await reader.readexactly(length))
                writer.write(len(answer).to_bytes(2, "big") + answer)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, dns: HostileDns) -> None:
        self._dns = dns

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(self._dns.answer(data), address)


def _spelled(name: str) -> str | None:
    """The address inside a name of sslip.io or nip.io."""
    for zone in (".sslip.io", ".nip.io"):
        if name.endswith(zone):
            label = name.removesuffix(zone)
            if found := _DASHED.search(label):
                return str(ip_address(found[1].replace("-", ".")))
            if found := _HEX.search(label):
                return str(IPv4Address(int(found[1], 16)))
            last = label.rpartition(".")[2]
            if "--" in last or last.count("-") == 7:
                return str(IPv6Address(last.replace("-", ":")))
    return None
