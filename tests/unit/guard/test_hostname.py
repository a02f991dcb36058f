"""Hosts as a browser reads them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from calotype.guard.hostname import is_internal, is_localhost, parse_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("under_score.example", "under_score.example"),
        ("127.0.0.1.example.com", "127.0.0.1.example.com"),
        ("1e100.net", "1e100.net"),
    ],
)
def test_names(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127%2e0%2e0%2e1", "127.0.0.1"),
        ("127。0。0。1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert parse_host(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a..b", "a b", "a/b", "a@b", "a:80", "::1", "[::1", "[fe80::1%25eth0]", "1.2.3.4.5", "a" * 64),
        *(".".join(["a" * 60] * 5), "a!b.example", "%00.example", "[127.0.0.1]"),
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="not a host"):
        parse_host(text)


@pytest.mark.parametrize("name", ["localhost", "a.localhost", "a.b.localhost"])
def test_localhost(name: str) -> None:
    assert is_localhost(name)
    assert not is_internal(name)


@pytest.mark.parametrize(
    "name", ["redis", "ip6-localhost", "host.docker.internal", "svc.cluster.local", "nas.lan", "x.home.arpa"]
)
def test_internal(name: str) -> None:
    assert is_internal(name)


@pytest.mark.parametrize("name", ["example.com", "home.cern", "internal.example.com", "local.at", "no-such.invalid"])
def test_not_internal(name: str) -> None:
    assert not is_internal(name)
