"""What is filed under which key, and that it stays small."""

from __future__ import annotations

import tracemalloc

import pytest

from calotype.guard.policy import Decision
from calotype.guard.records import Records, Verdict, verdict_of
from calotype.guard.target import record_key


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://A.example/x?y=1#z", "http://a.example/x?y=1"),
        ("http://a.example", "http://a.example/"),
        ("http://a.example?q", "http://a.example/?q"),
        ("http://a.example:80/", "http://a.example/"),
        ("http://a.example:8080/", "http://a.example:8080/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://a.example@127.0.0.1/x", "http://127.0.0.1/x"),
        ("http://name:p@ss@a.example/@b?c@d", "http://a.example/@b?c@d"),
        ("https://a.example/x", "a.example:443"),
        ("https://a.example:8443/x", "a.example:8443"),
        ("wss://a.example/x", "a.example:443"),
        ("ws://[::1]/x", "[::1]:80"),
    ],
)
def test_keys(url: str, key: str) -> None:
    assert record_key(url) == key


@pytest.mark.parametrize("url", ["", "about:blank", "data:,x", "no url", "http://"])
def test_no_verdict_on_what_never_gets_here(url: str) -> None:
    assert Records().verdict_for(url) is None


def test_the_latest_counts() -> None:
    records = Records()
    records.fail("a.example:443", Verdict("unreachable", "connect_failed"))
    records.fail("a.example:443", Verdict("blocked", "loopback"))
    assert records.verdict_for("https://a.example/") == Verdict("blocked", "loopback")
    records.clear("a.example:443")
    assert records.verdict_for("https://a.example/") is None


def test_records_are_bounded_and_keep_the_latest() -> None:
    records = Records()
    for number in range(2_000):
        records.fail(f"{number}.example:443", Verdict("blocked", "private"))
        records.block(f"{number}.example", 443, Decision(False, "private"))
    assert records.verdict_for("https://1999.example/") is not None
    assert records.verdict_for("https://0.example/") is None
    assert len(records.blocked) == 100


def test_long_urls_take_no_more_memory_than_short_ones() -> None:
    records = Records()
    tracemalloc.start()
    try:
        for number in range(512):
            records.fail(record_key(f"http://a.example/{number}?{'x' * 100_000}"), Verdict("blocked", "private"))
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()
    assert records.verdict_for(f"http://a.example/7?{'x' * 100_000}") == Verdict("blocked", "private")
    assert records.verdict_for(f"http://a.example/7?{'x' * 100_001}") is None
    records.clear(record_key(f"http://a.example/7?{'x' * 100_000}"))
    assert records.verdict_for(f"http://a.example/7?{'x' * 100_000}") is None


@pytest.mark.parametrize(
    ("reason", "kind"), [("loopback", "blocked"), ("unresolvable", "unresolvable"), ("too_many_names", "limit")]
)
def test_kinds(reason: str, kind: str) -> None:
    assert verdict_of(Decision(False, reason)).kind == kind
