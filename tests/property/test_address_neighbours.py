"""The edges of every special range: an address inside is of the range's class, the neighbours outside are not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import example, given
from hypothesis import strategies as st

from calotype.guard.address import (
    GLOBAL_UNICAST,
    IPV4_RANGES,
    IPV6_RANGES,
    NAT64,
    AddressClass,
    IPAddress,
    SpecialRange,
    classify,
    judged_as,
)

RANGES = (*IPV4_RANGES, *IPV6_RANGES)
ipv4_addresses = st.integers(0, 2**32 - 1).map(IPv4Address)


def in_a_range(address: IPAddress) -> bool:
    return any(address.version == special.network.version and address in special.network for special in RANGES)


def neighbours(special: SpecialRange) -> list[IPAddress]:
    first, last = int(special.network[0]), int(special.network[-1])
    make = type(special.network[0])
    top = 2**special.network.max_prefixlen
    return [make(number) for number in (first - 1, last + 1) if 0 <= number < top]


@given(st.sampled_from(RANGES), st.data())
def test_inside(special: SpecialRange, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, special.network.num_addresses - 1))
    assert classify(special.network[index]) == special.kind


@given(st.sampled_from(RANGES).flatmap(lambda special: st.sampled_from(neighbours(special) or [special.network[0]])))
def test_neighbours(address: IPAddress) -> None:
    if in_a_range(address):
        assert classify(address) != AddressClass.PUBLIC  # the next range begins at once
    elif address.version == 4 or address in GLOBAL_UNICAST:
        assert classify(address) == AddressClass.PUBLIC
    else:
        assert classify(address) == AddressClass.NOT_GLOBAL_UNICAST


def test_all_neighbours_are_seen() -> None:
    """Hypothesis samples; the edges are few enough to see each of them in every run."""
    for special in RANGES:
        for address in neighbours(special):
            test_neighbours.hypothesis.inner_test(address)  # type: ignore[attr-defined]


@given(ipv4_addresses)
@example(IPv4Address("168.63.129.16"))
@example(IPv4Address("100.64.0.1"))
def test_ipv4_hidden_in_ipv6_gets_the_verdict_of_ipv4(address: IPv4Address) -> None:
    expected = AddressClass.PUBLIC if not in_a_range(address) else classify(address)
    assert classify(address) == expected
    for hidden in (ip_address(f"::ffff:{address}"), IPv6Address(int(NAT64[0]) + int(address))):
        assert judged_as(hidden) == address
        assert classify(hidden) == expected


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_nothing_outside_of_global_unicast_is_public_by_itself(address: IPv6Address) -> None:
    if classify(address) == AddressClass.PUBLIC and judged_as(address) == address:
        assert address in GLOBAL_UNICAST
        assert not in_a_range(address)
