"""The fields of a request: what each accepts, how it is normalised, what it refuses."""

from __future__ import annotations

import json
import typing
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from calotype.errors import InvalidRequest
from calotype.request import CaptureRequest, Resize, Viewport, parse_body
from calotype.request.actions import ACTION_TYPES, AnyAction
from calotype.request.identity import known_zones
from calotype.request.kinds import Part

URL = {"url": "https://example.com/"}


def parse(**fields: Any) -> CaptureRequest:
    return parse_body(URL | fields).request


def problems(**fields: Any) -> dict[str, str]:
    """The problems of a request: field to message."""
    with pytest.raises(InvalidRequest) as caught:
        parse_body(URL | fields)
    return {entry["field"]: entry["message"] for entry in caught.value.details}


def stored(**fields: Any) -> CaptureRequest:
    """A request with fields that the parser does not let through yet."""
    return CaptureRequest.model_validate(URL | fields)


def all_models() -> Iterator[type[Part]]:
    waiting: list[Any] = [CaptureRequest]
    seen: set[Any] = set()
    while waiting:
        current = waiting.pop()
        if isinstance(current, type) and issubclass(current, Part):
            if current not in seen:
                seen.add(current)
                yield current
                waiting += [field.annotation for field in current.model_fields.values()]
        else:
            waiting += typing.get_args(current)


def test_defaults_are_those_of_the_contract() -> None:
    request = parse()
    assert (request.format, request.quality, request.effective_quality) == ("jpeg", None, 80)
    assert (request.full_page, request.max_height, request.padding) == (False, 32_768, 0)
    assert (request.viewport.size, request.viewport.scale) == ((1280, 720), 1)
    render = request.render
    assert (render.wait_until, render.timeout_ms, render.delay_ms) == ("settled", 30_000, 0)
    assert (render.javascript, render.scroll, render.animations, render.on_timeout) == (True, None, "settle", "partial")
    assert request.media.type == "screen"
    assert request.cookies == request.headers == request.css == request.js == request.fail_on_status == ()


FIELDS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}") for model in all_models() for name in model.model_fields
]


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_every_field_is_described_and_has_a_valid_example(model: type[Part], name: str) -> None:
    field = model.model_fields[name]
    assert field.description
    assert field.examples
    others: dict[str, Any] = {
        each: info.examples[0]
        for each, info in model.model_fields.items()
        if info.is_required() and each != name and info.examples
    }
    if model is CaptureRequest and name not in ("url", "html", "base_url"):
        others = {"url": "https://example.com"}
    if name in ("base_url", "padding"):
        others |= {"base_url": {"html": "x"}, "padding": {"url": "x", "selector": "a"}}[name]
    if name == "transparent":
        others["format"] = "png"
    if model is Resize and name in ("fit", "enlarge"):
        others["width"] = 5
    if model is ACTION_TYPES["scroll"] and name not in ("to", "by", "selector"):
        others["to"] = "top"
    for example in field.examples:
        model.model_validate(others | {name: example})


def test_schema_has_bounds_and_every_field() -> None:
    schema = CaptureRequest.model_json_schema()
    assert schema["$defs"]["Viewport"]["properties"]["width"]["minimum"] == 16
    assert schema["$defs"]["Viewport"]["properties"]["scale"]["maximum"] == 4
    assert set(schema["properties"]) == set(CaptureRequest.model_fields)
    assert {"type": "boolean"} in schema["properties"]["render"]["anyOf"]
    assert "jpg" in schema["properties"]["format"]["enum"]


BOUNDS = [
    ("quality", 1, 100),
    ("max_height", 1, 65_535),
    ("viewport.width", 16, 7_680),
    ("viewport.height", 16, 7_680),
    ("viewport.scale", 0.5, 4),
    ("render.delay_ms", 0, 30_000),
    ("render.timeout_ms", 1_000, 120_000),
    ("resize.width", 1, 16_383),
    ("resize.height", 1, 16_383),
]


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize(("path", "low", "high"), BOUNDS, ids=[row[0] for row in BOUNDS])
def test_bounds_are_inclusive_and_named(path: str, low: float, high: float) -> None:
    parse(**nested(path, low))
    parse(**nested(path, high))
    for outside in (low - 1, high + 1, 10**400, -(10**400)):
        assert problems(**nested(path, outside)) == {path: f"`{path}` must be between {low} and {high}."}


def test_selector_padding_and_cache_bounds() -> None:
    assert parse(selector="#a", padding=500).padding == 500
    assert "between 0 and 500" in problems(selector="#a", padding=501)["padding"]
    assert stored(cache={"ttl_s": 2_592_000}).cache.ttl_s == 2_592_000
    assert "between 0 and 2592000" in problems(cache={"ttl_s": 2_592_001})["cache.ttl_s"]


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"full_page": "yes"}, "full_page", "true or false"),
        ({"full_page": 1}, "full_page", "true or false"),
        ({"full_page": None}, "full_page", "true or false"),
        ({"quality": "80"}, "quality", "whole number"),
        ({"quality": True}, "quality", "whole number"),
        ({"quality": 80.5}, "quality", "whole number"),
        ({"viewport": {"scale": "2"}}, "viewport.scale", "a number"),
        ({"viewport": {"scale": float("nan")}}, "viewport.scale", "between"),
        ({"viewport": {"scale": float("inf")}}, "viewport.scale", "between"),
        ({"viewport": "400x300"}, "viewport", "an object"),
        ({"viewport": [400, 300]}, "viewport", "an object"),
        ({"format": "gif"}, "format", "jpeg, png, webp, avif, pdf"),
        ({"format": 5}, "format", "jpeg, png, webp, avif, pdf"),
        ({"selector": ""}, "selector", "empty"),
        ({"selector": "  "}, "selector", "empty"),
        ({"selector": "a" * 2049}, "selector", "2048 characters"),
        ({"clip": {"x": 0, "y": 0, "width": 10}}, "clip.height", "is required"),
        ({"clip": {"x": 0, "y": 0, "width": 10, "height": 0}}, "clip.height", "between"),
        ({"clip": {"x": -1, "y": 0, "width": 10, "height": 1}}, "clip.x", "between"),
        ({"resize": {}}, "resize", "width, height or both"),
        ({"resize": {"width": 5, "fit": "stretch"}}, "resize.fit", "contain, cover, fill"),
        ({"render": "no"}, "render", "true, false or an object"),
        ({"render": {"wait_for": 5}}, "render.wait_for", "a CSS selector or an object"),
        ({"render": {"wait_for": ""}}, "render.wait_for.selector", "empty"),
        ({"render": {"wait_for": {"selector": "a", "state": "gone"}}}, "render.wait_for.state", "visible, hidden"),
        ({"render": {"wait_until": "idle"}}, "render.wait_until", "settled, domcontentloaded, load, networkidle"),
        ({"hide": ".a"}, "hide", "a list"),
        ({"hide": [".a", 5]}, "hide.1", "a string"),
        ({"hide": [".a"] * 101}, "hide", "at most 100 entries"),
        ({"css": 5}, "css", "a string or a list of strings"),
        ({"js": ["a", None]}, "js.1", "a string"),
        ({"js": "x" * (2**20 + 1)}, "js", "1048576 bytes"),
        ({"user_agent": "a\r\nHost: b"}, "user_agent", "visible ASCII"),
        ({"user_agent": "ü"}, "user_agent", "visible ASCII"),
        ({"locale": "x"}, "locale", "language tag"),
        ({"locale": "de-DE,en;q=0.5"}, "locale", "language tag"),
        ({"timezone": "Mars/Olympus"}, "timezone", "IANA"),
        ({"timezone": "../etc/passwd"}, "timezone", "IANA"),
        ({"geolocation": {"latitude": 91, "longitude": 0}}, "geolocation.latitude", "between -90 and 90"),
        ({"geolocation": {"latitude": 1}}, "geolocation.longitude", "is required"),
        ({"media": {"color_scheme": "sepia"}}, "media.color_scheme", "light, dark"),
        ({"fail_on_status": 404}, "fail_on_status", "a list"),
        ({"fail_on_status": ["5x"]}, "fail_on_status.0", "such as 503 or a class such as 4xx"),
        ({"fail_on_status": [600]}, "fail_on_status.0", "such as 503"),
        ({"fail_on_status": [True]}, "fail_on_status.0", "such as 503"),
        ({"fail_on_status": [float("nan")]}, "fail_on_status.0", "such as 503"),
        ({"fail_on_status": [float("inf")]}, "fail_on_status.0", "such as 503"),
        ({"fail_on_status": [10**400]}, "fail_on_status.0", "such as 503"),
        ({"block": {"resources": ["images"]}}, "block.resources.0", "image, font"),
        ({"metadata": ["size"]}, "metadata.0", "title, description"),
        ({"cache": {"key": "a b"}}, "cache.key", "1 to 250 letters"),
        ({"basic_auth": {"password": "hunter2"}}, "basic_auth.username", "is required"),
        ({"device": 15}, "device", "a string"),
        ({"api_key": 5}, "api_key", "a string"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_wrong_value_is_refused_by_field(fields: dict[str, Any], field: str, said: str) -> None:
    found = problems(**fields)
    assert list(found) == [field]
    assert said in found[field]
    assert found[field].startswith(f"`{field}` ")
    assert "hunter2" not in found[field]


def test_integral_float_is_a_whole_number() -> None:
    assert parse(quality=80.0) == parse(quality=80)


def test_negative_zero_is_zero() -> None:
    clip = {"y": 0, "width": 1, "height": 1}
    assert parse(clip={"x": -0.0, **clip}).canonical_json() == parse(clip={"x": 0, **clip}).canonical_json()


@pytest.mark.parametrize("spelling", ["jpg", "JPG", "JPEG", "jpeg"])
def test_jpg_means_jpeg(spelling: str) -> None:
    assert parse(format=spelling).format == "jpeg"


@pytest.mark.parametrize(
    ("format_", "quality"), [("jpeg", 80), ("webp", 80), ("avif", 80), ("png", None), ("pdf", None)]
)
def test_quality_defaults_by_format(format_: str, quality: int | None) -> None:
    assert parse(format=format_).effective_quality == quality


@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        ({"width": 390, "height": 844, "landscape": True}, (844, 390)),
        ({"width": 844, "height": 390, "landscape": True}, (844, 390)),
        ({"width": 390, "height": 844}, (390, 844)),
    ],
)
def test_landscape_turns_a_portrait_viewport(viewport: dict[str, Any], size: tuple[int, int]) -> None:
    assert parse(viewport=viewport).viewport.size == size


def test_render_switch_means_javascript() -> None:
    assert parse(render=False) == parse(render={"javascript": False})
    assert parse(render=True) == parse()


def test_wait_for_text_is_a_visible_selector() -> None:
    assert parse(render={"wait_for": " #a "}) == parse(render={"wait_for": {"selector": "#a", "state": "visible"}})


def test_css_and_js_are_lists_without_blanks() -> None:
    assert parse(css="a{}").css == ("a{}",)
    assert parse(js=["a()", " ", ""]).js == ("a()",)


def test_html_is_bounded_in_bytes() -> None:
    assert parse_body({"html": "é" * 2**20}).request.html is not None
    with pytest.raises(InvalidRequest, match="2097152 bytes"):
        parse_body({"html": "é" * 2**20 + "x"})


def test_locale_and_timezone_are_spelled_officially() -> None:
    request = parse(locale="zh_hant_tw", timezone="europe/berlin")
    assert (request.locale, request.timezone) == ("zh-Hant-TW", "Europe/Berlin")


def test_timezone_is_checked_by_shape_where_the_system_has_no_database() -> None:
    zoneinfo.reset_tzpath(to=())
    known_zones.cache_clear()
    try:
        assert parse(timezone="Europe/Berlin").timezone == "Europe/Berlin"
        assert "timezone" in problems(timezone="../etc/passwd")
    finally:
        zoneinfo.reset_tzpath()
        known_zones.cache_clear()


def test_statuses_are_patterns() -> None:
    assert parse(fail_on_status=["4XX", 503, "503", 500.0]).fail_on_status == ("4xx", "503", "503", "500")


def test_media_switches_are_css_words() -> None:
    media = parse(media={"reduced_motion": True, "forced_colors": False, "contrast": "more"}).media
    assert (media.reduced_motion, media.forced_colors, media.contrast) == ("reduce", "none", "more")


COOKIE_SHAPES: list[Any] = [
    "a=b; c=d=e;",
    {"a": "b", "c": "d=e"},
    [{"name": "a", "value": "b"}, {"name": "c", "value": "d=e"}],
]


@pytest.mark.parametrize("cookies", COOKIE_SHAPES, ids=["text", "mapping", "list"])
def test_cookies_have_one_shape(cookies: Any) -> None:
    request = parse(cookies=cookies)
    assert [(each.name, each.value.get_secret_value()) for each in request.cookies] == [("a", "b"), ("c", "d=e")]
    assert request == parse(cookies=COOKIE_SHAPES[2])


def test_cookie_attributes_are_normalised() -> None:
    cookie = {
        "name": "a[b]",
        "value": "x y",
        "domain": ".Example.COM",
        "same_site": "none",
        "secure": True,
        "http_only": True,
        "expires": -1,
    }
    (parsed,) = parse(cookies=[cookie]).cookies
    assert (parsed.name, parsed.domain, parsed.same_site, parsed.expires) == ("a[b]", ".example.com", "None", None)


@pytest.mark.parametrize(
    ("cookies", "field"),
    [
        (5, "cookies"),
        ("a", "cookies"),
        ("=b", "cookies.0.name"),
        ({"a b": "x"}, "cookies.a b"),
        ({"a": 5}, "cookies.a"),
        ([{"name": "a"}], "cookies.0.value"),
        ([{"name": "a\n", "value": "hunter2"}], "cookies.0.name"),
        ([{"name": "a;b", "value": "hunter2"}], "cookies.0.name"),
        ([{"name": "", "value": "hunter2"}], "cookies.0.name"),
        ([{"name": "a", "value": "hunter2\r\n"}], "cookies.0.value"),
        ([{"name": "a", "value": "hunter2;x"}], "cookies.0.value"),
        ([{"name": "a", "value": "hunter2" * 1000}], "cookies.0"),
        ([{"name": "a", "value": "hunter2", "domain": "https://x"}], "cookies.0.domain"),
        ([{"name": "a", "value": "hunter2", "domain": "münchen.de"}], "cookies.0.domain"),
        ([{"name": "a", "value": "hunter2", "domain": "x:80"}], "cookies.0.domain"),
        ([{"name": "a", "value": "hunter2", "domain": ""}], "cookies.0.domain"),
        ([{"name": "a", "value": "hunter2", "path": "x"}], "cookies.0.path"),
        ([{"name": "a", "value": "hunter2", "same_site": "some"}], "cookies.0.same_site"),
        ([{"name": "a", "value": "hunter2", "same_site": "None"}], "cookies.0"),
        ([{"name": "a", "value": "hunter2", "expires": "tomorrow"}], "cookies.0.expires"),
        ([{"name": "a", "value": "hunter2"}] * 201, "cookies"),
    ],
)
def test_bad_cookie_is_refused_without_its_value(cookies: Any, field: str) -> None:
    found = problems(cookies=cookies)
    assert list(found) == [field]
    assert "hunter2" not in str(found)


def test_headers_have_one_shape() -> None:
    mapping = parse(headers={"X-A": " b ", "X-C": ""})
    assert mapping == parse(headers=[{"name": "X-A", "value": "b"}, {"name": "X-C", "value": ""}])
    assert [each.origins for each in mapping.headers] == [None, None]
    (rule,) = parse(headers=[{"name": "A", "value": "b", "origins": ["cdn.example.com"]}]).headers
    assert rule.origins == ("https://cdn.example.com",)


HOP_BY_HOP = [
    "Connection",
    "Transfer-Encoding",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Upgrade",
]
NEVER_SENT = ["Set-Cookie", "Cookie2"]
NOT_NAMES = ["", "a b", "a:b", "a\r\nb", "ü", ":authority"]


@pytest.mark.parametrize("name", ["Host", "host", "Content-Length", *HOP_BY_HOP, *NEVER_SENT, *NOT_NAMES])
def test_header_name_is_refused(name: str) -> None:
    assert list(problems(headers={name: "hunter2"})) == [f"headers.{name}"]
    found = problems(headers=[{"name": name, "value": "hunter2"}])
    assert list(found) == ["headers.0.name"]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("value", ["hunter2\r\nX: y", "hunter2\n", "hunter2\0", "hunter2" * 2000, 5, None])
def test_header_value_is_refused_without_being_told(value: Any) -> None:
    found = problems(headers={"X-A": value})
    assert list(found) == ["headers.X-A"]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1", "x-a": "2"},
        [{"name": "A", "value": "1", "origins": ["a.com", "b.com"]}, {"name": "a", "value": "2", "origins": ["b.com"]}],
        ["X-A: 1"],
        "X-A: 1",
        [{"name": "A", "value": "1", "origins": []}],
        [{"name": "A", "value": "1", "origins": ["https://a.com/path"]}],
        [{"name": "A", "value": "1"}] * 101,
    ],
)
def test_headers_that_are_no_rules_are_refused(headers: Any) -> None:
    assert len(problems(headers=headers)) == 1


@pytest.mark.parametrize(
    ("step", "normalised"),
    [
        ({"type": "write", "text": "x"}, {"type": "type", "text": "x"}),
        ({"type": "fill", "text": "x", "selector": "a"}, {"type": "type", "text": "x", "selector": "a"}),
        ({"type": "executeJavascript", "script": "x"}, {"type": "evaluate", "script": "x"}),
        ({"type": "wait", "milliseconds": 5}, {"type": "wait", "ms": 5}),
        ({"type": "wait", "selector": "a"}, {"type": "wait_for", "selector": "a"}),
        ({"type": "select", "selector": "a", "value": "b"}, {"type": "select", "selector": "a", "value": ["b"]}),
        ({"type": "scroll", "to": 5}, {"type": "scroll", "to": 5.0}),
    ],
)
def test_action_aliases(step: dict[str, Any], normalised: dict[str, Any]) -> None:
    assert stored(actions=[step]) == stored(actions=[normalised])


@pytest.mark.parametrize("kind", list(ACTION_TYPES))
def test_every_action_is_in_the_union(kind: str) -> None:
    model = ACTION_TYPES[kind]
    step = {
        name: field.examples[0] for name, field in model.model_fields.items() if field.is_required() and field.examples
    }
    extra = {"to": "top"} if kind == "scroll" else {}
    assert type(TypeAdapter[Any](AnyAction).validate_python(step | extra)) is model


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"type": "click"}, "actions.0.selector"),
        ({"type": "fly"}, "actions.0"),
        ({}, "actions.0"),
        (5, "actions.0"),
        ({"type": "wait"}, "actions.0.ms"),
        ({"type": "wait", "ms": 30_001}, "actions.0.ms"),
        ({"type": "scroll"}, "actions.0"),
        ({"type": "scroll", "to": "top", "by": 5}, "actions.0"),
        ({"type": "scroll", "to": "left"}, "actions.0.to"),
        ({"type": "scroll", "to": -1}, "actions.0.to"),
        ({"type": "type"}, "actions.0.text"),
        ({"type": "type", "text": "x" * 10_001}, "actions.0.text"),
        ({"type": "click", "selector": "a", "timeout_ms": 0}, "actions.0.timeout_ms"),
        ({"type": "click", "selector": "a", "optional": "yes"}, "actions.0.optional"),
    ],
)
def test_bad_action_is_refused(step: Any, field: str) -> None:
    assert list(problems(actions=[step])) == [field]


def test_actions_are_fifty_at_most() -> None:
    step = {"type": "click", "selector": "a"}
    assert len(stored(actions=[step] * 50).actions) == 50
    assert "at most 50" in problems(actions=[step] * 51)["actions"]


SECRETS: dict[str, Any] = {
    "cookies": {"session": "hunter2"},
    "headers": {"Authorization": "hunter2"},
    "basic_auth": {"username": "u", "password": "hunter2"},
    "actions": [{"type": "type", "text": "hunter2"}],
    "js": "const token = 'hunter2'",
}


def test_secrets_are_in_the_stored_form_only() -> None:
    request = stored(**SECRETS)
    assert "hunter2" not in repr(request)
    assert "hunter2" not in str(request)
    text = request.canonical_json()
    assert text.count("hunter2") == len(SECRETS)
    assert CaptureRequest.model_validate_json(text) == request


def test_canonical_json_is_sorted_and_whole() -> None:
    text = parse().canonical_json()
    fields = json.loads(text)
    assert list(fields) == sorted(CaptureRequest.model_fields)
    assert text == parse_body({"viewport": {}, "url": "example.com", "format": "JPG"}).request.canonical_json()


def test_request_is_frozen_and_hashable() -> None:
    request = parse(headers={"A": "b"}, hide=[".a"])
    assert hash(request) == hash(CaptureRequest.model_validate_json(request.canonical_json()))
    with pytest.raises(ValidationError):
        request.format = "png"  # pyright: ignore[reportAttributeAccessIssue]


def test_model_alone_keeps_the_rules_between_fields() -> None:
    with pytest.raises(ValidationError, match="quality"):
        CaptureRequest(url="https://example.com", format="png", quality=5)
    assert CaptureRequest(url="https://example.com", viewport=Viewport(width=16)).viewport.width == 16
