"""The objects inside a request that say how the page is shown, waited for and cut."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from calotype.request.kinds import LIST_MAX_ENTRIES, Between, Items, Part, Refusal, Script, Selector

Pixels = Annotated[int, Between(16, 7_680)]
Glob = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_048)]
Resource = Literal[
    "image", "font", "media", "script", "stylesheet", "xhr", "fetch", "websocket", "eventsource", "texttrack",
    "manifest", "ping", "frame", "other",
]  # fmt: skip


class Viewport(Part):
    """The window the page is laid out in."""

    width: Pixels = Field(default=1280, description="Width in CSS pixels.", examples=[1280])
    height: Pixels = Field(default=720, description="Height in CSS pixels.", examples=[720])
    scale: Annotated[float, Between(0.5, 4)] = Field(
        default=1.0, description="Device pixels per CSS pixel.", examples=[2]
    )
    mobile: bool = Field(
        default=False, description="Behave as a mobile browser: meta viewport, overlay scrollbars.", examples=[True]
    )
    touch: bool = Field(default=False, description="Have a touch screen.", examples=[True])
    landscape: bool = Field(default=False, description="Turn a portrait viewport on its side.", examples=[True])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels, with `landscape` applied."""
        if self.landscape and self.height > self.width:
            return self.height, self.width
        return self.width, self.height


class Clip(Part):
    """A rectangle of the page, in CSS pixels from the top left corner of the document."""

    x: Annotated[float, Between(0, 1_000_000)] = Field(description="Left edge.", examples=[0])
    y: Annotated[float, Between(0, 1_000_000)] = Field(description="Top edge.", examples=[100])
    width: Annotated[float, Between(1, 65_535)] = Field(description="Width.", examples=[400])
    height: Annotated[float, Between(1, 65_535)] = Field(description="Height.", examples=[300])


class Resize(Part):
    """What the picture is scaled to, in pixels of the result."""

    width: Annotated[int, Between(1, 16_383)] | None = Field(
        default=None, description="Width; unset: in proportion.", examples=[640]
    )
    height: Annotated[int, Between(1, 16_383)] | None = Field(
        default=None, description="Height; unset: in proportion.", examples=[360]
    )
    fit: Literal["contain", "cover", "fill"] = Field(
        default="contain",
        description="`contain` fits inside both sides, `cover` fills both and cuts the rest, `fill` distorts.",
        examples=["cover"],
    )
    enlarge: bool = Field(default=False, description="Scale up too.", examples=[True])

    @model_validator(mode="after")
    def _has_a_side(self) -> Resize:
        if self.width is None and self.height is None:
            raise Refusal("needs width, height or both", "missing")
        return self


class WaitFor(Part):
    """An element, and the state it has to reach."""

    selector: Selector = Field(description="CSS selector; the first match counts.", examples=["#chart"])
    state: Literal["visible", "hidden", "attached", "detached"] = Field(
        default="visible",
        description="`attached`: it is in the document; `hidden`: not visible or not there.",
        examples=["attached"],
    )


def wait_for_of_text(value: Any) -> Any:
    return {"selector": value} if isinstance(value, str) else value


class Render(Part):
    """What to wait for before the picture is taken, and how long."""

    wait_until: Literal["settled", "domcontentloaded", "load", "networkidle"] = Field(
        default="settled",
        description="`settled`: loaded, fonts and images of the captured area ready, nothing that matters in "
        "flight, and the layout at rest. The others are the browser's own events.",
        examples=["load"],
    )
    wait_for: Annotated[
        WaitFor | None, BeforeValidator(wait_for_of_text, json_schema_input_type=Selector | WaitFor | None)
    ] = Field(
        default=None,
        description="Wait for an element: a CSS selector, or an object that names the state too.",
        examples=["#chart"],
    )
    wait_for_function: Script | None = Field(
        default=None,
        description="Wait until this JavaScript expression is truthy.",
        examples=["window.chartReady === true"],
    )
    delay_ms: Annotated[int, Between(0, 30_000)] = Field(
        default=0, description="Milliseconds to wait after everything else.", examples=[500]
    )
    timeout_ms: Annotated[int, Between(1_000, 120_000)] = Field(
        default=30_000, description="Milliseconds the whole capture may take.", examples=[30_000]
    )
    javascript: bool = Field(default=True, description="Run the page's scripts.", examples=[False])
    scroll: bool | None = Field(
        default=None,
        description="Scroll through the page so that lazy content loads. Unset: with `full_page`.",
        examples=[True],
    )
    animations: Literal["settle", "allow"] = Field(
        default="settle",
        description="`settle` finishes animations and transitions, `allow` leaves them running.",
        examples=["allow"],
    )
    on_timeout: Literal["partial", "fail"] = Field(
        default="partial",
        description="At the timeout: answer what is there, with `meta.partial` and why, or fail (`capture_timeout`).",
        examples=["fail"],
    )


def render_of_switch(value: Any) -> Any:
    return {"javascript": value} if isinstance(value, bool) else value


def _media_word(yes: str, no: str) -> BeforeValidator:
    def spell(value: Any) -> Any:
        return (yes if value else no) if isinstance(value, bool) else value

    return BeforeValidator(spell, json_schema_input_type=bool | Literal[yes, no] | None)  # pyright: ignore[reportInvalidTypeForm]


class Media(Part):
    """The CSS media type and user preferences the page sees."""

    type: Literal["screen", "print"] = Field(default="screen", description="Media type.", examples=["print"])
    color_scheme: Literal["light", "dark"] | None = Field(
        default=None, description="`prefers-color-scheme`.", examples=["dark"]
    )
    reduced_motion: Annotated[Literal["reduce", "no-preference"] | None, _media_word("reduce", "no-preference")] = (
        Field(default=None, description="`prefers-reduced-motion`; true means `reduce`.", examples=[True])
    )
    forced_colors: Annotated[Literal["active", "none"] | None, _media_word("active", "none")] = Field(
        default=None, description="`forced-colors`; true means `active`.", examples=["active"]
    )
    contrast: Literal["more", "less", "custom", "no-preference"] | None = Field(
        default=None, description="`prefers-contrast`.", examples=["more"]
    )


class Block(Part):
    """What the page may not load or show."""

    ads: bool = Field(default=False, description="Advertisements.", examples=[True])
    trackers: bool = Field(default=False, description="Trackers and analytics.", examples=[True])
    cookie_banners: bool = Field(default=False, description="Consent banners.", examples=[True])
    chats: bool = Field(default=False, description="Chat widgets.", examples=[True])
    resources: Items[Resource] = Field(
        default=(),
        description="Kinds of requests that are not made; `frame` is the documents of frames, "
        "`xhr` and `fetch` are one kind.",
        examples=[["media", "font"]],
    )
    urls: Annotated[Items[Glob], Field(max_length=LIST_MAX_ENTRIES)] = Field(
        default=(),
        description="Patterns for whole URLs; `*` stands for any characters. One without a scheme is for every scheme, "
        "one that is only a host for everything there.",
        examples=[["*://*.example.com/ads/*", "tracker.example"]],
    )


class Cache(Part):
    """Whether an earlier picture of the same request will do."""

    ttl_s: Annotated[int, Between(0, 2_592_000)] = Field(
        default=0,
        description="Seconds an earlier picture may be old, and this one is kept; 0 is off.",
        examples=[86_400],
    )
    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\-]{1,250}$")] | None = Field(
        default=None, description="Tells apart pictures that are otherwise asked for alike.", examples=["v2"]
    )
    refresh: bool = Field(default=False, description="Take a new picture and replace the kept one.", examples=[True])
