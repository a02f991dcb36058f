"""Makes the page corpus: `python -m bench.corpus DIRECTORY`. Every byte comes from here and a fixed seed; nothing is
downloaded. The only input from outside is an installed font, copied so that pages have web fonts to load.

Each page has probes, places that must have a known colour once the page is complete: under an image put in last, or in
a box whose width hangs on the web font. `corpus.json` lists pages and probes.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from bench import pages

_MARK_PX = 64  # side of the plain square in the top left corner of each image


@dataclass(frozen=True)
class Page:
    """A page with its probes: a place in the viewport, and the colour it must have."""

    name: str
    probes: list[tuple[tuple[int, int], tuple[int, int, int]]]
    path: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/{self.name}/")


PAGES = (
    Page("tiny", [((20, 20), (200, 30, 90))]),
    Page("article", [((20, 80), pages.mark_colour(0)), ((430, 20), (20, 120, 70)), ((450, 20), (255, 255, 255))]),
    Page("spa", [((40, 100), pages.mark_colour(0)), ((960, 530), pages.mark_colour(11))]),
    Page("long", [((20, 20), pages.mark_colour(0)), ((20, 620), pages.mark_colour(3))]),
    Page("lazy", [((40, 100), pages.mark_colour(0)), ((960, 510), pages.mark_colour(11))]),
    Page("cards", [((20, 20), (30, 40, 110))]),
    Page("dash", [((40, 70), (0, 110, 180)), ((680, 400), (180, 70, 0))]),
    Page("table", [((20, 20), (90, 60, 20))]),
)


def _photo(seed: int, width: int, height: int) -> Image.Image:
    """Draw something as costly to decode and encode as a photograph: soft shapes with fine noise."""
    dice = random.Random(seed)
    soft = Image.frombytes("RGB", (16, 10), dice.randbytes(480)).resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.frombytes("RGB", (width // 2, height // 2), dice.randbytes(width // 2 * (height // 2) * 3))
    image = Image.blend(soft, grain.resize((width, height), Image.Resampling.BILINEAR), 0.08)
    ImageDraw.Draw(image).rectangle((0, 0, _MARK_PX, _MARK_PX), fill=pages.mark_colour(seed))
    return image


def _save(image: Image.Image, path: Path) -> None:
    encoded = io.BytesIO()
    options = {"quality": 82} if path.suffix in {".jpg", ".webp"} else {}
    image.save(encoded, {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[path.suffix], **options)
    path.write_bytes(encoded.getvalue())


def _find_font(family: str, style: str) -> Path:
    """Ask fontconfig; any TrueType file will do for the weight of the benchmark, not for the probe of `article`."""
    told = subprocess.run(
        ["fc-match", "-f", "%{file}", f"{family}:style={style}"], capture_output=True, text=True, check=True, timeout=30
    )
    found = Path(told.stdout)
    if not found.name.startswith(family.replace(" ", "")):
        raise SystemExit(f"font {family} is missing (apt-get install fonts-liberation); fontconfig offers {found.name}")
    return found


def _write_media(directory: Path) -> None:
    media = directory / "media"
    media.mkdir()
    _save(_photo(0, 1280, 360), media / "hero.jpg")
    for number in range(pages.IMAGES):
        suffix = (".jpg", ".jpg", ".webp", ".png")[number % 4]
        _save(_photo(number, 480, 320), media / f"{number}{suffix}")
    for name, family, style in (
        ("serif", "Liberation Serif", "Regular"),
        ("serif-bold", "Liberation Serif", "Bold"),
        ("mono", "Liberation Mono", "Regular"),
    ):
        shutil.copyfile(_find_font(family, style), media / f"{name}.ttf")


def make_corpus(directory: Path) -> None:
    """Write the corpus into `directory`, which is emptied before."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _write_media(directory)
    for page in PAGES:
        for name, text in pages.MAKERS[page.name]().items():
            file = directory / page.name / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    listing = [{"name": page.name, "path": page.path, "probes": page.probes} for page in PAGES]
    (directory / "corpus.json").write_text(json.dumps(listing, indent=1))


if __name__ == "__main__":
    make_corpus(Path(sys.argv[1]))
