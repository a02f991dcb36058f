"""Entries of an allow or deny list: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from calotype.guard.rules import RuleList


def matches(entry: str, name: str | None, address: str, port: int) -> bool:
    return RuleList.parse([entry], setting="X").matches(name, ip_address(address), port)


@pytest.mark.parametrize(
    ("entry", "name", "address", "port"),
    [
        ("10.1.0.0/16", None, "10.1.2.3", 80),
        ("10.1.0.0/16", "wiki.example.com", "10.1.2.3", 8443),
        ("fd00::/8", None, "fd00::1", 80),
        ("10.1.2.3", None, "10.1.2.3", 1234),
        ("::1", None, "::1", 80),
        ("[::1]", None, "::1", 80),
        ("::ffff:10.1.2.3", None, "10.1.2.3", 80),
        ("127.0.0.1:9000", None, "127.0.0.1", 9000),
        ("127.0.0.1:9000", "localhost", "127.0.0.1", 9000),
        ("[::1]:9000", None, "::1", 9000),
        ("wiki.example.com", "wiki.example.com", "10.9.9.9", 80),
        ("Wiki.Example.COM.", "wiki.example.com", "10.9.9.9", 80),
        ("wiki.example.com:8080", "wiki.example.com", "10.9.9.9", 8080),
        ("bücher.example", "xn--bcher-kva.example", "10.9.9.9", 80),
        ("*.example.com", "a.example.com", "10.9.9.9", 80),
        ("*.example.com:81", "a.b.example.com", "10.9.9.9", 81),
        ("localhost", "localhost", "::1", 80),
        (" redis:6379 ", "redis", "10.0.0.5", 6379),
    ],
)
def test_covers(entry: str, name: str | None, address: str, port: int) -> None:
    assert matches(entry, name, address, port)


@pytest.mark.parametrize(
    ("entry", "name", "address", "port"),
    [
        ("10.1.0.0/16", None, "10.2.0.1", 80),
        ("10.1.0.0/16", None, "::1", 80),
        ("127.0.0.1:9000", None, "127.0.0.1", 9001),
        ("127.0.0.1:9000", None, "127.0.0.2", 9000),
        ("[::1]:9000", None, "::1", 80),
        ("wiki.example.com", "www.wiki.example.com", "10.9.9.9", 80),
        ("wiki.example.com", None, "10.9.9.9", 80),
        ("wiki.example.com:8080", "wiki.example.com", "10.9.9.9", 80),
        ("*.example.com", "example.com", "10.9.9.9", 80),
        ("*.example.com", "badexample.com", "10.9.9.9", 80),
        ("*.example.com", None, "10.9.9.9", 80),
        ("fe80::/10", None, "fe80::1%eth0", 80),
    ],
)
def test_does_not_cover(entry: str, name: str | None, address: str, port: int) -> None:
    assert not matches(entry, name, address, port)


@pytest.mark.parametrize(
    "entry",
    [
        *("", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8:80", "http://example.com", "example.com:0", "example.com:65536"),
        *("example.com:", "example.com:https", "a b", "*", "*.10.0.0.1", "fe80::1%eth0", "[::1", "1.2.3.4.5", "a..b"),
    ],
)
def test_an_unreadable_entry_is_named_with_its_setting(entry: str) -> None:
    with pytest.raises(ValueError, match="CALOTYPE_GUARD__ALLOW") as caught:
        RuleList.parse(["127.0.0.1", entry], setting="CALOTYPE_GUARD__ALLOW")
    assert repr(entry) in str(caught.value)


def test_lists_add_up() -> None:
    both = RuleList.parse(["a.example"], setting="X") + RuleList.parse(["b.example"], setting="X")
    assert all(both.matches(name, ip_address("10.0.0.1"), 80) for name in ("a.example", "b.example"))


@pytest.mark.parametrize(
    ("entry", "may"), [("10.0.0.0/8", True), ("redis", True), ("redis:1", False), ("10.0.0.1:1", False), ("x", False)]
)
def test_may_match_before_the_name_is_resolved(entry: str, may: bool) -> None:
    assert RuleList.parse([entry], setting="X").may_match("redis", 6379) is may
