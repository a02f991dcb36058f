"""The fields of a request as keywords (contract, section 3).

Written by `make docs-reference` from src/calotype/request/model.py. Do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Required, TypedDict


class BasicAuth(TypedDict, total=False):
    """HTTP authentication of the target."""

    username: Required[str]
    """User name."""
    password: str
    """Password; never logged."""


class Block(TypedDict, total=False):
    """What the page may not load or show."""

    ads: bool
    """Advertisements."""
    trackers: bool
    """Trackers and analytics."""
    cookie_banners: bool
    """Consent banners."""
    chats: bool
    """Chat widgets."""
    resources: Sequence[
        Literal[
            "image",
            "font",
            "media",
            "script",
            "stylesheet",
            "xhr",
            "fetch",
            "websocket",
            "eventsource",
            "texttrack",
            "manifest",
            "ping",
            "frame",
            "other",
        ]
    ]
    """Kinds of requests that are not made; `frame` is the documents of frames, `xhr` and `fetch` are one kind."""
    urls: Sequence[str]
    """Patterns for whole URLs; `*` stands for any characters. One without a scheme is for every scheme, one that is
    only a host for everything there."""


class Cache(TypedDict, total=False):
    """Whether an earlier picture of the same request will do."""

    ttl_s: int
    """Seconds an earlier picture may be old, and this one is kept; 0 is off."""
    key: str | None
    """Tells apart pictures that are otherwise asked for alike."""
    refresh: bool
    """Take a new picture and replace the kept one."""


class Check(TypedDict, total=False):
    """Tick a check box or radio button."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["check"]]
    """Kind of step."""
    selector: Required[str]
    """CSS selector of the box."""
    checked: bool
    """False takes the tick away."""


class Click(TypedDict, total=False):
    """Click an element."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["click"]]
    """Kind of step."""
    selector: Required[str]
    """CSS selector of the element."""


class Clip(TypedDict, total=False):
    """A rectangle of the page, in CSS pixels from the top left corner of the document."""

    x: Required[float]
    """Left edge."""
    y: Required[float]
    """Top edge."""
    width: Required[float]
    """Width."""
    height: Required[float]
    """Height."""


class Cookie(TypedDict, total=False):
    """A cookie that is set before the page is opened."""

    name: Required[str]
    """Name."""
    value: Required[str]
    """Value; never logged."""
    domain: str | None
    """Host it is for; with a leading dot, its subdomains too. Unset: the target's host."""
    path: str
    """Path it is for."""
    secure: bool
    """Sent over https only."""
    http_only: bool
    """Hidden from scripts."""
    same_site: str | None
    """`Strict`, `Lax` or `None`, in any case; `None` needs `secure`."""
    expires: float | None
    """Seconds since 1970; unset or -1 for a session cookie."""


class Evaluate(TypedDict, total=False):
    """Run JavaScript in the page; `executeJavascript` means the same."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["evaluate"]]
    """Kind of step; also `executeJavascript`."""
    script: Required[str]
    """JavaScript; its result is in `meta.actions`."""


class Geolocation(TypedDict, total=False):
    """Where the page is told that the browser is."""

    latitude: Required[float]
    """Degrees north."""
    longitude: Required[float]
    """Degrees east."""
    accuracy: float
    """Radius in metres."""


class HeaderRule(TypedDict, total=False):
    """A request header and the origins that get it."""

    name: Required[str]
    """Name; hop-by-hop names, `Host` and `Content-Length` are refused."""
    value: Required[str]
    """Value; never logged."""
    origins: Sequence[str] | None
    """Origins it is sent to. Unset: the target's own."""


class Hover(TypedDict, total=False):
    """Move the mouse over an element."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["hover"]]
    """Kind of step."""
    selector: Required[str]
    """CSS selector of the element."""


class Media(TypedDict, total=False):
    """The CSS media type and user preferences the page sees."""

    type: Literal["screen", "print"]
    """Media type."""
    color_scheme: Literal["light", "dark"] | None
    """`prefers-color-scheme`."""
    reduced_motion: bool | Literal["reduce", "no-preference"] | None
    """`prefers-reduced-motion`; true means `reduce`."""
    forced_colors: bool | Literal["active", "none"] | None
    """`forced-colors`; true means `active`."""
    contrast: Literal["more", "less", "custom", "no-preference"] | None
    """`prefers-contrast`."""


class Press(TypedDict, total=False):
    """Press a key."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["press"]]
    """Kind of step."""
    key: Required[str]
    """Key, by its `KeyboardEvent.key` name; modifiers before it: `Control+A`."""
    selector: str | None
    """Element to focus first."""


class Render(TypedDict, total=False):
    """What to wait for before the picture is taken, and how long."""

    wait_until: Literal["settled", "domcontentloaded", "load", "networkidle"]
    """`settled`: loaded, fonts and images of the captured area ready, nothing that matters in flight, and the layout at
    rest. The others are the browser's own events."""
    wait_for: str | WaitFor | None
    """Wait for an element: a CSS selector, or an object that names the state too."""
    wait_for_function: str | None
    """Wait until this JavaScript expression is truthy."""
    delay_ms: int
    """Milliseconds to wait after everything else."""
    timeout_ms: int
    """Milliseconds the whole capture may take."""
    javascript: bool
    """Run the page's scripts."""
    scroll: bool | None
    """Scroll through the page so that lazy content loads. Unset: with `full_page`."""
    animations: Literal["settle", "allow"]
    """`settle` finishes animations and transitions, `allow` leaves them running."""
    on_timeout: Literal["partial", "fail"]
    """At the timeout: answer what is there, with `meta.partial` and why, or fail (`capture_timeout`)."""


class Resize(TypedDict, total=False):
    """What the picture is scaled to, in pixels of the result."""

    width: int | None
    """Width; unset: in proportion."""
    height: int | None
    """Height; unset: in proportion."""
    fit: Literal["contain", "cover", "fill"]
    """`contain` fits inside both sides, `cover` fills both and cuts the rest, `fill` distorts."""
    enlarge: bool
    """Scale up too."""


class Scroll(TypedDict, total=False):
    """Scroll to a place, by a distance, or to an element."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["scroll"]]
    """Kind of step."""
    to: Literal["top", "bottom"] | float | None
    """`top`, `bottom` or pixels from the top."""
    by: float | None
    """Pixels down; negative: up."""
    selector: str | None
    """Element to bring into view."""


class Select(TypedDict, total=False):
    """Choose options of a `<select>`."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["select"]]
    """Kind of step."""
    selector: Required[str]
    """CSS selector of the list."""
    value: Required[str | Sequence[str]]
    """Value or values of the options."""


class TypeText(TypedDict, total=False):
    """Type text in place of what a field holds, or at the caret; `write` and `fill` mean the same."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["type"]]
    """Kind of step; also `write` or `fill`."""
    text: Required[str]
    """Text; never logged."""
    selector: str | None
    """Field whose contents the text replaces. Unset: it goes to the caret of the one in focus."""


class Viewport(TypedDict, total=False):
    """The window the page is laid out in."""

    width: int
    """Width in CSS pixels."""
    height: int
    """Height in CSS pixels."""
    scale: float
    """Device pixels per CSS pixel."""
    mobile: bool
    """Behave as a mobile browser: meta viewport, overlay scrollbars."""
    touch: bool
    """Have a touch screen."""
    landscape: bool
    """Turn a portrait viewport on its side."""


class Wait(TypedDict, total=False):
    """Wait a while."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["wait"]]
    """Kind of step."""
    ms: Required[int]
    """Milliseconds; also `milliseconds`."""


class WaitFor(TypedDict, total=False):
    """An element, and the state it has to reach."""

    selector: Required[str]
    """CSS selector; the first match counts."""
    state: Literal["visible", "hidden", "attached", "detached"]
    """`attached`: it is in the document; `hidden`: not visible or not there."""


class WaitForElement(TypedDict, total=False):
    """Wait for an element."""

    timeout_ms: int | None
    """Milliseconds this step may take, within `render.timeout_ms`. Unset: 10,000."""
    optional: bool
    """Go on if this step fails."""
    type: Required[Literal["wait_for"]]
    """Kind of step."""
    selector: Required[str]
    """CSS selector of the element."""
    state: Literal["visible", "hidden", "attached", "detached"]
    """State it has to reach."""


Action = Check | Click | Evaluate | Hover | Press | Scroll | Select | TypeText | Wait | WaitForElement


class ScreenshotFields(TypedDict, total=False):
    """What to capture, how, and as what."""

    url: str | None
    """Page to capture: http or https, at most 2048 characters; a bare `example.com` means `https://example.com`."""
    html: str | None
    """Markup to render instead of a URL, 2 MiB at most."""
    base_url: str | None
    """With `html`: what its relative links refer to."""
    format: Literal["jpeg", "jpg", "png", "webp", "avif", "pdf"]
    """What the picture is encoded as."""
    quality: int | None
    """For jpeg, webp and avif; 80 when unset."""
    full_page: bool
    """Capture the whole document, inner scrollers included, not just the viewport."""
    max_height: int
    """Where a full page is cut off, in CSS pixels; that is a warning, not an error."""
    selector: str | None
    """Capture the first element that matches."""
    padding: int
    """With `selector`: CSS pixels around the element."""
    clip: Clip | None
    """Capture a rectangle of the page."""
    viewport: Viewport
    """Window the page is laid out in."""
    device: str | None
    """Preset of a device, by name: its viewport, overridden field by field by `viewport`, and its user agent,
    overridden by `user_agent`."""
    transparent: bool
    """No default background; for png, webp and avif."""
    resize: Resize | None
    """Scale the picture."""
    render: bool | Render
    """What to wait for; `true` and `false` mean `{'javascript': …}`."""
    actions: Sequence[Action]
    """Steps to take on the page, in order."""
    cookies: Sequence[Cookie] | Mapping[str, str] | str
    """Cookies: a list of objects, `'a=b; c=d'` or `{name: value}`. Without a domain: for the target's."""
    headers: Sequence[HeaderRule] | Mapping[str, str]
    """Request headers: `{name: value}`, sent to the target's origin only, or a list with origins."""
    user_agent: str | None
    """`User-Agent` to send. Unset: the browser's own."""
    locale: str | None
    """Language of the browser, as a BCP 47 tag."""
    timezone: str | None
    """Time zone of the browser, by its IANA name."""
    geolocation: Geolocation | None
    """Where the page is told the browser is."""
    basic_auth: BasicAuth | None
    """HTTP authentication, for the target's origin only."""
    media: Media
    """CSS media type and user preferences."""
    css: str | Sequence[str]
    """CSS to inject: a string or a list of strings."""
    js: str | Sequence[str]
    """JavaScript to run in the page: a string or a list of strings."""
    hide: Sequence[str]
    """Elements to make invisible; they keep their space."""
    remove: Sequence[str]
    """Elements to take out of the layout."""
    mask: Sequence[str]
    """Elements to paint over."""
    block: Block
    fail_on_status: Sequence[int | str]
    """Statuses of the page itself that fail the capture."""
    retry_on_verdict: bool
    """If the picture is blank, a bot wall or lacks images: take one more, later, and keep the better."""
    cache: Cache
    """Whether an earlier picture will do."""
    metadata: Sequence[
        Literal[
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
    ]
    """Facts about the page to return in `meta`."""
