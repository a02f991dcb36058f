"""Signed links: every change breaks them, and whatever writes the same query otherwise does not."""

from __future__ import annotations

import random
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import ada_url
from hypothesis import assume, example, given
from hypothesis import strategies as st

from calotype.signing import PARAMETERS, canonical_query, is_signed, link_secret, read_link, sign

SECRET = link_secret("A" * 43)
KEY_ID = "Ab3dEf9h"

_any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_awkward = st.sampled_from(
    ["", "&", "=", "+", "%", "%2B", "a&b=c", " ", "\t\n", "\0", "#?/", "é", "\ue000", "\U0001f600"]
)
_texts = _any_text | _awkward
_names = (st.sampled_from(["url", "css", "hide", "width"]) | _texts).filter(lambda name: name not in PARAMETERS)
_queries = st.lists(st.tuples(_names, _texts), max_size=6)
_times = st.integers(0, 10**12 - 1)

Pairs = list[tuple[str, str]]


def link(query: Pairs, expires_s: int) -> str:
    return "https://shots.example.com/v1/screenshot?" + sign(query, key_id=KEY_ID, secret=SECRET, expires_s=expires_s)


def decoded(url: str) -> Pairs:
    """As the server reads it."""
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def holds(query: Pairs) -> bool:
    read = read_link(query)
    return read is not None and read.is_signed_with(SECRET)


@given(query=_queries, expires_s=_times)
def test_a_link_holds_and_says_what_was_signed(query: Pairs, expires_s: int) -> None:
    arrived = decoded(link(query, expires_s))
    assert holds(arrived)
    assert is_signed(arrived)
    assert sorted(pair for pair in arrived if pair[0] not in PARAMETERS) == sorted(query)
    read = read_link(arrived)
    assert read is not None
    assert (read.key_id, read.expires_s) == (KEY_ID, expires_s)


@given(query=_queries, expires_s=_times, order=st.randoms(use_true_random=False))
def test_the_order_does_not_matter(query: Pairs, expires_s: int, order: random.Random) -> None:
    arrived = decoded(link(query, expires_s))
    order.shuffle(arrived)
    assert holds(arrived)


@given(query=_queries, expires_s=_times, data=st.data())
def test_any_change_of_any_parameter_breaks_it(query: Pairs, expires_s: int, data: st.DataObject) -> None:
    arrived = decoded(link(query, expires_s))
    changed = list(arrived)
    at = data.draw(st.integers(0, len(arrived) - 1))
    name, value = arrived[at]
    match data.draw(st.sampled_from(["name", "value", "remove", "repeat", "add", "character"])):
        case "name":
            changed[at] = (data.draw(_texts), value)
        case "value":
            changed[at] = (name, data.draw(_texts))
        case "remove":
            del changed[at]
        case "repeat":
            changed.append((name, data.draw(st.just(value) | _texts)))
        case "add":
            changed.append((data.draw(_texts), data.draw(_texts)))
        case _:
            assume(value)
            place = data.draw(st.integers(0, len(value) - 1))
            changed[at] = (
                name,
                value[:place] + data.draw(st.characters(exclude_categories=["Cs"])) + value[place + 1 :],
            )
    assume(sorted(changed) != sorted(arrived))
    assert not holds(changed)


@given(query=_queries, expires_s=st.integers(0, 10**11 - 1))
def test_no_parameter_is_outside_the_signature(query: Pairs, expires_s: int) -> None:
    arrived = decoded(link(query, expires_s))
    for at, (name, value) in enumerate(arrived):
        longer = [*arrived[:at], (name, f"{value}0"), *arrived[at + 1 :]]
        renamed = [*arrived[:at], (f"{name}0", value), *arrived[at + 1 :]]
        without = [*arrived[:at], *arrived[at + 1 :]]
        twice = [*arrived, (name, value)]
        assert not any(map(holds, (longer, renamed, without, twice)))


@given(query=_queries, expires_s=_times)
def test_another_key_does_not_sign_it(query: Pairs, expires_s: int) -> None:
    read = read_link(decoded(link(query, expires_s)))
    assert read is not None
    assert not read.is_signed_with(link_secret("A" * 42 + "B"))


@given(query=_queries, expires_s=_times)
@example(query=[("url", "https://example.com/?a=1&b=ü#top"), ("css", "a > b { color: red }")], expires_s=0)
def test_libraries_and_browsers_may_write_it_in_their_own_way(query: Pairs, expires_s: int) -> None:
    url = link(query, expires_s)
    arrived = decoded(url)
    as_a_browser_asks_for_it = ada_url.URL(url).href
    as_a_form_sends_it = urlencode(arrived, quote_via=quote_plus)
    as_a_script_writes_it = str(ada_url.URLSearchParams(urlsplit(url).query))
    assert holds(decoded(as_a_browser_asks_for_it))
    assert holds(parse_qsl(as_a_form_sends_it, keep_blank_values=True))
    assert holds(parse_qsl(as_a_script_writes_it, keep_blank_values=True))


@given(query=_queries)
def test_the_canonical_query_is_ascii_and_reads_back(query: Pairs) -> None:
    canonical = canonical_query(query)
    assert set(canonical) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%=&")
    assert parse_qsl(canonical, keep_blank_values=True) == sorted(
        query, key=lambda pair: (pair[0].encode(), pair[1].encode())
    )


@given(query=_queries, other=_queries)
def test_two_captures_have_two_canonical_queries(query: Pairs, other: Pairs) -> None:
    assert (canonical_query(query) == canonical_query(other)) == (sorted(query) == sorted(other))
