"""What the tools take. Fields are the request's, with its own words and bounds; nothing is written twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from calotype.cli.capturing.sources import Target
from calotype.errors import InvalidRequest
from calotype.request import parse_body
from calotype.request.devices import DEVICES
from calotype.request.model import CaptureRequest

Json = dict[str, Any]

MAX_SIDE_PX = 1_568
"""What models look at; they scale larger pictures down themselves, and lose where things are."""
MANY_MAX = 20
INCLUDE = ("elements", "text", "links")

_SHARED = (
    "format", "quality", "full_page", "max_height", "viewport", "device", "render", "media", "locale", "timezone",
    "user_agent", "css", "hide", "remove", "retry_on_verdict",
)  # fmt: skip
_OF_ONE = ("url", "html", "base_url", "selector", "padding", "clip", "actions")
_FULL_PAGE_PX = 4_000  # unless the agent asks for more
_NOT_OURS = CaptureRequest.model_fields.keys() - {*_SHARED, *_OF_ONE}
_UNSAID = frozenset({"examples", "title", "writeOnly", "x-not-supported"})

_INCLUDE: Json = {
    "type": "array",
    "items": {"enum": list(INCLUDE)},
    "default": ["elements"],
    "description": "What to tell of the page beside its picture: `elements` that can be clicked or filled in, with "
    "their boxes in pixels of the picture and selectors for `actions`; its `text`; its `links`.",
}
_MAX_SIDE: Json = {
    "type": "integer",
    "minimum": 64,
    "maximum": 8_000,
    "default": MAX_SIDE_PX,
    "description": "A larger picture is scaled down until its longer side has so many pixels; boxes are, too.",
}


def capture_schema() -> Json:
    """JSON Schema of the arguments of `capture`."""
    return _schema((*_OF_ONE, *_SHARED), {"include": _INCLUDE, "max_side_px": _MAX_SIDE})


def capture_many_schema() -> Json:
    """JSON Schema of the arguments of `capture_many`."""
    urls = {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "maxItems": MANY_MAX,
        "description": "Pages, http or https.",
    }
    own: Json = {"urls": urls, "include": {**_INCLUDE, "default": []}, "max_side_px": {**_MAX_SIDE, "default": 768}}
    return {**_schema(_SHARED, own), "required": ["urls"]}


def target_of(arguments: Mapping[str, Any]) -> Target:
    """The capture that the arguments of `capture` ask for.

    Raises:
        InvalidRequest, InvalidUrl: with everything that is wrong with them.
    """
    fields = dict(arguments)
    if refused := sorted(fields.keys() & _NOT_OURS):
        raise InvalidRequest(f"Arguments that this tool does not have: {', '.join(refused)}.")
    include = fields.pop("include", ["elements"])
    side = fields.pop("max_side_px", MAX_SIDE_PX)
    if not isinstance(include, list) or any(each not in INCLUDE for each in cast("list[Any]", include)):
        raise InvalidRequest(f"`include` must be a list of {', '.join(INCLUDE)}.")
    if type(side) is not int or not 64 <= side <= 8_000:
        raise InvalidRequest("`max_side_px` must be an integer from 64 to 8000.")
    if fields.get("full_page") and "max_height" not in fields:
        fields["max_height"] = _FULL_PAGE_PX
    fields["resize"] = {"width": side, "height": side, "fit": "contain"}
    fields["metadata"] = include
    parsed = parse_body(fields, strict=True)
    if parsed.request.format in ("pdf", "avif"):
        raise InvalidRequest("`format` must be jpeg, png or webp: pictures that models can look at.")
    return Target(1, str(parsed.request.url or "markup"), fields, parsed)


def _schema(names: tuple[str, ...], own: Json) -> Json:
    whole = CaptureRequest.model_json_schema()
    properties = {name: _short(whole["properties"][name]) for name in names}
    properties["format"]["enum"] = ["jpeg", "png", "webp"]
    properties["device"]["description"] += f" One of {', '.join(DEVICES)}."
    properties["max_height"]["default"] = _FULL_PAGE_PX
    used: Json = {}
    _collect(properties, whole["$defs"], used)
    return {"type": "object", "properties": {**own, **properties}, "$defs": used, "additionalProperties": False}


def _short(value: Any) -> Any:
    """Without what models need no tokens for."""
    if isinstance(value, dict):
        schema = cast("Json", value)
        return {name: _short(each) for name, each in schema.items() if name not in _UNSAID}
    return [_short(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def _collect(value: Any, definitions: Json, used: Json) -> None:
    """Take over the definitions that are referred to."""
    if isinstance(value, dict):
        schema = cast("Json", value)
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if name and name not in used:
            used[name] = _short(definitions[name])
            _collect(used[name], definitions, used)
        for each in schema.values():
            _collect(each, definitions, used)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            _collect(each, definitions, used)
