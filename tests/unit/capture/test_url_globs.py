"""`block.urls`: what a pattern stands for, and that no pair of pattern and URL holds the server up."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.capture.url_globs import UrlGlobs, whole_url_globs


def blocks(pattern: str, url: str) -> bool:
    return UrlGlobs(whole_url_globs([pattern])).match(url)


@pytest.mark.parametrize(
    ("pattern", "url", "blocked"),
    [
        ("tracker.example", "https://tracker.example/", True),
        ("tracker.example", "wss://tracker.example/live?a=b", True),
        ("tracker.example", "https://tracker.example.org/", False),
        ("tracker.example", "https://x.tracker.example/", False),
        ("tracker.example", "https://tracker.example:8443/", False),
        ("https://tracker.example", "https://tracker.example/a.js", True),
        ("https://tracker.example", "http://tracker.example/a.js", False),
        ("https://tracker.example/", "https://tracker.example/a.js", False),
        ("HTTPS://Tracker.Example/A", "https://tracker.example/A", True),
        ("HTTPS://Tracker.Example/A", "https://tracker.example/a", False),
        ("tracker.*", "http://tracker.example/a", True),
        ("*.js", "https://a.example/b.js", True),
        ("*.js", "https://a.example/b.js?c", False),
        ("*://*.example/ads/*", "https://cdn.example/ads/1.png", True),
        ("a.example/x?y=[1]", "https://a.example/x?y=[1]", True),
        ("a.example/x?y", "https://a.example/xzy", False),
        ("*a*a", "a", False),
    ],
)
def test_patterns(pattern: str, url: str, blocked: bool) -> None:
    assert blocks(pattern, url) is blocked


@given(glob=st.text("ab*", max_size=8), url=st.text("ab", max_size=10))
def test_it_agrees_with_a_regular_expression(glob: str, url: str) -> None:
    expression = ".*".join(map(re.escape, glob.split("*")))
    assert UrlGlobs([glob]).match(url) is (re.fullmatch(expression, url, re.DOTALL) is not None)


def test_many_stars_and_a_long_url_take_no_time() -> None:
    """As a regular expression this one pair would run for longer than anybody lives."""
    globs = UrlGlobs(["*a" * 1_000 + "*b"] * 100)
    started = time.process_time()
    assert not globs.match("https://example.com/?" + "a" * 2_000_000)
    assert time.process_time() - started < 5
