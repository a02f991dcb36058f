"""What operators allow beyond the public internet, and what they deny of it: for the server, and for one key.

An entry is a network (`10.1.0.0/16`), an address (`10.1.2.3`, `::1`), a host name (`wiki.example.com`; below it with
`*.wiki.example.com`), each but the network also with a port (`127.0.0.1:9000`, `[::1]:9000`, `wiki.example.com:8080`).
A host name covers whatever address it leads to; a network or an address covers every name that leads to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from calotype.guard.address import IPAddress, IPNetwork
from calotype.guard.hostname import parse_host, split_port
from calotype.settings import TargetRules

_SHAPES = "a network (10.1.0.0/16), an address, a host name or *.name, the latter two also with :port"


@dataclass(frozen=True, slots=True)
class NetworkRule:
    network: IPNetwork
    port: int | None = None

    def matches(self, name: str | None, address: IPAddress, port: int) -> bool:
        # Between the IP versions `in` is False; an address with a scope id is never meant.
        return self.port in (None, port) and address in self.network and not getattr(address, "scope_id", None)


@dataclass(frozen=True, slots=True)
class NameRule:
    name: str
    """Of a wildcard: what comes after `*.`."""
    is_wildcard: bool = False
    port: int | None = None

    def matches(self, name: str | None, address: IPAddress, port: int) -> bool:
        return name is not None and self.names(name, port)

    def names(self, name: str, port: int) -> bool:
        if self.port not in (None, port):
            return False
        return name.endswith(f".{self.name}") if self.is_wildcard else name == self.name


@dataclass(frozen=True, slots=True)
class RuleList:
    """Parsed entries. `+` joins two lists."""

    entries: tuple[NetworkRule | NameRule, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str], *, setting: str) -> RuleList:
        """Parse entries.

        Args:
            setting: the name that an error message gives to the list.

        Raises:
            ValueError: says which entry of which setting is wrong, and what it may be.
        """
        parsed: list[NetworkRule | NameRule] = []
        for entry in entries:
            try:
                parsed.append(_parse_entry(entry.strip()))
            except ValueError as error:
                raise ValueError(f"{setting}: {entry!r} is not {_SHAPES} ({error})") from error
        return cls(tuple(parsed))

    def __add__(self, other: RuleList) -> RuleList:
        return RuleList(self.entries + other.entries) if other.entries else self

    def matches(self, name: str | None, address: IPAddress, port: int) -> bool:
        """Whether an entry covers this address and port, reached under `name` (None: as a literal)."""
        return any(entry.matches(name, address, port) for entry in self.entries)

    def names(self, name: str, port: int) -> bool:
        """Whether an entry covers the name wherever it leads to."""
        return any(isinstance(entry, NameRule) and entry.names(name, port) for entry in self.entries)

    def may_match(self, name: str, port: int) -> bool:
        """Whether an entry could cover the name, once it is known where it leads to."""
        return self.names(name, port) or any(
            isinstance(entry, NetworkRule) and entry.port in (None, port) for entry in self.entries
        )


@dataclass(frozen=True, slots=True)
class ParsedRules:
    """Both lists, parsed. `+` joins a server's with a key's."""

    allow: RuleList
    deny: RuleList

    @classmethod
    def parse(cls, rules: TargetRules, *, spell: Callable[[str], str]) -> ParsedRules:
        """Parse both lists; `spell` gives the name of `allow` and of `deny` for an error message.

        Raises:
            ValueError: as `RuleList.parse`.
        """
        return cls(
            RuleList.parse(rules.allow, setting=spell("allow")), RuleList.parse(rules.deny, setting=spell("deny"))
        )

    def __add__(self, other: ParsedRules) -> ParsedRules:
        return ParsedRules(self.allow + other.allow, self.deny + other.deny)


def _parse_entry(entry: str) -> NetworkRule | NameRule:
    if "%" in entry:
        raise ValueError("no scope ids, no percent-encoding")
    if "/" in entry:
        return NetworkRule(ip_network(entry))
    host, port = split_port(entry)
    if host.startswith("*."):
        return NameRule(_name(host[2:]), is_wildcard=True, port=port)
    target = parse_host(host)
    if isinstance(target, str):
        return NameRule(target, port=port)
    return NetworkRule(ip_network(target), port)


def _name(text: str) -> str:
    target = parse_host(text)
    if not isinstance(target, str):
        raise ValueError("an address has nothing below it")
    return target
