"""`CaptureRequest`: everything that can be asked of one capture (contract, section 3).

Every value in an instance is normalised, so nobody does it again. The rules between fields are in `rules.py`; what
this server does not do yet is not the model's business but the parser's.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo, model_validator

from calotype.request.actions import ACTIONS_MAX, Action
from calotype.request.address import URL_MAX_CHARS, normalise_url
from calotype.request.devices import DEVICES, device_name
from calotype.request.identity import (
    BasicAuth,
    Cookie,
    Geolocation,
    HeaderRule,
    no_header_twice,
    normalise_locale,
    normalise_timezone,
    one_shape_of_cookies,
    one_shape_of_headers,
    printable,
)
from calotype.request.kinds import LIST_MAX_ENTRIES, Between, Items, Part, Refusal, Selector, max_bytes
from calotype.request.parts import Block, Cache, Clip, Media, Render, Resize, Viewport, render_of_switch
from calotype.request.rules import contradictions

HTML_MAX_BYTES = 2 * 2**20
INJECTED_MAX_BYTES = 2**20
"""Of `css` and of `js`, each, all entries together."""
COOKIES_MAX = 200
HEADERS_MAX = 100

DEFER_RULES = "calotype.defer_rules"
"""Validation context key: leave the rules between fields to the caller, who reports them with all other errors."""

_DEFAULT_QUALITY = 80
_STATUS = re.compile(r"[1-5]([0-9]{2}|xx)", re.IGNORECASE)
_LOSSY = frozenset({"jpeg", "webp", "avif"})


def spell_format(value: Any) -> Any:
    """Take `jpg` and any case."""
    if not isinstance(value, str):
        return value
    return "jpeg" if value.lower() == "jpg" else value.lower()


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _injected(texts: tuple[str, ...]) -> tuple[str, ...]:
    max_bytes(INJECTED_MAX_BYTES)("".join(texts))
    return tuple(text for text in texts if text.strip())


def _status_pattern(value: Any) -> Any:
    """Take `503`, `"503"` and `"4XX"`; a status is kept as text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value in range(100, 600):
        return str(int(value))
    if isinstance(value, str) and _STATUS.fullmatch(value.strip()):
        return value.strip().lower()
    kind = "invalid_value" if isinstance(value, str | int) and not isinstance(value, bool) else "wrong_type"
    raise Refusal("must be a status such as 503 or a class such as 4xx", kind)


def _device(text: str) -> str:
    name = device_name(text)
    if name is None:
        near = difflib.get_close_matches(text.lower(), {each.lower(): each for each in DEVICES}, n=1, cutoff=0.5)
        hint = f"; the nearest is {device_name(near[0])}" if near else ""
        raise Refusal(f"must be a device of the list in the reference{hint}")
    return name


Selectors = Annotated[Items[Selector], Field(max_length=LIST_MAX_ENTRIES)]
Url = Annotated[str, AfterValidator(normalise_url), Field(json_schema_extra={"maxLength": URL_MAX_CHARS})]
Injected = Annotated[
    Items[str],
    Field(max_length=LIST_MAX_ENTRIES),
    AfterValidator(_injected),
    BeforeValidator(_texts, json_schema_input_type=str | list[str]),
]
StatusPattern = Annotated[str, BeforeValidator(_status_pattern, json_schema_input_type=int | str)]
Metadata = Literal[
    "title",
    "description",
    "open_graph",
    "icon",
    "fonts",
    "links",
    "elements",
    "text",
    "html",
    "headers",
    "console",
    "network",
]


class CaptureRequest(Part):
    """What to capture, how, and as what. One of `url` and `html` is required, all else is optional."""

    url: Url | None = Field(
        default=None,
        description="Page to capture: http or https, at most 2048 characters; a bare `example.com` means `https://example.com`.",
        examples=["https://example.com"],
    )
    html: (
        Annotated[
            str,
            StringConstraints(min_length=1),
            AfterValidator(max_bytes(HTML_MAX_BYTES)),
            Field(json_schema_extra={"maxLength": HTML_MAX_BYTES}),
        ]
        | None
    ) = Field(
        default=None,
        description="Markup to render instead of a URL, 2 MiB at most.",
        examples=["<h1>Hello</h1>"],
        repr=False,
    )
    base_url: Url | None = Field(
        default=None,
        description="With `html`: what its relative links refer to.",
        examples=["https://example.com/articles/"],
    )
    format: Annotated[
        Literal["jpeg", "png", "webp", "avif", "pdf"],
        BeforeValidator(spell_format, json_schema_input_type=Literal["jpeg", "jpg", "png", "webp", "avif", "pdf"]),
    ] = Field(default="jpeg", description="What the picture is encoded as.", examples=["png"])
    quality: Annotated[int, Between(1, 100)] | None = Field(
        default=None, description="For jpeg, webp and avif; 80 when unset.", examples=[90]
    )
    full_page: bool = Field(
        default=False,
        description="Capture the whole document, inner scrollers included, not just the viewport.",
        examples=[True],
    )
    max_height: Annotated[int, Between(1, 65_535)] = Field(
        default=32_768,
        description="Where a full page is cut off, in CSS pixels; that is a warning, not an error.",
        examples=[10_000],
    )
    selector: Selector | None = Field(
        default=None, description="Capture the first element that matches.", examples=["#chart"]
    )
    padding: Annotated[int, Between(0, 500)] = Field(
        default=0, description="With `selector`: CSS pixels around the element.", examples=[16]
    )
    clip: Clip | None = Field(
        default=None,
        description="Capture a rectangle of the page.",
        examples=[{"x": 0, "y": 100, "width": 400, "height": 300}],
    )
    viewport: Viewport = Field(
        default=Viewport(),
        description="Window the page is laid out in.",
        examples=[{"width": 390, "height": 844, "scale": 3, "mobile": True}],
    )
    device: (
        Annotated[
            str,
            StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
            AfterValidator(_device),
            Field(json_schema_extra={"examples": list(DEVICES)}),
        ]
        | None
    ) = Field(
        default=None,
        description="Preset of a device, by name: its viewport, overridden field by field by `viewport`, and its user "
        "agent, overridden by `user_agent`.",
        examples=["iPhone 15"],
    )
    transparent: bool = Field(
        default=False, description="No default background; for png, webp and avif.", examples=[True]
    )
    resize: Resize | None = Field(
        default=None, description="Scale the picture.", examples=[{"width": 640, "fit": "contain"}]
    )
    render: Annotated[Render, BeforeValidator(render_of_switch, json_schema_input_type=bool | Render)] = Field(
        default=Render(),
        description='What to wait for; `true` and `false` mean `{"javascript": …}`.',
        examples=[{"wait_until": "load", "delay_ms": 500}],
    )
    actions: Annotated[Items[Action], Field(max_length=ACTIONS_MAX)] = Field(
        default=(),
        description="Steps to take on the page, in order.",
        examples=[[{"type": "click", "selector": "#accept"}]],
    )
    cookies: Annotated[
        Items[Cookie],
        Field(max_length=COOKIES_MAX),
        BeforeValidator(one_shape_of_cookies, json_schema_input_type=list[Cookie] | dict[str, str] | str),
    ] = Field(
        default=(),
        description='Cookies: a list of objects, `"a=b; c=d"` or `{name: value}`. Without a domain: for the target\'s.',
        examples=[[{"name": "session", "value": "d41d8cd98f", "domain": "example.com"}]],
    )
    headers: Annotated[
        Items[HeaderRule],
        Field(max_length=HEADERS_MAX),
        AfterValidator(no_header_twice),
        BeforeValidator(one_shape_of_headers, json_schema_input_type=list[HeaderRule] | dict[str, str]),
    ] = Field(
        default=(),
        description="Request headers: `{name: value}`, sent to the target's origin only, or a list with origins.",
        examples=[{"X-Preview": "1"}],
    )
    user_agent: (
        Annotated[
            str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_024), AfterValidator(printable)
        ]
        | None
    ) = Field(
        default=None,
        description="`User-Agent` to send. Unset: the browser's own.",
        examples=["Mozilla/5.0 (compatible)"],
    )
    locale: Annotated[str, AfterValidator(normalise_locale)] | None = Field(
        default=None, description="Language of the browser, as a BCP 47 tag.", examples=["de-DE"]
    )
    timezone: Annotated[str, AfterValidator(normalise_timezone)] | None = Field(
        default=None, description="Time zone of the browser, by its IANA name.", examples=["Europe/Berlin"]
    )
    geolocation: Geolocation | None = Field(
        default=None,
        description="Where the page is told the browser is.",
        examples=[{"latitude": 52.52, "longitude": 13.405}],
    )
    basic_auth: BasicAuth | None = Field(
        default=None,
        description="HTTP authentication, for the target's origin only.",
        examples=[{"username": "staging", "password": "letmein"}],
    )
    media: Media = Field(
        default=Media(), description="CSS media type and user preferences.", examples=[{"color_scheme": "dark"}]
    )
    css: Injected = Field(
        default=(),
        description="CSS to inject: a string or a list of strings.",
        examples=["body { background: white }"],
        repr=False,
    )
    js: Injected = Field(
        default=(),
        description="JavaScript to run in the page: a string or a list of strings.",
        examples=["document.title = 'x'"],
        repr=False,
    )
    hide: Selectors = Field(
        default=(), description="Elements to make invisible; they keep their space.", examples=[[".chat"]]
    )
    remove: Selectors = Field(default=(), description="Elements to take out of the layout.", examples=[["#banner"]])
    mask: Selectors = Field(default=(), description="Elements to paint over.", examples=[[".email"]])
    block: Block = Field(default=Block(), description="What the page may not load or show.", examples=[{"ads": True}])
    fail_on_status: Annotated[Items[StatusPattern], Field(max_length=LIST_MAX_ENTRIES)] = Field(
        default=(), description="Statuses of the page itself that fail the capture.", examples=[["4xx", 503]]
    )
    retry_on_verdict: bool = Field(
        default=False,
        description="If the picture is blank, a bot wall or lacks images: take one more, later, and keep the better.",
        examples=[True],
    )
    cache: Cache = Field(
        default=Cache(), description="Whether an earlier picture will do.", examples=[{"ttl_s": 86_400}]
    )
    metadata: Items[Metadata] = Field(
        default=(), description="Facts about the page to return in `meta`.", examples=[["title", "links"]]
    )

    @model_validator(mode="before")
    @classmethod
    def _viewport_of_device(cls, fields: Any) -> Any:
        """Complete `viewport` with the device's, so that a request that was kept is read back as the same."""
        if not isinstance(fields, Mapping):
            return fields
        given = cast("Mapping[str, Any]", fields)
        device = given.get("device")
        name = device_name(device) if isinstance(device, str) else None
        viewport = given.get("viewport", {})
        if isinstance(viewport, Viewport):
            viewport = viewport.model_dump(exclude_unset=True)
        if name is None or not isinstance(viewport, Mapping):
            return given
        return {**given, "viewport": {**DEVICES[name].viewport(), **cast("Mapping[str, Any]", viewport)}}

    @model_validator(mode="after")
    def _fields_agree(self, info: ValidationInfo) -> CaptureRequest:
        context = cast("dict[str, Any] | None", info.context)
        if context is not None and DEFER_RULES in context:
            return self
        if found := list(contradictions(self)):
            raise ValueError("; ".join(f"`{each.field}` {each.message}" for each in found))
        return self

    @property
    def effective_quality(self) -> int | None:
        """The encoder's quality, None where the format has none."""
        return (self.quality or _DEFAULT_QUALITY) if self.format in _LOSSY else None

    def canonical_json(self) -> str:
        """Write the request with its defaults and sorted names: equal requests give equal text, whatever the door.

        Holds cookies, header values, typed text and passwords in plain, so that a stored request can still be carried
        out: hash it or keep it, never log it. `CaptureRequest.model_validate_json` reads it back.
        """
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
