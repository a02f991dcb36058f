"""The contact sheet: one HTML file that shows all pictures at a glance, and opens without a server.

Titles, URLs and errors come from strangers: everything is escaped, and no script but our own runs (the policy in the
page names it by its hash).
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from PIL import Image

from calotype.cli.capturing.progress import notes
from calotype.cli.capturing.run import Outcome

_THUMBNAIL_PX = (320, 240)
_QUALITY = 60


@dataclass(frozen=True, slots=True)
class _Card:
    number: int
    is_bad: bool
    markup: str


class Sheet:
    """`add` each outcome, then `write`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cards: list[_Card] = []

    def add(self, outcome: Outcome) -> None:
        """Takes some kilobytes for each."""
        self._cards.append(self._card(outcome))

    def write(self) -> None:
        """Raises OSError."""
        cards = sorted(self._cards, key=lambda card: (not card.is_bad, card.number))
        template = files("calotype.cli.capturing").joinpath("sheet.html").read_text(encoding="utf-8")
        script = template.partition("<script>")[2].partition("</script>")[0]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        bad = sum(card.is_bad for card in cards)
        page = (
            template.replace("@script@", f"sha256-{digest}")
            .replace("@summary@", f"{len(cards)} pictures, {bad} to look at" if bad else f"{len(cards)} pictures")
            .replace("@cards@", "\n".join(card.markup for card in cards))
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(page, encoding="utf-8")

    def _card(self, outcome: Outcome) -> _Card:
        meta = outcome.screenshot.meta if outcome.screenshot is not None else {}
        told = notes(meta) if meta else []
        facts = [f"{meta['width']}x{meta['height']}", f"{meta['elapsed_ms']} ms"] if meta else [outcome.state]
        if meta.get("status_code") not in (None, 200):
            facts.append(f"status {meta['status_code']}")
        if outcome.error is not None:
            told.insert(0, f"{outcome.error} ({outcome.code})")
        is_bad = outcome.state == "failed" or bool(meta.get("partial")) or meta.get("verdict", "ok") != "ok"
        title = meta.get("title") or outcome.target.page
        picture = self._picture(outcome)
        if outcome.state != "failed":
            picture = f'<a href="{html.escape(self._link(outcome.file))}">{picture}</a>'
        lines = [
            f'<article class="{"bad" if is_bad else "good"}">{picture}',
            f"<h2>{html.escape(str(title))}</h2><p>{html.escape(outcome.target.page)}</p>",
            f"<p>{html.escape(' · '.join(facts))}</p>",
            *(f'<p class="note">{html.escape(note)}</p>' for note in told),
            "</article>",
        ]
        return _Card(outcome.target.number, is_bad, "".join(lines))

    def _link(self, file: Path) -> str:
        return Path(os.path.relpath(file, self._path.parent)).as_posix().replace("%", "%25").replace("#", "%23")

    def _picture(self, outcome: Outcome) -> str:
        data = _thumbnail(outcome)
        if data is None:
            word = "no picture" if outcome.state == "failed" else outcome.file.suffix.lstrip(".") or "file"
            return f"<div>{html.escape(word)}</div>"
        return f'<img alt="" loading="lazy" src="data:image/webp;base64,{base64.b64encode(data).decode()}">'


def _thumbnail(outcome: Outcome) -> bytes | None:
    """The top of the picture, small; None of what Pillow can't read."""
    if outcome.state == "failed":
        return None
    try:
        source = io.BytesIO(outcome.screenshot.image) if outcome.screenshot is not None else outcome.file
        with Image.open(source) as image:
            width, height = _THUMBNAIL_PX
            shown = min(image.height, image.width * height // width)
            small = image.crop((0, 0, image.width, shown)).convert("RGBA")
            small.thumbnail(_THUMBNAIL_PX)
            out = io.BytesIO()
            small.save(out, "webp", quality=_QUALITY)
            return out.getvalue()
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
