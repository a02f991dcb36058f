"""What kind of address an IP address is: the guard's own frozen table, and nothing else.

Pure, no I/O, no settings. Not `ipaddress.is_global`: it calls NAT64, 6to4, multicast and 168.63.129.16 global on some
Python versions or on all, and a patch release may change the verdict. A range is added here with its source, and the
property tests then cover its neighbours by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class AddressClass(StrEnum):
    """The values are stable: they are the reasons in decisions, logs and warnings."""

    PUBLIC = "public"
    THIS_NETWORK = "this_network"
    PRIVATE = "private"
    SHARED = "shared"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link_local"
    PROTOCOL = "ietf_protocol"
    DOCUMENTATION = "documentation"
    RELAY_6TO4 = "relay_6to4"
    BENCHMARKING = "benchmarking"
    MULTICAST = "multicast"
    RESERVED = "reserved"
    CLOUD_PLATFORM = "cloud_platform"
    TRANSITION = "transition"
    SCOPED = "scoped"
    NOT_GLOBAL_UNICAST = "not_global_unicast"


@dataclass(frozen=True, slots=True)
class SpecialRange:
    """A range that is not public, and who says so."""

    network: IPNetwork
    kind: AddressClass
    source: str


def _range(network: str, kind: AddressClass, source: str) -> SpecialRange:
    return SpecialRange(ip_network(network), kind, source)


IPV4_RANGES = (
    _range("0.0.0.0/8", AddressClass.THIS_NETWORK, "RFC 791 section 3.2"),  # Linux connects 0.0.0.0 to itself
    _range("10.0.0.0/8", AddressClass.PRIVATE, "RFC 1918"),
    _range("100.64.0.0/10", AddressClass.SHARED, "RFC 6598"),  # carrier NAT; Alibaba's metadata 100.100.100.200
    _range("127.0.0.0/8", AddressClass.LOOPBACK, "RFC 1122 section 3.2.1.3"),
    _range("161.26.0.0/16", AddressClass.CLOUD_PLATFORM, "IBM Cloud: infrastructure services, reachable from inside"),
    _range("166.8.0.0/14", AddressClass.CLOUD_PLATFORM, "IBM Cloud: service endpoints, reachable from inside"),
    _range("168.63.129.16/32", AddressClass.CLOUD_PLATFORM, "Azure platform address, reachable from every Azure VM"),
    _range("169.254.0.0/16", AddressClass.LINK_LOCAL, "RFC 3927"),  # most clouds' metadata service
    _range("172.16.0.0/12", AddressClass.PRIVATE, "RFC 1918"),
    # .9 and .10 are global by registry, but anycast to the nearest NAT or TURN box: no site lives there.
    _range("192.0.0.0/24", AddressClass.PROTOCOL, "RFC 6890"),
    _range("192.0.2.0/24", AddressClass.DOCUMENTATION, "RFC 5737"),
    _range("192.80.8.124/32", AddressClass.CLOUD_PLATFORM, "Equinix Metal metadata service"),
    _range("192.88.99.0/24", AddressClass.RELAY_6TO4, "RFC 7526"),
    _range("192.168.0.0/16", AddressClass.PRIVATE, "RFC 1918"),
    _range("198.18.0.0/15", AddressClass.BENCHMARKING, "RFC 2544"),
    _range("198.51.100.0/24", AddressClass.DOCUMENTATION, "RFC 5737"),
    _range("203.0.113.0/24", AddressClass.DOCUMENTATION, "RFC 5737"),
    _range("224.0.0.0/4", AddressClass.MULTICAST, "RFC 5771"),
    _range("240.0.0.0/4", AddressClass.RESERVED, "RFC 1112 section 4; holds the limited broadcast of RFC 919"),
)

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""RFC 4291 section 2.4 and IANA's registry: nothing outside of it is public, whether it has a name below or not."""

IPV6_RANGES = (
    _range("::1/128", AddressClass.LOOPBACK, "RFC 4291 section 2.5.3"),
    _range("fc00::/7", AddressClass.PRIVATE, "RFC 4193"),
    _range("fe80::/10", AddressClass.LINK_LOCAL, "RFC 4291 section 2.5.6"),
    _range("ff00::/8", AddressClass.MULTICAST, "RFC 4291 section 2.7"),
    _range("2001::/23", AddressClass.PROTOCOL, "RFC 2928; holds Teredo (RFC 4380) and ORCHID (RFC 7343)"),
    _range("2001:db8::/32", AddressClass.DOCUMENTATION, "RFC 3849"),
    _range("2002::/16", AddressClass.TRANSITION, "RFC 3056 (6to4), relays retired by RFC 7526"),
    _range("3fff::/20", AddressClass.DOCUMENTATION, "RFC 9637"),
)

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052 section 2.1. Networks with DNS64 reach the whole IPv4 internet through it: the IPv4 address is judged."""

_NAT64_PREFIX_LENGTHS = (32, 40, 48, 56, 64, 96)  # RFC 6052 section 2.2

_ISATAP_IDS = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""RFC 5214 section 6.1: the first half of the interface identifier; the second half is an IPv4 address."""


def classify(address: IPAddress) -> AddressClass:
    """Return the class; only `PUBLIC` is visited without leave. IPv4 inside IPv6 is judged as that IPv4 address."""
    address = judged_as(address)
    if isinstance(address, IPv4Address):
        return _kind_in(IPV4_RANGES, address) or AddressClass.PUBLIC
    if address.scope_id is not None:  # names an interface of this machine (RFC 4007)
        return AddressClass.SCOPED
    if (kind := _kind_in(IPV6_RANGES, address)) is not None:
        return kind
    if address not in GLOBAL_UNICAST:
        return AddressClass.NOT_GLOBAL_UNICAST
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_IDS and classify(_last_32_bits(address)) != AddressClass.PUBLIC:
        return AddressClass.TRANSITION
    return AddressClass.PUBLIC


def judged_as(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that packets to this one end at: IPv4-mapped, or by NAT64; else the address itself."""
    if isinstance(address, IPv6Address) and address.scope_id is None:
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64:
            return _last_32_bits(address)
    return address


def embedded_ipv4(address: IPAddress, prefix: IPv6Network) -> IPv4Address | None:
    """Return the IPv4 address that a NAT64 with this prefix would take the address for (RFC 6052 section 2.2)."""
    if address.version == 4 or address not in prefix:
        return None
    octets = address.packed[:8] + address.packed[9:]  # bits 64 to 71 are left out
    start = 11 if prefix.prefixlen == 96 else prefix.prefixlen // 8
    return IPv4Address(octets[start : start + 4])


def parse_nat64_prefix(text: str) -> IPv6Network:
    """Parse a NAT64 prefix.

    Raises:
        ValueError: it is no IPv6 network, or not of a length that a NAT64 can have.
    """
    prefix = IPv6Network(text.strip())
    if prefix.prefixlen not in _NAT64_PREFIX_LENGTHS:
        raise ValueError(f"its length must be one of {', '.join(map(str, _NAT64_PREFIX_LENGTHS))}")
    return prefix


def parse_address(text: str) -> IPAddress:
    """Parse an address; an IPv4-mapped one (RFC 4291 section 2.5.5.2) becomes the IPv4 address that it stands for.

    Raises:
        ValueError: it is none.
    """
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _kind_in(ranges: tuple[SpecialRange, ...], address: IPAddress) -> AddressClass | None:
    return next((special.kind for special in ranges if address in special.network), None)


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)
