"""URLs are read as browsers read them, and refused in words that help."""

from __future__ import annotations

import pytest

from calotype.errors import InvalidRequest, InvalidUrl
from calotype.request import parse_body
from calotype.request.address import normalise_origin, normalise_url
from calotype.request.kinds import Refusal


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("https://example.com", "https://example.com/"),
        ("example.com", "https://example.com/"),
        ("example.com/a b?q=ü#f", "https://example.com/a%20b?q=%C3%BC#f"),
        ("example.com:8080/x", "https://example.com:8080/x"),
        ("example.com:8080", "https://example.com:8080/"),
        ("localhost:8080?x", "https://localhost:8080/?x"),
        ("127.0.0.1:9000/", "https://127.0.0.1:9000/"),
        ("[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("//example.com/x", "https://example.com/x"),
        ("HTTP://EXAMPLE.com:80/X", "http://example.com/X"),
        ("https:example.com", "https://example.com/"),
        ("http:\\\\example.com\\x", "http://example.com/x"),
        (" \t\nhttps://exa\nmple.com/ \r\n", "https://example.com/"),
        ("https://münchen.de", "https://xn--mnchen-3ya.de/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("example.com/?next=http://other.com", "https://example.com/?next=http://other.com"),
        ("example.com/@user:1", "https://example.com/@user:1"),
        ("https://example.com\\@other.com/", "https://example.com/@other.com/"),
    ],
)
def test_url_is_normalised(text: str, href: str) -> None:
    assert normalise_url(text) == href
    assert normalise_url(href) == href


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("/path", "no host"),
        ("?q", "no host"),
        ("#x", "no host"),
        ("ftp://example.com", "not ftp:"),
        ("file:///etc/passwd", "not file:"),
        ("FILE:/etc/passwd", "not file:"),
        ("javascript:alert(1)", "not javascript:"),
        ("javascript:1", "not javascript:"),
        ("data:text/html,x", "not data:"),
        ("about:blank", "not about:"),
        ("mailto:a@example.com", "not mailto:"),
        ("ws://example.com", "not ws:"),
        ("chrome://version", "not chrome:"),
        ("C:\\x", "not c:"),
        ("https://", "can't be parsed"),
        ("https://exa mple.com", "can't be parsed"),
        ("https://example.com:99999", "can't be parsed"),
        ("example.com:99999", "can't be parsed"),
        ("https://[::1", "can't be parsed"),
        ("https://user:pw@example.com", "user name or password"),
        ("https://user@example.com", "user name or password"),
        ("user:pw@example.com", "user name or password"),
        ("https://example.com/" + "a" * 2029, "2048 characters"),
        ("https://example.com/" + "ü" * 400, "2048 characters"),
        ("a" * 100_000, "2048 characters"),
    ],
)
def test_refused_url_is_the_only_problem_and_says_why(text: str, said: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_body({"url": text})
    assert said in caught.value.message
    assert [entry["field"] for entry in caught.value.details] == ["url"]
    assert "pw" not in str(caught.value.details)


def test_longest_url_is_accepted() -> None:
    url = "https://example.com/" + "a" * 2028
    assert parse_body({"url": url}).request.url == url


def test_url_beside_other_problems_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body({"url": "ftp://example.com", "quality": 0})
    assert [entry["field"] for entry in caught.value.details] == ["url", "quality"]


@pytest.mark.parametrize("body", [{}, {"url": None}, {"url": 5}, {"url": ["https://example.com"]}, {"html": ""}])
def test_missing_or_mistyped_source_is_an_invalid_request(body: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(body)
    assert len(caught.value.details) == 1


def test_base_url_is_normalised_too() -> None:
    assert parse_body({"html": "x", "base_url": "example.com/a"}).request.base_url == "https://example.com/a"
    with pytest.raises(InvalidUrl, match="base_url"):
        parse_body({"html": "x", "base_url": "ftp://x"})


@pytest.mark.parametrize(
    ("text", "origin"), [("cdn.example.com", "https://cdn.example.com"), ("http://A.b:81/", "http://a.b:81")]
)
def test_origin_is_normalised(text: str, origin: str) -> None:
    assert normalise_origin(text) == origin
    assert normalise_origin(origin) == origin


@pytest.mark.parametrize("text", ["https://example.com/x", "https://example.com/?x", "ftp://example.com"])
def test_origin_with_more_than_an_origin_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        normalise_origin(text)


def test_what_gets_shorter_by_being_parsed_is_too_long_all_the_same() -> None:
    with pytest.raises(InvalidUrl, match="2048 characters"):
        parse_body({"url": "0" * 2049})
    assert parse_body({"url": " " * 2049 + "0" * 2048}).request.url == "https://0.0.0.0/"
