"""What a verdict is made from: what the page says of itself, the answer it came with, and the picture's colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from calotype.capture.area import Area
from calotype.capture.verdict.colours import Colours
from calotype.capture.verdict.glyphs import KnownGlyphs
from calotype.capture.verdict.markers import FOR_THE_PAGE
from calotype.capture.world import World, source

_known_glyphs = KnownGlyphs()
EVERYWHERE = Area(-1e6, -1e6, 1e8, 1e8)
"""For what has no area of its own: paper."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")  # the script is ours: what it calls otherwise is a mistake


class Pending(_Part):
    count: int
    url: str


class Glyphs(_Part):
    """Code points of characters of the page that were looked at."""

    missing: list[int]
    present: list[int]
    """In the fonts of this machine."""


class Login(_Part):
    """Fields for names and passwords that are to be seen."""

    password: bool
    identifier: bool
    is_modal: bool
    """The password is asked for in a dialog that covers the page."""
    field: str


class Consent(_Part):
    selector: str
    share: float
    """Of the viewport."""


class Challenge(_Part):
    kind: Literal["wall", "widget", "trace"]
    """`wall`: nothing else has it; `widget`: forms have it, too; `trace`: so do pages behind the wall."""
    name: str
    what: str


class PageEvidence(_Part):
    """What `scripts/verdict/evidence.js` finds. The defaults are those of a page that told nothing."""

    is_image: bool = False
    text: int = 0
    """Visible characters in the area; they are counted where something else is in doubt, a few thousand at most."""
    all_text: int = 0
    fields: int = 0
    links: int = 0
    has_picture: bool = False
    """What covers the area is a picture or a drawing. It and `has_objects` are only asked where it may be blank."""
    has_objects: bool = True
    """More than a spinner and texts are to be seen: pictures, frames, fields."""
    pending: Pending | None = None
    glyphs: Glyphs | None = None
    login: Login | None = None
    consent: Consent | None = None
    challenges: list[Challenge] = []


@dataclass(frozen=True, slots=True)
class Evidence:
    """All there is, of one picture."""

    page: PageEvidence = field(default_factory=PageEvidence)
    asked_url: str | None = None
    final_url: str | None = None
    status_code: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the document, names in lower case."""
    colours: Colours | None = None
    """None: they were not worth a look, or there are none."""


async def read_page(world: World, area: Area | None, *, may_be_blank: bool) -> tuple[dict[str, str], PageEvidence]:
    """What `meta` says of the page, and its evidence, in one call. A page in whose way a look is has no evidence.

    Args:
        area: of the picture; None for the viewport.
        may_be_blank: find out, too, what else there is to be seen.
    """
    arguments = to_json([area.as_dict() if area else None, may_be_blank, _known_glyphs.unknown]).decode()
    read: dict[str, Any] = await world.evaluate(f"({_reader()})(...{arguments})")
    found = read.pop("evidence")
    evidence = PageEvidence.model_validate(found) if found else PageEvidence()
    _known_glyphs.learn(evidence.glyphs.present if evidence.glyphs else ())
    return read, evidence


@cache
def _reader() -> str:
    markers = to_json(FOR_THE_PAGE).decode()
    look = f"({source('verdict/evidence')})({markers}, area, mayBeBlank, unknown, {source('verdict/glyphs')})"
    tried = f"let evidence = null; try {{ evidence = {look}; }} catch {{}}"
    return f"(area, mayBeBlank, unknown) => {{ {tried} return {{ ...({source('facts')})(), evidence }}; }}"
