"""Where a capture may go: one decision per host and port, made from addresses, never from the look of a URL.

`decide` resolves through the capture's pins, judges every address and hands out the ones to dial; whoever connects must
dial these and no others. `precheck` is the early, friendly refusal for the API; the boundary is `decide`, at the proxy.
Order of the rules: our own proxy never; what is denied never; what is allowed, over all that follows; names of the
inner network; the class of the address; ports; the machine's own addresses.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

import ada_url

from calotype.errors import BlockedTarget, InvalidUrl, TargetError, UnresolvableHost
from calotype.guard.address import (
    AddressClass,
    IPAddress,
    classify,
    embedded_ipv4,
    judged_as,
    parse_address,
    parse_nat64_prefix,
)
from calotype.guard.hostname import DEFAULT_PORTS, LOCALHOST_ADDRESSES, is_internal, is_localhost, parse_host
from calotype.guard.pins import Pins, TooManyNames
from calotype.guard.ports import PortPolicy
from calotype.guard.resolver import Resolver, open_resolver
from calotype.guard.rules import ParsedRules
from calotype.settings import GuardSettings, TargetRules

_NO_ROUTE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EACCES, errno.EPERM}
)


NO_RULES = TargetRules()

_BLOCKED: tuple[type[TargetError], str] = (
    BlockedTarget,
    "The page is, or leads to, an address that this server does not visit.",
)
_PAGE_ERRORS: dict[str, tuple[type[TargetError | InvalidUrl], str]] = {
    "port_policy": (BlockedTarget, "The page is at, or leads to, a port that this server does not visit."),
    "unresolvable": (UnresolvableHost, "The page's host name has no address. Check its spelling."),
    "unsafe_port": (InvalidUrl, "Browsers do not open this port."),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says of one host and port. `addresses` are the ones to dial, in order; none if refused."""

    allowed: bool
    reason: str
    """`public`, `allow_list`; refused: an `AddressClass`, `deny_list`, `own_address`, `own_proxy`, `internal_name`,
    `unsafe_port`, `port_policy`, `malformed_host`, `unresolvable`; and the limits `too_many_names`, `max_time`."""
    addresses: tuple[IPAddress, ...] = ()
    refused: tuple[IPAddress, ...] = ()
    """Answers that must not be dialled. For the log; never for the page or the API's caller."""


class EgressPolicy:
    """The rules of one server. Keeps nothing about captures: their lookups are in their `Pins`."""

    def __init__(self, settings: GuardSettings, *, resolver: Resolver | None = None) -> None:
        """
        Raises:
            ValueError: an entry of a list can't be read; the message names the setting.
        """
        self._rules = ParsedRules.parse(settings, spell=_setting)
        self._ports = PortPolicy.parse(settings.ports, setting=_setting("ports"))
        self._nat64 = tuple(map(_nat64_prefix, settings.nat64_prefixes))
        self._resolver = resolver or open_resolver(settings.nameservers, timeout_s=settings.connect_timeout_s)
        self._is_ours: Callable[[IPAddress, int], bool] = lambda address, port: False

    def keep_from(self, is_ours: Callable[[IPAddress, int], bool]) -> None:
        """Refuse the endpoints for which `is_ours` is true, whatever is allowed: the proxy's own."""
        self._is_ours = is_ours

    def check(self, rules: TargetRules) -> None:
        """
        Raises:
            ValueError: an entry can't be read.
        """
        _parsed(rules)

    async def decide(self, host: str, port: int, cache: Pins, rules: TargetRules = NO_RULES) -> Decision:
        """Decide on a host (name or literal, IPv6 in brackets) and port.

        Args:
            cache: the capture's pins.
            rules: the caller's own, beside the server's.

        Raises:
            ValueError: an entry of `rules` can't be read.
        """
        both = self._rules + _parsed(rules)
        try:
            target = parse_host(host)
            if not isinstance(target, str):
                return self._judge(None, (target,), port, both)
            if (early := _refusal_without_dns(target, port, both)) is not None:
                return Decision(False, early)  # not even DNS is asked: the answer would tell what exists
            return self._judge(target, await self._addresses(target, cache), port, both)
        except ValueError:
            return Decision(False, "malformed_host")
        except TooManyNames:
            return Decision(False, "too_many_names")

    def precheck(self, url: str, rules: TargetRules = NO_RULES) -> None:
        """Refuse a page's URL that can never be visited. No DNS; a pass promises nothing.

        Raises:
            BlockedTarget: it is an address, or a name of the inner network, that is not allowed; or it is denied.
            InvalidUrl: a browser would not open it, or it is not http or https.
        """
        host, port = host_and_port(url)
        decision = self._decide_without_dns(parse_host(host), port, self._rules + _parsed(rules))
        if not decision.allowed:
            raise error_of(decision.reason)

    async def permit(self, url: str, rules: TargetRules = NO_RULES) -> str:
        """Return why a page's URL may be visited: what `decide` says of its host now.

        Raises:
            BlockedTarget, InvalidUrl, UnresolvableHost: it may not; `details` have the reason.
        """
        self.precheck(url, rules)
        host, port = host_and_port(url)
        pins = Pins()
        try:
            decision = await self.decide(host, port, pins, rules)
        finally:
            await pins.close()
        if not decision.allowed:
            raise error_of(decision.reason)
        return decision.reason

    def _decide_without_dns(self, target: IPAddress | str, port: int, rules: ParsedRules) -> Decision:
        if not isinstance(target, str):
            return self._judge(None, (target,), port, rules)
        if (early := _refusal_without_dns(target, port, rules)) is not None:
            return Decision(False, early)
        if is_localhost(target):
            return self._judge(target, LOCALHOST_ADDRESSES, port, rules)
        if rules.allow.may_match(target, port):
            return Decision(True, "not_resolved")
        refusal = self._ports.refusal(port)
        return Decision(refusal is None, refusal or "not_resolved")

    async def _addresses(self, name: str, pins: Pins) -> tuple[IPAddress, ...]:
        return LOCALHOST_ADDRESSES if is_localhost(name) else await pins.lookup(name, self._resolver)

    def _judge(self, name: str | None, addresses: tuple[IPAddress, ...], port: int, rules: ParsedRules) -> Decision:
        """Keep the good addresses of a mixed answer; the first one's reason speaks for all if none is good."""
        reasons = {address: self._reason(name, address, port, rules) for address in addresses}
        good = tuple(address for address, reason in reasons.items() if reason in ("allow_list", "public"))
        refused = tuple(address for address in reasons if address not in good)
        if good:
            return Decision(True, reasons[good[0]], good, refused)
        if name is not None and is_internal(name):
            return Decision(False, "internal_name", refused=refused)  # whether or not it exists
        return Decision(False, next(iter(reasons.values()), "unresolvable"), refused=refused)

    def _reason(self, name: str | None, address: IPAddress, port: int, rules: ParsedRules) -> str:
        if self._is_ours(address, port):
            return "own_proxy"
        ends = self._ends(address)
        if any(rules.deny.matches(name, end, port) for end in ends):
            return "deny_list"
        if rules.allow.matches(name, address, port):
            return "allow_list"
        if name is not None and is_internal(name):
            return "internal_name"
        kinds = (classify(end) for end in ends)
        if (kind := next((kind for kind in kinds if kind != AddressClass.PUBLIC), None)) is not None:
            return kind.value
        if (refusal := self._ports.refusal(port)) is not None:
            return refusal
        return "own_address" if any(map(is_own_address, ends)) else "public"

    def _ends(self, address: IPAddress) -> tuple[IPAddress, ...]:
        """The address, and each IPv4 address that packets to it may end at."""
        inside = (judged_as(address), *(embedded_ipv4(address, prefix) for prefix in self._nat64))
        return tuple(dict.fromkeys((address, *(end for end in inside if end is not None))))


def host_and_port(url: str) -> tuple[str, int]:
    """Return where a page's URL leads, as the browser would spell it.

    Raises:
        InvalidUrl: a browser would not open it, or it is not http or https.
    """
    try:
        parsed = ada_url.URL(url)
        parse_host(str(parsed.hostname))
    except ValueError:
        raise InvalidUrl("The URL can't be parsed, or its host is not one.") from None
    if parsed.protocol not in ("http:", "https:"):
        raise InvalidUrl("The URL must be http or https.")
    return str(parsed.hostname), int(parsed.port) if parsed.port else DEFAULT_PORTS[parsed.protocol]


def error_of(reason: str) -> TargetError | InvalidUrl:
    """Return the error that a refusal of the page itself is for the caller. It tells the reason, never an address."""
    kind, message = _PAGE_ERRORS.get(reason, _BLOCKED)
    return kind(message, details=[{"field": "url", "message": message, "reason": reason}])


def is_own_address(address: IPAddress) -> bool:
    """Whether the address is of an interface of this machine, by asking the routing table; no packet is sent.

    A connected datagram socket gets the source address that the kernel would use: for an own address, that address.
    """
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return parse_address(str(probe.getsockname()[0])) == address
    except OSError as error:
        return error.errno not in _NO_ROUTE  # when in doubt (no sockets left, say) it is


def _refusal_without_dns(name: str, port: int, rules: ParsedRules) -> str | None:
    if rules.deny.names(name, port):
        return "deny_list"
    return "internal_name" if is_internal(name) and not rules.allow.may_match(name, port) else None


def _setting(field: str) -> str:
    return f"CALOTYPE_GUARD__{field.upper()}"


def _nat64_prefix(text: str) -> IPv6Network:
    try:
        return parse_nat64_prefix(text)
    except ValueError as error:
        raise ValueError(f"{_setting('nat64_prefixes')}: {text!r} is not a NAT64 prefix ({error})") from error


def _parsed(rules: TargetRules) -> ParsedRules:
    return _parsed_lists(rules.allow, rules.deny)


@lru_cache(maxsize=256)
def _parsed_lists(allow: tuple[str, ...], deny: tuple[str, ...]) -> ParsedRules:
    rules = TargetRules(allow=allow, deny=deny)
    return ParsedRules.parse(rules, spell=lambda field: f"the key's {field} list")
