"""The flat GET form says what the JSON form says."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from calotype.errors import InvalidRequest, InvalidUrl
from calotype.request import CaptureRequest, ParsedRequest, parse_body, parse_query
from calotype.request.flat import FLAT_FIELDS, split_list
from calotype.request.wording import part_in

URL = {"url": "https://example.com/"}


def query(text: str, *, strict: bool = False) -> ParsedRequest:
    return parse_query(parse_qsl(f"url=example.com&{text}", keep_blank_values=True), strict=strict)


def problems(text: str, *, strict: bool = False) -> list[dict[str, Any]]:
    with pytest.raises((InvalidRequest, InvalidUrl)) as caught:
        query(text, strict=strict)
    return caught.value.details


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("width=400&height=300&scale=2", {"viewport": {"width": 400, "height": 300, "scale": 2}}),
        ("mobile=1&touch=yes&landscape=on", {"viewport": {"mobile": True, "touch": True, "landscape": True}}),
        ("full_page", {"full_page": True}),
        ("full_page=", {"full_page": True}),
        ("full_page=TRUE", {"full_page": True}),
        ("full_page=off", {"full_page": False}),
        ("javascript=no", {"render": {"javascript": False}}),
        ("render=false", {"render": False}),
        ("render", {"render": True}),
        ("render=false&delay_ms=5", {"render": {"javascript": False, "delay_ms": 5}}),
        ("render=%7B%22delay_ms%22:5%7D&scroll=true", {"render": {"delay_ms": 5, "scroll": True}}),
        ("delay_ms=5&timeout_ms=1000", {"render": {"delay_ms": 5, "timeout_ms": 1000}}),
        ("wait_until=load&on_timeout=fail", {"render": {"wait_until": "load", "on_timeout": "fail"}}),
        (
            "animations=allow&wait_for_function=a(1,2)",
            {"render": {"animations": "allow", "wait_for_function": "a(1,2)"}},
        ),
        ("wait_for=%23a", {"render": {"wait_for": "#a"}}),
        ("wait_for=[data-ready]", {"render": {"wait_for": "[data-ready]"}}),
        ('wait_for={"selector":"a","state":"hidden"}', {"render": {"wait_for": {"selector": "a", "state": "hidden"}}}),
        ("clip=1,2,30,40.5", {"clip": {"x": 1, "y": 2, "width": 30, "height": 40.5}}),
        ('clip={"x":1,"y":2,"width":3,"height":4}', {"clip": {"x": 1, "y": 2, "width": 3, "height": 4}}),
        ("clip_x=1&clip_y=2&clip_width=3&clip_height=4", {"clip": {"x": 1, "y": 2, "width": 3, "height": 4}}),
        ("resize_width=5&resize_fit=cover&resize_enlarge", {"resize": {"width": 5, "fit": "cover", "enlarge": True}}),
        ('resize={"width":5}', {"resize": {"width": 5}}),
        ('viewport={"width":400}&height=300', {"viewport": {"width": 400, "height": 300}}),
        ('viewport={"width":400}&width=400', {"viewport": {"width": 400}}),
        ("viewport={}", {}),
        ("hide=.a,.b&hide=.c", {"hide": [".a", ".b", ".c"]}),
        ("hide=[data-ad],:is(a,b)", {"hide": ["[data-ad]", ":is(a,b)"]}),
        ('hide=["a,b"]', {"hide": ["a,b"]}),
        ("hide=", {}),
        ("remove=.a", {"remove": [".a"]}),
        ("css=a{b:c,d}&css=e{}", {"css": ["a{b:c,d}", "e{}"]}),
        ("css_injection=a,b", {"css": "a,b"}),
        ("js=f(1,2)", {"js": "f(1,2)"}),
        ('js=["x"]', {"js": '["x"]'}),
        ("cookies=a=b; c=d,e", {"cookies": {"a": "b", "c": "d,e"}}),
        ("cookies=a=b&cookies=c=d", {"cookies": "a=b; c=d"}),
        ('cookies={"a":"b"}', {"cookies": "a=b"}),
        ('cookies=[{"name":"a","value":"b","path":"/x"}]', {"cookies": [{"name": "a", "value": "b", "path": "/x"}]}),
        ("headers=X-A: b:c, d&headers=X-E:f", {"headers": {"X-A": "b:c, d", "X-E": "f"}}),
        ('headers={"X-A":"b"}', {"headers": {"X-A": "b"}}),
        ("quality=90&format=webp", {"quality": 90, "format": "webp"}),
        ("export_format=jpg&format=jpeg", {}),
        ("export_format=PNG", {"format": "png"}),
        ("capture_full_page=true&full_page=1", {"full_page": True}),
        ("delay=2", {"render": {"delay_ms": 2000}}),
        ("delay=2.5", {"render": {"delay_ms": 2500}}),
        ("delay=30", {"render": {"delay_ms": 30_000}}),
        ("delay=31", {"render": {"delay_ms": 31}}),
        ("delay=0", {}),
        ("delay=5&delay_ms=5000", {"render": {"delay_ms": 5000}}),
        ("fail_on_status=4xx,503", {"fail_on_status": ["4xx", 503]}),
        ("selector=a,b&padding=5", {"selector": "a,b", "padding": 5}),
        ("media_type=print&media_color_scheme=dark", {"media": {"type": "print", "color_scheme": "dark"}}),
        ("media_reduced_motion&media_forced_colors=none", {"media": {"reduced_motion": True, "forced_colors": "none"}}),
        (
            "geolocation_latitude=-1.5&geolocation_longitude=%2B2",
            {"geolocation": {"latitude": -1.5, "longitude": 2}},
        ),
        ("user_agent=a b&locale=de&timezone=UTC", {"user_agent": "a b", "locale": "de", "timezone": "UTC"}),
        ("width=4e2", {"viewport": {"width": 400}}),
        ("actions=[]&mask=&metadata=&block_ads=false&cache_ttl_s=0", {}),
    ],
)
def test_query_equals_json(text: str, fields: dict[str, Any]) -> None:
    parsed = query(text)
    assert parsed.request == parse_body(URL | fields).request
    assert parsed.warnings == []


@pytest.mark.parametrize(
    ("text", "field", "parameter", "said"),
    [
        ("width=abc", "viewport.width", "width", "`width` must be a whole number"),
        ("width=", "viewport.width", "width", "whole number"),
        ("width=10", "viewport.width", "width", "between 16 and 7680"),
        ("width=1_000", "viewport.width", "width", "whole number"),
        (f"width={'9' * 9999}", "viewport.width", "width", "whole number"),
        ("scale=nan", "viewport.scale", "scale", "a number"),
        ("delay=abc", "render.delay_ms", "delay", "`delay` must be a whole number"),
        ("delay=-1", "render.delay_ms", "delay", "between"),
        ("delay=99999", "render.delay_ms", "delay", "`delay` must be between 0 and 30000"),
        ("full_page=maybe", "full_page", "full_page", "true or false"),
        ("full_page=1&full_page=1", "full_page", "full_page", "once"),
        ("width=20&width=30", "viewport.width", "width", "once"),
        ("full_page=true&capture_full_page=false", "full_page", "full_page", "`capture_full_page` disagree"),
        ("delay=5&delay_ms=5", "render.delay_ms", "delay", "disagree"),
        ("css=a&css_injection=b", "css", "css", "disagree"),
        ("format=png&export_format=jpg", "format", "format", "disagree"),
        ('viewport={"width":400}&width=500', "viewport.width", "viewport", "`width` disagree"),
        ("clip=1,2,3", "clip", "clip", "four numbers"),
        ("clip=1,2,3,x", "clip.height", "clip", "`clip.height` must be a number"),
        ("viewport=400", "viewport", "viewport", "an object"),
        ("viewport=400&width=500", "viewport", "viewport", "an object"),
        ("viewport={", "viewport", "viewport", "read as JSON"),
        ('viewport={"scale":NaN}', "viewport", "viewport", "read as JSON"),
        ("viewport=" + "[" * 100_000, "viewport", "viewport", "read as JSON"),
        ("headers=nothing", "headers", "headers", "Name: value"),
        ("cookies=nothing", "cookies", "cookies", "equals sign"),
        ("hide=" + "a" * 3000, "hide.0", "hide", "2048"),
        ("actions=click", "actions", "actions", "a list"),
        ("block_ads=1", "block.ads", "block_ads", "not supported yet"),
        ("export_format=gif", "format", "export_format", "`export_format` must be one of"),
    ],
    ids=lambda value: value[:30],
)
def test_wrong_parameter_is_named(text: str, field: str, parameter: str, said: str) -> None:
    (entry,) = problems(text)
    assert (entry["field"], entry["parameter"]) == (field, parameter)
    assert said in entry["message"]


def test_section_given_as_text_after_its_parts_is_reported() -> None:
    (entry,) = problems("width=500&viewport=400")
    assert entry["field"] == "viewport"


def test_response_and_key_are_not_part_of_the_request() -> None:
    parsed = query("api_key=hunter2&response=json")
    assert (parsed.api_key, parsed.response, parsed.warnings) == ("hunter2", "json", [])
    assert query("response=image").response == query("").response == "image"
    assert query("").api_key is None


@pytest.mark.parametrize("text", ["response=xml", "response=json&response=json", "api_key=hunter2&api_key=hunter2"])
def test_bad_response_or_key_is_refused(text: str) -> None:
    (entry,) = problems(text)
    assert "hunter2" not in str(entry)


@pytest.mark.parametrize(
    ("text", "field", "suggestion"),
    [
        ("widht=5", "widht", "width"),
        ("fullPage=1", "fullPage", "full_page"),
        ("apikey=hunter2", "apikey", "api_key"),
        ("qqqq=5", "qqqq", None),
        ('viewport={"widht":5}', "viewport.widht", "viewport.width"),
    ],
)
def test_unknown_parameter_is_a_warning(text: str, field: str, suggestion: str | None) -> None:
    (warning,) = query(text).warnings
    assert (warning["field"], warning.get("suggestion")) == (field, suggestion)
    assert "hunter2" not in str(warning)
    (entry,) = problems(text, strict=True)
    assert (entry["field"], entry["type"]) == (field, "unknown_field")


def test_url_alone_wrong_is_an_invalid_url() -> None:
    with pytest.raises(InvalidUrl):
        parse_query([("url", "ftp://x"), ("width", "400")])
    with pytest.raises(InvalidRequest):
        parse_query([("width", "400")])


def test_html_is_taken_too() -> None:
    assert parse_query([("html", "{a}"), ("base_url", "example.com")]).request.html == "{a}"


def test_too_many_parameters_are_refused() -> None:
    found = problems("&".join(["hide=a"] * 1_000))
    assert any("1000 parameters" in entry["message"] for entry in found)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", []),
        (" , ", []),
        ("a, b ,c", ["a", "b", "c"]),
        ("a:is(b,c),d", ["a:is(b,c)", "d"]),
        ("[x='a,b'],c", ["[x='a,b']", "c"]),
        ('[x="a\\",b"],c', ['[x="a\\",b"]', "c"]),
        ("*.{png,jpg},x", ["*.{png,jpg}", "x"]),
        ("a\\,b,c", ["a\\,b", "c"]),
        ("a),b", ["a)", "b"]),
        ("a(,b", ["a(,b"]),
    ],
)
def test_lists_are_split_outside_brackets_and_quotes(text: str, entries: list[str]) -> None:
    assert split_list(text) == entries


def test_every_field_has_a_parameter() -> None:
    paths = {field.path for field in FLAT_FIELDS.values()}
    for name, info in CaptureRequest.model_fields.items():
        assert (name,) in paths
        part = part_in(info.annotation)
        if part is not None and name not in ("actions", "cookies", "headers"):
            assert {(name, inner) for inner in part.model_fields} <= paths
