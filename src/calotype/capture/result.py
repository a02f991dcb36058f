"""What a capture gives back: the picture and the `meta` of the contract, section 4.

The HTTP answer, a job's stored result and the CLI's `--json` are all this model; nothing re-shapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Timings(BaseModel):
    """Milliseconds of each step, measured; a step that did not run is 0."""

    queue_ms: int = Field(default=0, description="Waiting for a free browser page.")
    navigate_ms: int = Field(default=0, description="From the navigation to the event that `wait_until` names.")
    settle_ms: int = Field(default=0, description="From there until the page was ready to be shot.")
    actions_ms: int = Field(default=0, description="Running `actions`.")
    capture_ms: int = Field(default=0, description="The shot itself, Chromium's own encoding included.")
    encode_ms: int = Field(default=0, description="Resizing and encoding on this server.")


class WaitedFor(BaseModel):
    """A wait before the picture."""

    what: str = Field(
        description="`response`, `load`, `domcontentloaded`, `networkidle`, `injection`, `wait_for`, "
        "`wait_for_function`, `requests`, `fonts`, `images`, `layout` (two frames alike), `scroll`, `delay_ms`, "
        "`timers` (what was due within a second), `retry`; more may come."
    )
    ms: int = Field(description="Milliseconds, all times together.")
    ended: bool = Field(default=True, description="False: it was given up; the picture shows what was there.")


class RequestInFlight(BaseModel):
    """A request of the page that had no complete answer when the timeout came."""

    url: str = Field(description="Without credentials and fragment, `?…` for its query, 300 characters at most.")
    type: str = Field(description="As in DevTools: `Document`, `Script`, `Image`, `Fetch`, …")
    ms: int = Field(description="Milliseconds since it began.")


class ActionOutcome(BaseModel):
    """What came of one step of `actions`."""

    index: int = Field(description="Its place in `actions`, from 0.")
    type: str = Field(description="Kind of step.")
    ok: bool = Field(description="False: the step is `optional` and failed, or the timeout came.")
    elapsed_ms: int = Field(default=0, description="Milliseconds, the loading of a page that it led to included.")
    error: str | None = Field(default=None, description="Why it failed.")
    note: str | None = Field(default=None, description="What else to know of it, e.g. that a new window was refused.")
    result: Any = Field(default=None, description="What `evaluate` gave, as JSON.")


class Link(BaseModel):
    """A link of the page."""

    url: str
    text: str = Field(description="What is read on it.")


class Box(BaseModel):
    """A rectangle of the picture, in its pixels; it may reach over its edges."""

    x: int
    y: int
    width: int
    height: int


class Element(BaseModel):
    """Something in the picture that can be clicked, chosen or typed into."""

    role: str = Field(description="As in ARIA: `button`, `link`, `textbox`, `checkbox`, …")
    name: str = Field(description="What it is called, 200 characters at most.")
    value: str | None = Field(default=None, description="Of a field, 200 characters at most; never of a password.")
    selector: str | None = Field(
        description="Finds it, in `actions` for instance; null in a shadow tree or frame where none finds it alone."
    )
    box: Box


class ConsoleEntry(BaseModel):
    """What a script of the page wrote to the console, or an exception that none caught."""

    level: str = Field(description="`log`, `warning`, `error`, …, as in DevTools; `exception`.")
    text: str = Field(description="2,000 characters at most.")
    url: str | None = Field(default=None, description="Of the script.")
    line: int | None = Field(default=None, description="In it, from 1.")


class NetworkEntry(BaseModel):
    """A request of the page."""

    url: str
    method: str
    type: str = Field(description="As in DevTools: `Document`, `Script`, `Image`, `Fetch`, …")
    status: int | None = Field(default=None, description="Null: there was no answer.")
    bytes: int = Field(default=0, description="Of the body, unpacked.")
    ms: int | None = Field(default=None, description="Until its end. Null: it had not ended.")
    error: str | None = Field(default=None, description="Chromium's name for what went wrong.")


class PageMetadata(BaseModel):
    """What `metadata` asked for; null: it did not, or the page does not say."""

    title: str | None = None
    description: str | None = None
    open_graph: dict[str, list[str]] | None = Field(
        default=None, description="`og:` properties by their name without it; some come more than once."
    )
    icon: str | None = Field(default=None, description="URL of the largest icon.")
    fonts: list[str] | None = Field(default=None, description="Families of the web fonts that were loaded.")
    links: list[Link] | None = Field(default=None, description="To http and https, each once, 1,000 at most.")
    elements: list[Element] | None = Field(
        default=None,
        description="What can be clicked or filled in, as far as the picture shows it, from top to bottom; 300 at "
        "most. None that something else covers, none of frames of other origins, closed shadow trees and PDFs.",
    )
    text: str | None = Field(default=None, description="As it is read, 500,000 characters at most.")
    html: str | None = Field(default=None, description="As the picture shows it, 1,000,000 characters at most.")
    headers: dict[str, str] | None = Field(default=None, description="Of the page's answer, names in lower case.")
    console: list[ConsoleEntry] | None = Field(default=None, description="The first 200.")
    network: list[NetworkEntry] | None = Field(default=None, description="The first 1,000.")


FlawKind = Literal[
    "blank", "http_error", "challenge", "login_wall", "consent_banner", "pending_images", "missing_glyphs"
]


class Flaw(BaseModel):
    """What is wrong with a picture."""

    kind: FlawKind = Field(
        description="`blank`: one colour or nearly; `http_error`: the page's status is 400 or above; `challenge`: a "
        "bot wall; `login_wall`: a login instead of the page; `consent_banner`: one covers a part of it; "
        "`pending_images`: some of its images are not there yet; `missing_glyphs`: no font has some of its characters."
    )
    evidence: str = Field(description="By what it is known: an element, an address, a number.")


class Retry(BaseModel):
    """What came of `retry_on_verdict`."""

    because: list[FlawKind] = Field(description="What was wrong with the first picture that time may mend.")
    kept: Literal["first", "second"] = Field(
        description="The better of the two, which is answered; the first, too, if there was no time for a second."
    )


class CaptureMeta(BaseModel):
    """Facts about a picture. `width` and `height` are its pixels (for a PDF: the first page, in CSS pixels)."""

    model_config = ConfigDict(extra="allow")

    request_id: str
    elapsed_ms: int = Field(description="From accepting the request to having the picture, in milliseconds.")
    url: str | None = Field(description="The URL asked for, normalised; null for `html`.")
    final_url: str | None = Field(description="Where redirects and scripts led.")
    status_code: int | None = Field(description="HTTP status of the page itself.")
    title: str
    width: int
    height: int
    bytes: int
    cached: bool = False
    partial: bool = Field(default=False, description="The timeout came first: the picture shows what was there.")
    partial_reason: str | None = Field(default=None, description="Which wait did not end.")
    requests_in_flight: list[RequestInFlight] = Field(
        default_factory=list[RequestInFlight],
        description="Of a partial picture: what the page still had no answer to, the oldest 20.",
    )
    verdict: Literal["ok"] | list[Flaw] = Field(
        default="ok", description="`ok`, or what is wrong with the picture. Of a PDF `blank` is never told."
    )
    retry: Retry | None = Field(
        default=None, description="What came of `retry_on_verdict`; null where nothing called for it."
    )
    warnings: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    actions: list[ActionOutcome] = Field(default_factory=list[ActionOutcome], description="What came of each step.")
    metadata: PageMetadata | None = Field(default=None, description="What `metadata` asked for.")
    timings: Timings = Field(default_factory=Timings)
    waited_for: list[WaitedFor] = Field(
        default_factory=list[WaitedFor], description="What took the time until the picture; waits under 10 ms left out."
    )


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """An encoded picture of type `content_type`, and its facts."""

    image: bytes
    content_type: str
    meta: CaptureMeta

    def with_warnings(self, warnings: Sequence[dict[str, Any]]) -> CaptureResult:
        """The same, with these before what the capture itself has warned of."""
        if not warnings:
            return self
        meta = self.meta.model_copy(update={"warnings": [*warnings, *self.meta.warnings]})
        return CaptureResult(self.image, self.content_type, meta)
