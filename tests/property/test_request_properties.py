"""A request is the same through every door: JSON body, flat query, stored form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.errors import CalotypeError
from calotype.request import CaptureRequest, ParsedRequest, parse_body, parse_query
from calotype.request.address import normalise_url
from calotype.request.flat import FLAT_FIELDS
from calotype.request.kinds import Refusal
from calotype.request.wording import part_in

booleans = st.booleans()
selectors = st.sampled_from(["#a", ".b > c", "[data-x='1,2']", ":is(a, b)", "li:nth-child(2n + 1)"])
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
cookie_values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FF, exclude_characters=";\x7f"), max_size=20)
tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}", fullmatch=True)
quarters = st.integers(0, 4_000).map(lambda value: value / 4)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


viewports = some(
    width=st.integers(16, 7_680),
    height=st.integers(16, 7_680),
    scale=st.sampled_from([0.5, 1, 1.25, 3, 4]),
    mobile=booleans,
    touch=booleans,
    landscape=booleans,
)
renders = some(
    wait_until=st.sampled_from(["settled", "domcontentloaded", "load", "networkidle"]),
    wait_for=selectors,
    wait_for_function=words.filter(str.strip),
    delay_ms=st.integers(0, 30_000),
    timeout_ms=st.integers(1_000, 120_000),
    javascript=booleans,
    scroll=booleans,
    animations=st.sampled_from(["settle", "allow"]),
    on_timeout=st.sampled_from(["partial", "fail"]),
)
clips = st.fixed_dictionaries(
    {"x": quarters, "y": quarters, "width": quarters.map(lambda v: v + 1), "height": quarters.map(lambda v: v + 1)}
)
areas = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"clip": clips}),
    st.fixed_dictionaries({"selector": selectors, "padding": st.integers(0, 500)}),
    st.fixed_dictionaries({"full_page": booleans, "max_height": st.integers(1, 65_535)}),
)
encodings = st.one_of(
    some(format=st.sampled_from(["jpeg", "jpg", "webp", "avif"]), quality=st.integers(1, 100)),
    st.fixed_dictionaries({"format": st.sampled_from(["png", "webp"]), "transparent": booleans}),
)
sources = st.one_of(
    st.fixed_dictionaries({"url": st.sampled_from(["example.com", "http://a.b:81/ü?q=1&r=2#x", "[::1]:8080/"])}),
    st.fixed_dictionaries({"html": words, "base_url": st.just("example.com/x")}),
)
others = some(
    viewport=viewports,
    render=renders,
    resize=st.fixed_dictionaries(
        {"width": st.integers(1, 9_999)}, optional={"fit": st.sampled_from(["cover", "fill"])}
    ),
    cookies=st.dictionaries(tokens, cookie_values, max_size=3),
    headers=st.dictionaries(tokens.map(lambda token: f"X-{token.lower()}"), words, max_size=3),
    user_agent=st.from_regex(r"[A-Za-z/]{1,9}( \([a-z; ]{1,9}\))?", fullmatch=True),
    css=st.lists(words, max_size=3),
    js=st.one_of(words, st.lists(words, max_size=3)),
    hide=st.lists(selectors, max_size=3),
    remove=st.lists(selectors, max_size=3),
    locale=st.sampled_from(["de", "de_AT", "zh-Hant-TW"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
    media=some(type=st.sampled_from(["screen", "print"]), reduced_motion=booleans, color_scheme=st.just("dark")),
    geolocation=st.fixed_dictionaries(
        {"latitude": quarters.map(lambda v: v / 100), "longitude": quarters.map(lambda v: -v / 100)}
    ),
    fail_on_status=st.lists(st.sampled_from(["4xx", "5XX", 404, "503"]), max_size=3),
)
bodies = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()}, sources, areas, encodings, others
)


def flatten(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Write a JSON request as query parameters, the flat way."""
    names = {field.path: name for name, field in reversed(FLAT_FIELDS.items())}
    items: list[tuple[str, str]] = []
    for name, value in body.items():
        if name == "headers":
            items += [("headers", f"{each}: {content}") for each, content in value.items()]
        elif name == "cookies":
            items += [("cookies", f"{each}={content}") for each, content in value.items()]
        elif isinstance(value, dict):
            items += [(names[name, part], scalar(content)) for part, content in value.items()]
        elif isinstance(value, list):
            items += [(name, scalar(entry)) for entry in value]
        else:
            items.append((name, scalar(value)))
    return items


def scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@settings(max_examples=150, deadline=None)
@given(bodies)
def test_every_door_gives_the_same_request(body: dict[str, Any]) -> None:
    by_json = parse_body(json.loads(json.dumps(body)), strict=True).request
    by_query = parse_query(flatten(body), strict=True).request
    stored = CaptureRequest.model_validate_json(by_json.canonical_json())
    assert by_json == by_query == stored
    assert by_json.canonical_json() == by_query.canonical_json() == stored.canonical_json()
    assert parse_body(json.loads(by_json.canonical_json()), strict=True).request == by_json


@settings(max_examples=60, deadline=None)
@given(bodies)
def test_objects_as_json_parameters_give_the_same_request(body: dict[str, Any]) -> None:
    items: list[tuple[str, str]] = []
    for name, value in body.items():
        if isinstance(value, list) and name in ("css", "js"):
            items += [(name, entry) for entry in value]
        else:
            items.append((name, scalar(value)))
    assert parse_query(items, strict=True).request == parse_body(body).request


json_values = st.recursive(
    st.one_of(st.none(), booleans, st.integers(), st.floats(), st.text(max_size=10), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=8,
)
field_names = st.sampled_from([*CaptureRequest.model_fields, "api_key"])


def outcome(parse: Callable[[], ParsedRequest]) -> CaptureRequest | list[dict[str, Any]]:
    """The request, or the details of the error. Any other exception is a failure."""
    try:
        return parse().request
    except CalotypeError as error:
        return error.details


def check_outcome(result: CaptureRequest | list[dict[str, Any]]) -> None:
    if isinstance(result, CaptureRequest):
        assert CaptureRequest.model_validate_json(result.canonical_json()) == result
    else:
        assert result
        assert all({"field", "message"} <= set(entry) for entry in result)
        assert json.dumps(result, ensure_ascii=False).encode()


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.one_of(field_names, st.text(max_size=10)), json_values, max_size=6), booleans)
def test_any_json_gives_a_request_or_one_of_our_errors(body: dict[str, Any], strict: bool) -> None:
    check_outcome(outcome(lambda: parse_body(body, strict=strict)))
    check_outcome(outcome(lambda: parse_body({"url": "example.com", **body}, strict=strict)))


part_names = {name: part_in(field.annotation) for name, field in CaptureRequest.model_fields.items()}
parts = st.one_of(
    [
        st.dictionaries(st.sampled_from([*part.model_fields, "x"]), json_values, max_size=4).map(
            lambda fields, name=name: {name: fields}
        )
        for name, part in part_names.items()
        if part is not None
    ]
)


@settings(max_examples=200, deadline=None)
@given(parts)
def test_any_object_gives_a_request_or_one_of_our_errors(body: dict[str, Any]) -> None:
    name, fields = next(iter(body.items()))
    check_outcome(outcome(lambda: parse_body({"url": "example.com", **body})))
    check_outcome(outcome(lambda: parse_body({"url": "example.com", name: [fields, fields]})))


query_names = st.one_of(st.sampled_from(list(FLAT_FIELDS)), st.text(max_size=8))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(query_names, st.one_of(st.text(max_size=20), st.just("{}"), st.just("[]"))), max_size=6))
def test_any_query_gives_a_request_or_one_of_our_errors(items: list[tuple[str, str]]) -> None:
    check_outcome(outcome(lambda: parse_query([("url", "example.com"), *items])))


url_texts = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"(https?:)?[/\\]{0,3}[a-z0-9.\-:@\[\]% ]{1,20}([/?#\\].{0,20})?", fullmatch=True),
)


@settings(max_examples=300, deadline=None)
@given(url_texts)
def test_normalised_url_stays_as_it_is(text: str) -> None:
    try:
        href = normalise_url(text)
    except Refusal:
        return
    assert href.startswith(("http://", "https://"))
    assert normalise_url(href) == href
