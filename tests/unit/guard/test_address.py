"""The classifier: every range, what hides in IPv6, and that the table can't be changed."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from calotype.guard.address import IPV4_RANGES, IPV6_RANGES, AddressClass, SpecialRange, classify, parse_address

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.128.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "223.255.255.255",
    "2000::",
    "2001:200::",
    "2001:db7::1",
    "2003::1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "3fff:1000::",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert classify(ip_address(text)) == AddressClass.PUBLIC


@pytest.mark.parametrize("special", [*IPV4_RANGES, *IPV6_RANGES], ids=lambda special: str(special.network))
def test_both_ends_of_a_range_are_of_its_class(special: SpecialRange) -> None:
    assert classify(special.network[0]) == special.kind
    assert classify(special.network[-1]) == special.kind
    assert special.source


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0.0.0.0", AddressClass.THIS_NETWORK),
        ("100.100.100.200", AddressClass.SHARED),
        ("127.9.3.7", AddressClass.LOOPBACK),
        ("168.63.129.16", AddressClass.CLOUD_PLATFORM),
        ("169.254.169.254", AddressClass.LINK_LOCAL),
        ("192.0.0.10", AddressClass.PROTOCOL),
        ("192.0.0.192", AddressClass.PROTOCOL),
        ("255.255.255.255", AddressClass.RESERVED),
        ("::", AddressClass.NOT_GLOBAL_UNICAST),
        ("::127.0.0.1", AddressClass.NOT_GLOBAL_UNICAST),
        ("::ffff:0:127.0.0.1", AddressClass.NOT_GLOBAL_UNICAST),
        ("100::1", AddressClass.NOT_GLOBAL_UNICAST),
        ("100:0:0:1::1", AddressClass.NOT_GLOBAL_UNICAST),
        ("64:ff9b:1::7f00:1", AddressClass.NOT_GLOBAL_UNICAST),
        ("fec0::1", AddressClass.NOT_GLOBAL_UNICAST),
        ("4000::1", AddressClass.NOT_GLOBAL_UNICAST),
        ("5f00::1", AddressClass.NOT_GLOBAL_UNICAST),
        ("fd00:ec2::254", AddressClass.PRIVATE),
        ("2001::1", AddressClass.PROTOCOL),
        ("2002:7f00:1::", AddressClass.TRANSITION),
        ("2002:808:808::", AddressClass.TRANSITION),
        ("fe80::1%eth0", AddressClass.SCOPED),
        ("2606:4700::1111%eth0", AddressClass.SCOPED),
        ("::ffff:8.8.8.8%1", AddressClass.SCOPED),
    ],
)
def test_special(text: str, kind: AddressClass) -> None:
    assert classify(ip_address(text)) == kind


@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ("8.8.8.8", AddressClass.PUBLIC),
        ("10.0.0.1", AddressClass.PRIVATE),
        ("100.64.0.1", AddressClass.SHARED),
        ("168.63.129.16", AddressClass.CLOUD_PLATFORM),
        ("127.0.0.1", AddressClass.LOOPBACK),
    ],
)
def test_ipv4_in_ipv6_is_judged_as_ipv4(prefix: str, inner: str, kind: AddressClass) -> None:
    assert classify(ip_address(f"{prefix}{inner}")) == kind


@pytest.mark.parametrize("identifier", ["0:5efe", "200:5efe"])
def test_isatap_with_a_private_address_is_refused(identifier: str) -> None:
    assert classify(ip_address(f"2a00:1:2:3:{identifier}:10.0.0.1")) == AddressClass.TRANSITION
    assert classify(ip_address(f"2a00:1:2:3:{identifier}:8.8.8.8")) == AddressClass.PUBLIC


def test_a_mapped_address_is_parsed_as_ipv4() -> None:
    assert parse_address("::ffff:8.8.8.8") == ip_address("8.8.8.8")
    assert parse_address("::1") == ip_address("::1")


def test_values_are_the_permanent_reasons() -> None:
    assert {str(kind) for kind in AddressClass} == {
        *("public", "this_network", "private", "shared", "loopback", "link_local", "ietf_protocol", "documentation"),
        *("relay_6to4", "benchmarking", "multicast", "reserved", "cloud_platform", "transition", "scoped"),
        "not_global_unicast",
    }
