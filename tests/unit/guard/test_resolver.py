"""Both resolvers: the system's, and given DNS servers, here a small one of our own on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from calotype.guard.resolver import DnsResolver, SystemResolver, open_resolver

ZONE = {
    ("both.example.", "A"): ["1.1.1.1", "8.8.8.8"],
    ("both.example.", "AAAA"): ["2606:4700::1111"],
    ("mapped.example.", "AAAA"): ["::ffff:10.0.0.1"],
    ("only4.example.", "A"): ["1.1.1.1"],
}
BROKEN = "broken.example."


class NameServer(asyncio.DatagramProtocol):
    """Answers from ZONE; NXDOMAIN for other names; not at all for BROKEN."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = str(question.name), question.rdtype.name
        self.asked.append((name, kind))
        if name == BROKEN:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if records := ZONE.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif not any(known == name for known, _ in ZONE):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def nameserver() -> AsyncIterator[str]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    yield f"{host}:{port}"
    transport.close()


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("both.example", ["2606:4700::1111", "1.1.1.1", "8.8.8.8"]),
        ("mapped.example", ["10.0.0.1"]),
        ("only4.example", ["1.1.1.1"]),
        ("missing.example", []),
    ],
)
async def test_given_nameservers(nameserver: str, name: str, addresses: list[str]) -> None:
    found = await open_resolver([nameserver], timeout_s=10).resolve(name)
    # IPv6 first; within a version servers give any order, also this one.
    assert sorted(found, key=lambda address: (-address.version, address)) == [ip_address(text) for text in addresses]
    assert [address.version for address in found] == [ip_address(text).version for text in addresses]


async def test_a_nameserver_that_never_answers(nameserver: str) -> None:
    assert await DnsResolver([nameserver], timeout_s=0.05).resolve(BROKEN.removesuffix(".")) == ()


def known_to_the_system(name: str) -> set[str]:
    """What the C library says; nothing where a bare system has no hosts file."""
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(name, 0)}
    except socket.gaierror:
        return set()


async def test_the_systems_resolver_says_what_the_system_knows() -> None:
    found = await SystemResolver(timeout_s=10).resolve("localhost")
    assert {str(address) for address in found} == known_to_the_system("localhost")


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a" * 64 + ".example", ""])
async def test_the_systems_resolver_never_raises(name: str) -> None:
    found = await SystemResolver(timeout_s=20).resolve(name)
    assert all(address.is_loopback for address in found)


@pytest.mark.parametrize("text", ["1.1.1.1", "1.1.1.1:5353", "::1", "[::1]", "[::1]:5353"])
def test_spellings_of_a_nameserver(text: str) -> None:
    assert isinstance(open_resolver([text], timeout_s=1), DnsResolver)


@pytest.mark.parametrize("text", ["", "dns.example", "1.1.1.1:", "1.1.1.1:dns", "1.1.1.1:70000", "[::1"])
def test_what_is_no_nameserver(text: str) -> None:
    with pytest.raises(ValueError, match="CALOTYPE_GUARD__NAMESERVERS"):
        open_resolver([text], timeout_s=1)
