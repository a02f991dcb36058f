"""What is reported about a request as a whole: contradictions, unknown names, unsupported fields, all at once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from calotype.errors import InvalidRequest, InvalidUrl
from calotype.request import NOT_YET, CaptureRequest, parse_body

URL = {"url": "https://example.com/"}
CLIP = {"x": 0, "y": 0, "width": 10, "height": 10}


def details(body: Any, *, strict: bool = False) -> list[dict[str, Any]]:
    with pytest.raises((InvalidRequest, InvalidUrl)) as caught:
        parse_body(body, strict=strict)
    assert caught.value.message
    return caught.value.details


def fields_wrong(**fields: Any) -> list[str]:
    return [entry["field"] for entry in details(URL | fields)]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"html": "x"}, ["html"]),
        ({"base_url": "https://a.com"}, ["base_url"]),
        ({"quality": 5, "format": "png"}, ["quality"]),
        ({"quality": 5, "format": "pdf"}, ["quality"]),
        ({"transparent": True}, ["transparent"]),
        ({"transparent": True, "format": "pdf"}, ["transparent"]),
        ({"selector": "a", "full_page": True}, ["selector"]),
        ({"clip": CLIP, "full_page": True}, ["clip"]),
        ({"clip": CLIP, "selector": "a"}, ["clip"]),
        ({"padding": 5}, ["padding"]),
        ({"format": "pdf", "selector": "a"}, ["selector"]),
        ({"format": "pdf", "clip": CLIP}, ["clip"]),
        ({"format": "pdf", "resize": {"width": 5}}, ["resize"]),
    ],
    ids=str,
)
def test_contradiction_is_refused(fields: dict[str, Any], wrong: list[str]) -> None:
    assert fields_wrong(**fields) == wrong


@pytest.mark.parametrize(
    "fields",
    [
        {"max_height": 100},
        {"full_page": True, "format": "pdf"},
        {"quality": 5, "format": "avif"},
        {"transparent": True, "format": "webp"},
        {"transparent": False, "format": "pdf"},
        {"padding": 0},
        {"clip": CLIP, "resize": {"width": 5}},
    ],
    ids=str,
)
def test_combination_is_fine(fields: dict[str, Any]) -> None:
    assert parse_body(URL | fields).warnings == []


def test_neither_url_nor_html_names_both() -> None:
    (entry,) = details({"full_page": True})
    assert entry["field"] == "url"
    assert "`html`" in entry["message"]


def test_everything_wrong_is_reported_at_once() -> None:
    body = {
        "viewport": {"width": 1, "mobile": "yes"},
        "format": "png",
        "quality": 90,
        "headers": {"Host": "x"},
        "block": {"ads": True},
        "padding": 3,
    }
    wrong = {entry["field"]: entry["type"] for entry in details(body)}
    assert wrong == {
        "viewport.width": "out_of_bounds",
        "viewport.mobile": "wrong_type",
        "headers.Host": "invalid_value",
        "url": "missing",
        "quality": "contradiction",
        "padding": "contradiction",
        "block.ads": "not_supported",
    }


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"url": 5}, ["url"]),
        ({"html": 5}, ["html"]),
        ({"html": 5, "base_url": "https://a.com"}, ["html"]),
        ({**URL, "format": "gif", "transparent": True}, ["format"]),
        ({**URL, "selector": "", "padding": 5}, ["selector"]),
        ({**URL, "full_page": "yes", "clip": CLIP}, ["full_page"]),
    ],
    ids=str,
)
def test_a_bad_field_is_not_blamed_on_another(body: dict[str, Any], wrong: list[str]) -> None:
    assert [entry["field"] for entry in details(body)] == wrong


@pytest.mark.parametrize("path", NOT_YET)
def test_unsupported_field_is_refused(path: str) -> None:
    part, name = path.split(".")
    (entry,) = details(URL | {part: {name: True}})
    assert entry == {"field": path, "message": f"`{path}` is not supported yet.", "type": "not_supported"}


@pytest.mark.parametrize("path", NOT_YET)
def test_default_of_an_unsupported_field_is_fine(path: str) -> None:
    part, name = path.split(".")
    assert parse_body(URL | {part: {name: False}}).request == parse_body(URL).request


def test_what_is_beside_an_unsupported_field_is_fine() -> None:
    assert parse_body(URL | {"block": {"urls": ["*.js"], "resources": ["font"]}}).warnings == []


@pytest.mark.parametrize(
    ("fields", "field", "suggestion"),
    [
        ({"fullpage": True}, "fullpage", "full_page"),
        ({"fullPage": True}, "fullPage", "full_page"),
        ({"vieport": {}}, "vieport", "viewport"),
        ({"width": 400}, "width", "viewport.width"),
        ({"delay": 5}, "delay", "render.delay_ms"),
        ({"capture_full_page": True}, "capture_full_page", "full_page"),
        ({"xyzzy": 1}, "xyzzy", None),
        ({"": 1}, "", None),
        ({"x" * 1000: 1}, "x" * 64 + "…", None),
        ({"viewport": {"widht": 5}}, "viewport.widht", "viewport.width"),
        (
            {"render": {"wait_for": {"selector": "a", "sate": "hidden"}}},
            "render.wait_for.sate",
            "render.wait_for.state",
        ),
        ({"cookies": [{"name": "a", "value": "b", "httpOnly": True}]}, "cookies.0.httpOnly", "cookies.0.http_only"),
        ({"headers": [{"name": "a", "value": "b", "origin": 1}]}, "headers.0.origin", "headers.0.origins"),
        ({"resize": {"width": 5, "mode": "x"}}, "resize.mode", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_unknown_name_is_a_warning_and_an_error_when_strict(
    fields: dict[str, Any], field: str, suggestion: str | None
) -> None:
    parsed = parse_body(URL | fields)
    (warning,) = parsed.warnings
    assert (warning["code"], warning["field"], warning.get("suggestion")) == ("unknown_field", field, suggestion)
    (entry,) = details(URL | fields, strict=True)
    assert (entry["type"], entry["field"], entry.get("suggestion")) == ("unknown_field", field, suggestion)


def test_unknown_name_in_an_action_is_found() -> None:
    body = URL | {"actions": [{"type": "write", "text": "x", "selectr": "a"}]}
    found = {entry["field"]: entry.get("suggestion") for entry in details(body, strict=True)}
    assert found == {"actions.0.selectr": "actions.0.selector"}


def test_unknown_names_change_nothing_in_the_request() -> None:
    assert parse_body(URL | {"foo": 1, "viewport": {"bar": 2}}).request == parse_body(URL).request


def test_strict_lists_unknown_names_with_all_else() -> None:
    found = details({"url": "ftp://x", "foo": 1, "viewport": {"width": 1, "widht": 2}}, strict=True)
    assert [entry["field"] for entry in found] == ["url", "viewport.width", "viewport.widht", "foo"]


def test_markup_without_a_host_is_warned_of_cookies_and_headers() -> None:
    body = {"html": "x", "cookies": "a=b", "headers": {"A": "b"}, "basic_auth": {"username": "a", "password": "b"}}
    assert [(each["code"], each["field"]) for each in parse_body(body, strict=True).warnings] == [
        ("no_effect", "cookies"),
        ("no_effect", "headers"),
        ("no_effect", "basic_auth"),
    ]
    assert parse_body(body | {"base_url": "https://example.com"}).warnings == []


def test_api_key_is_taken_out() -> None:
    parsed = parse_body(URL | {"api_key": "hunter2"})
    assert (parsed.api_key, parsed.warnings, parsed.response) == ("hunter2", [], "json")
    assert "hunter2" not in repr(parsed)
    assert "hunter2" not in parsed.request.canonical_json()
    assert parse_body(URL | {"api_key": ""}).api_key is None
    assert parse_body(URL).api_key is None


def test_body_is_left_as_it_was() -> None:
    body = URL | {"api_key": "k", "viewport": {"width": 400}, "actions": []}
    parse_body(body)
    assert body == URL | {"api_key": "k", "viewport": {"width": 400}, "actions": []}


@pytest.mark.parametrize("body", [None, [], [URL], "x", 5, True], ids=repr)
def test_body_that_is_no_object_is_refused(body: Any) -> None:
    (entry,) = details(body)
    assert "JSON object" in entry["message"]


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


ABSURD: dict[str, dict[str, Any]] = {
    "deep": {"hide": deep(100_000)},
    "deep-unknown": {"foo": [{"a": deep(20)}]},
    "long": {"foo": [0] * 1_000_000},
    "wide": {"foo": [[0] * 200] * 200},
    "many": {str(number): 0 for number in range(30_000)},
    "surrogate": {"locale": "\ud800"},
    "surrogate-name": {"\udc00": 1},
    "surrogate-inner-name": {"headers": {"\ud800": "x"}},
    "surrogate-inner": {"foo": {"a": ["\ud800"]}},
    "errors": {"hide": [0] * 19_000},
    "headers": {"headers": {f"a {number}": 5 for number in range(10_000)}},
    "pairs": {"cookies": ";".join(["a"] * 100_000)},
    "cookies": {"cookies": "a=b;" * 100_000},
}


@pytest.mark.parametrize("extra", ABSURD.values(), ids=ABSURD)
def test_absurd_body_is_refused(extra: dict[str, Any]) -> None:
    started = time.process_time()
    found = details(URL | extra)
    assert 1 <= len(found) <= 101
    assert time.process_time() - started < 20  # seconds of work, against the hours of a quadratic slip
    str(found).encode()  # fit to be sent


def test_thousands_of_unknown_names_are_summed_up() -> None:
    parsed = parse_body(URL | {f"field_{number}": 1 for number in range(5_000)})
    assert len(parsed.warnings) == 101
    assert "4900 more" in parsed.warnings[-1]["message"]


def test_number_beyond_any_type_is_refused() -> None:
    assert fields_wrong(quality=10**5000, max_height=-(10**5000), viewport={"scale": 10**5000}) == [
        "quality",
        "max_height",
        "viewport.scale",
    ]


def test_request_made_in_python_equals_the_parsed_one() -> None:
    assert parse_body({"url": "example.com"}).request == CaptureRequest(url="https://example.com")
