"""Where a capture may go: one decision per host and port, made from addresses, never from the look of a URL.

`decide` resolves through the capture's pins, judges every address and hands out the ones to dial; whoever connects must
dial these and no others. `precheck` is the early, friendly refusal for the API; the boundary is `decide`, at the proxy.
Order of the rules: our own proxy never; the allow list wins over all that follows; names of the inner network; the
class of the address; ports that browsers refuse; the machine's own addresses.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address

import ada_url

from calotype.errors import BlockedTarget, InvalidUrl
from calotype.guard.address import AddressClass, IPAddress, classify, judged_as, parse_address
from calotype.guard.allow import AllowList
from calotype.guard.hostname import DEFAULT_PORTS, LOCALHOST_ADDRESSES, is_internal, is_localhost, parse_host
from calotype.guard.pins import Pins, TooManyNames
from calotype.guard.resolver import Resolver, open_resolver
from calotype.settings import GuardSettings

_BLOCKED_MESSAGE = "The page is an address that this server does not visit."

# https://fetch.spec.whatwg.org/#port-blocking (2025-06): other protocols' ports, which could be made to obey.
_UNSAFE_PORTS = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109}
    | {110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530}
    | {531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190}
    | {5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}
)

_NO_ROUTE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EACCES, errno.EPERM}
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says of one host and port. `addresses` are the ones to dial, in order; none if refused."""

    allowed: bool
    reason: str
    """`public`, `allow_list`; refused: an `AddressClass`, `own_address`, `own_proxy`, `internal_name`, `unsafe_port`,
    `malformed_host`, `unresolvable`, `too_many_names`."""
    addresses: tuple[IPAddress, ...] = ()
    refused: tuple[IPAddress, ...] = ()
    """Answers that must not be dialled. For the log; never for the page or the API's caller."""


class EgressPolicy:
    """The rules of one server. Keeps nothing about captures: their lookups are in their `Pins`."""

    def __init__(self, settings: GuardSettings, *, resolver: Resolver | None = None) -> None:
        """
        Raises:
            ValueError: an entry of `guard.allow` or `guard.nameservers` can't be read; the message names the setting.
        """
        self._allow = AllowList.parse(settings.allow, setting="CALOTYPE_GUARD__ALLOW")
        self._resolver = resolver or open_resolver(settings.nameservers, timeout_s=settings.connect_timeout_s)
        self._is_ours: Callable[[IPAddress, int], bool] = lambda address, port: False

    def keep_from(self, is_ours: Callable[[IPAddress, int], bool]) -> None:
        """Refuse the endpoints for which `is_ours` is true, whatever is allowed: the proxy's own."""
        self._is_ours = is_ours

    def check_extra(self, allow_extra: tuple[str, ...]) -> None:
        """
        Raises:
            ValueError: an entry of a key's allow list can't be read.
        """
        _parsed_extra(allow_extra)

    async def decide(self, host: str, port: int, cache: Pins, allow_extra: tuple[str, ...] = ()) -> Decision:
        """Decide on a host (name or literal, IPv6 in brackets) and port.

        Args:
            cache: the capture's pins.
            allow_extra: entries as in `guard.allow` for this capture alone.
        """
        allow = self._allow + _parsed_extra(allow_extra)
        try:
            target = parse_host(host)
            if not isinstance(target, str):
                return self._judge(None, (target,), port, allow)
            if is_internal(target) and not allow.may_match(target, port):
                return Decision(False, "internal_name")  # not even DNS is asked: the answer would tell what exists
            return self._judge(target, await self._addresses(target, cache), port, allow)
        except ValueError:
            return Decision(False, "malformed_host")
        except TooManyNames:
            return Decision(False, "too_many_names")

    def precheck(self, url: str, allow_extra: tuple[str, ...] = ()) -> None:
        """Refuse a page's URL that can never be visited. No DNS; a pass promises nothing.

        Raises:
            BlockedTarget: it is an address, or a name of the inner network, that is not allowed.
            InvalidUrl: a browser would not open it, or it is not http or https.
        """
        try:
            parsed = ada_url.URL(url)
            target = parse_host(str(parsed.hostname))
        except ValueError:
            raise InvalidUrl("The URL can't be parsed, or its host is not one.") from None
        if parsed.protocol not in ("http:", "https:"):
            raise InvalidUrl("The URL must be http or https.")
        port = int(parsed.port) if parsed.port else DEFAULT_PORTS[parsed.protocol]
        decision = self._decide_without_dns(target, port, self._allow + _parsed_extra(allow_extra))
        if decision.reason == "unsafe_port":
            raise InvalidUrl(f"Browsers do not open port {port}.")
        if not decision.allowed:
            raise BlockedTarget(_BLOCKED_MESSAGE)

    def _decide_without_dns(self, target: IPAddress | str, port: int, allow: AllowList) -> Decision:
        if not isinstance(target, str):
            return self._judge(None, (target,), port, allow)
        if is_localhost(target):
            return self._judge(target, LOCALHOST_ADDRESSES, port, allow)
        if allow.may_match(target, port):
            return Decision(True, "not_resolved")
        if is_internal(target):
            return Decision(False, "internal_name")
        return Decision(False, "unsafe_port") if port in _UNSAFE_PORTS else Decision(True, "not_resolved")

    async def _addresses(self, name: str, pins: Pins) -> tuple[IPAddress, ...]:
        return LOCALHOST_ADDRESSES if is_localhost(name) else await pins.lookup(name, self._resolver)

    def _judge(self, name: str | None, addresses: tuple[IPAddress, ...], port: int, allow: AllowList) -> Decision:
        """Keep the good addresses of a mixed answer; the first one's reason speaks for all if none is good."""
        reasons = {address: self._reason(name, address, port, allow) for address in addresses}
        good = tuple(address for address, reason in reasons.items() if reason in ("allow_list", "public"))
        refused = tuple(address for address in reasons if address not in good)
        if good:
            return Decision(True, reasons[good[0]], good, refused)
        if name is not None and is_internal(name):
            return Decision(False, "internal_name", refused=refused)  # whether or not it exists
        return Decision(False, next(iter(reasons.values()), "unresolvable"), refused=refused)

    def _reason(self, name: str | None, address: IPAddress, port: int, allow: AllowList) -> str:
        if self._is_ours(address, port):
            return "own_proxy"
        if allow.matches(name, address, port):
            return "allow_list"
        if name is not None and is_internal(name):
            return "internal_name"
        if (kind := classify(address)) != AddressClass.PUBLIC:
            return kind.value
        if port in _UNSAFE_PORTS:
            return "unsafe_port"
        return "own_address" if is_own_address(judged_as(address)) else "public"


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


@lru_cache(maxsize=256)
def _parsed_extra(entries: tuple[str, ...]) -> AllowList:
    return AllowList.parse(entries, setting="the key's allow list")
