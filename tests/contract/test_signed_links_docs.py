"""The worked example of docs/signed-links.md is right, and each of its programs signs as the server does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from calotype.accounts.key_text import KeyText, read_key
from calotype.signing import link_secret, sign
from tests.signing_programs import LANGUAGES, PAGE, run_program

_EXAMPLE = [("url", "https://example.com/?q=caffè latte"), ("format", "png")]
_EXPIRES_S = 1893456000


def example_key() -> KeyText:
    [text] = re.findall(r"With the key `(\w+)`", PAGE)
    key = read_key(text)
    assert key is not None
    return key


def link_of(query: list[tuple[str, str]]) -> str:
    key = example_key()
    signed = sign(query, key_id=key.key_id, secret=link_secret(key.secret), expires_s=_EXPIRES_S)
    return f"https://shots.example.com/v1/screenshot?{signed}"


def test_the_worked_example_is_right() -> None:
    written = "  ".join(f"{name}={value}" for name, value in [*_EXAMPLE, ("expires", str(_EXPIRES_S))])
    shown = [line.strip() for line in PAGE.splitlines() if line.startswith("    ")]
    assert shown[:3] == [written, link_secret(example_key().secret).hex(), link_of(_EXAMPLE)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_program_prints_the_link_of_the_example(language: str) -> None:
    expires = ("expires", str(_EXPIRES_S))
    assert run_program(language, [*_EXAMPLE, expires], key=example_key().whole) == link_of(_EXAMPLE)


_AWKWARD: list[Any] = [
    pytest.param([("url", "https://example.com/?a=1&b=2+3#x"), ("css", "a>b{content:'=&%2B!()*~'}")], id="reserved"),
    pytest.param([("hide", ".b"), ("hide", ".a"), ("hide", ".ä"), ("url", "x.com")], id="repeated"),
    pytest.param([("hide", "\U0001f600"), ("hide", "\ue000"), ("url", "例え.jp")], id="beyond UTF-16's order"),
    pytest.param([("a", "2"), ("a1", "1"), ("a-b", "3"), ("A", ""), ("url", "x.com")], id="names that begin alike"),
    pytest.param([("url", "x.com"), ("title", "\t tabs \t and spaces ")], id="white space"),
]


@pytest.mark.parametrize("query", _AWKWARD)
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_program_signs_awkward_parameters(language: str, query: list[tuple[str, str]]) -> None:
    expires = ("expires", str(_EXPIRES_S))
    assert run_program(language, [expires, *query], key=example_key().whole) == link_of(query)
