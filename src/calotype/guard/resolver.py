"""From a name to its addresses: the system's resolver, or the DNS servers named in `guard.nameservers`.

Answers are not judged here, and nothing is remembered: see `policy` and `pins`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import structlog

from calotype.guard.address import IPAddress, parse_address
from calotype.guard.hostname import split_port

_log = structlog.get_logger(__name__)
_DNS_PORT = 53


class Resolver(Protocol):
    """Looks a name up. Every implementation answers in the order of preference and never raises for a bad name."""

    async def resolve(self, name: str) -> Sequence[IPAddress]:
        """Return all addresses of the name; none if it does not exist, has none, or no server answered."""
        ...


class SystemResolver:
    """What every other program of this machine would be told: /etc/hosts, nsswitch, the system's DNS servers."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    async def resolve(self, name: str) -> Sequence[IPAddress]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as error:
            _log.debug("name_unresolved", host=name, error=repr(error))
            return ()
        # A scope id ("fe80::1%eth0") stays in the text, so that the classifier sees and refuses it.
        return _distinct(str(sockaddr[0]) for _, _, _, _, sockaddr in found)


class DnsResolver:
    """Asks the given DNS servers and nobody else; the system's hosts file and search list have no say."""

    def __init__(self, nameservers: Sequence[str], *, timeout_s: float) -> None:
        """
        Args:
            nameservers: each `ip`, `ip:port` or `[ipv6]:port`.

        Raises:
            ValueError: names the setting and the entry that is wrong.
        """
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [_nameserver(text) for text in nameservers]
        self._resolver.lifetime = timeout_s

    async def resolve(self, name: str) -> Sequence[IPAddress]:
        absolute = dns.name.from_text(name)
        answers = await asyncio.gather(self._ask(absolute, dns.rdatatype.AAAA), self._ask(absolute, dns.rdatatype.A))
        return _distinct(text for answer in answers for text in answer)

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list[str]:
        try:
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False)
        except (dns.exception.DNSException, OSError) as error:
            _log.debug("name_unresolved", host=str(name), type=kind.name, error=repr(error))
            return []
        return [record.address for record in answer]


def open_resolver(nameservers: Sequence[str], *, timeout_s: float) -> Resolver:
    """Return the resolver that the settings ask for."""
    if nameservers:
        return DnsResolver(nameservers, timeout_s=timeout_s)
    return SystemResolver(timeout_s=timeout_s)


def _distinct(texts: Iterable[str]) -> tuple[IPAddress, ...]:
    return tuple(dict.fromkeys(parse_address(text) for text in texts))


def _nameserver(text: str) -> dns.nameserver.Nameserver:
    try:
        host, port = split_port(text.strip())
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise ValueError(f"CALOTYPE_GUARD__NAMESERVERS: {text!r} is not an IP address, or one with a port") from error
    return dns.nameserver.Do53Nameserver(str(address), port or _DNS_PORT)
