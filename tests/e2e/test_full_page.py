"""The whole page: tall ones, and what is only there, or elsewhere, once somebody scrolls."""

from __future__ import annotations

import pytest
from PIL import ImageChops

from tests.site import blocks
from tests.site.pictures import Colour, pixel
from tests.site.server import PAGES, Site

from .server_process import ServerProcess


def _colour(row: int) -> Colour:
    return (row * 67 % 256, (row * 131 + 40) % 256, (row * 29 + 90) % 256)


def _ladder(height_px: int) -> str:
    """A page with a colour and a text of its own every 1,000 px, and a line from its top left to its bottom right."""
    rows = "".join(
        f'<div style="position:absolute;top:{top}px;width:100%;height:{min(1000, height_px - top)}px;'
        f'background:rgb{_colour(top // 1000)}"><p style="margin:20px">Row {top}</div>'
        for top in range(0, height_px, 1000)
    )
    line = f'<svg style="position:absolute" width=1280 height={height_px}><path d="M0 0L1280 {height_px}" stroke=black>'
    return f'<!doctype html><body style="margin:0;height:{height_px}px;position:relative">{rows}{line}</svg>'


@pytest.mark.parametrize(
    ("height_px", "scale", "image_format"),
    [(60_000, 1, "png"), (20_000, 2, "png"), (65_535, 1, "png"), (15_000, 1.1, "jpeg")],
)
def test_a_tall_page_is_right_from_top_to_bottom(
    server: ServerProcess, height_px: int, scale: float, image_format: str
) -> None:
    body = {"html": _ladder(height_px), "viewport": {"scale": scale}, "render": {"scroll": False, "timeout_ms": 60_000}}
    picture, meta = server.picture(**body, format=image_format, full_page=True, max_height=65_535)
    image = picture.convert("RGB")
    assert image.size == (meta["width"], meta["height"]) == (int(1280 * scale + 1e-6), int(height_px * scale + 1e-6))
    for top in range(0, height_px, 1000):
        x = 1240 if top < height_px / 2 else 40  # where the line is not
        middle = image.getpixel((int(x * scale), int(min(top + 500, height_px - 5) * scale)))
        assert middle == pytest.approx(_colour(top // 1000), abs=3), top


def test_the_parts_of_a_tall_picture_meet_without_a_seam(server: ServerProcess) -> None:
    """Everywhere it is pixel for pixel what a capture of that place alone gives."""
    body = {"html": _ladder(30_000), "format": "png"}
    image, _ = server.picture(**body, full_page=True, render={"scroll": False})
    for top in range(0, 30_000, 10_000):
        alone, _ = server.picture(**body, clip={"x": 0, "y": top, "width": 1280, "height": 10_000})
        part = image.crop((0, top, 1280, top + 10_000))
        assert ImageChops.difference(part.convert("RGB"), alone.convert("RGB")).getbbox() is None


@pytest.mark.parametrize(("image_format", "limit"), [("webp", "16383"), ("jpeg", "65500"), ("avif", "32768")])
def test_what_the_format_can_not_hold_names_the_way_out(server: ServerProcess, image_format: str, limit: str) -> None:
    html = "<body style='margin:0'><div style='height:65535px'></div>"
    body = {"html": html, "full_page": True, "max_height": 65_535, "render": {"scroll": False}}
    error = server.error(400, **body, format=image_format)
    assert error["code"] == "result_too_large"
    assert limit in error["message"]
    assert "Use png" in error["message"]


_TEXT, _GAP = (238, 238, 238), blocks.WHITE
# Of each page in `pages/whole`: its height, and what is in the middle of the picture, or at (x, y), at which height.
_WHOLE: dict[str, tuple[int, dict[int | tuple[int, int], Colour]]] = {
    # What loads, or appears, only where a reader is.
    "lazy-native": (6000, {(100, 1950): blocks.RED, (100, 3950): blocks.GREEN, (100, 5950): blocks.BLUE}),
    "lazy-observer": (6000, {(100, 1950): blocks.RED, (100, 3950): blocks.GREEN, (100, 5950): blocks.BLUE}),
    "lazy-scroll": (6000, {(100, 1950): blocks.RED, (100, 3950): blocks.GREEN, (100, 5950): blocks.BLUE}),
    "lazy-content-visibility": (6000, {(100, 1950): blocks.RED, (100, 3950): blocks.RED, (100, 5950): blocks.RED}),
    "reveal": (6000, {(100, 1950): blocks.RED, (100, 3950): blocks.RED, (100, 5950): blocks.RED}),
    "virtual-list": (6000, {50: blocks.RED, 150: blocks.GREEN, 2950: blocks.GREEN, 5950: blocks.GREEN}),
    "infinite": (32_768, {500: blocks.RED, 1500: blocks.GREEN, 30_500: blocks.RED, 32_700: blocks.RED}),
    "infinite.html?most=7": (7010, {500: blocks.RED, 1500: blocks.GREEN, 6500: blocks.RED, 7005: _GAP}),
    # App shells show all that they scroll, between the bars around it.
    "shell-flex": (
        5100,
        {25: blocks.RED, (100, 5000): blocks.YELLOW, 75: _TEXT, 5000: blocks.GREEN, 5075: blocks.BLUE},
    ),
    "shell-grid": (
        5100,
        {25: blocks.RED, (100, 5000): blocks.YELLOW, 75: _TEXT, 5000: blocks.GREEN, 5075: blocks.BLUE},
    ),
    "shell-absolute": (5050, {25: blocks.RED, (100, 600): blocks.YELLOW, 75: _TEXT, 5000: blocks.GREEN}),
    "shell-scroll": (7000, {500: blocks.RED, 3500: blocks.RED, 6500: blocks.RED}),
    "shell-shadow": (5000, {25: _TEXT, 4850: _TEXT, 4950: blocks.GREEN}),
    # What is as high as the viewport stays so.
    "shell-slides": (2160, {10: blocks.RED, 730: blocks.GREEN, 1450: blocks.BLUE}),
    "screens": (3440, {10: blocks.RED, 715: blocks.RED, 725: blocks.GREEN, 1445: _GAP, (100, 3390): blocks.BLUE}),
    # What keeps to the screen is there once, where a reader meets it.
    "bars": (
        4560,
        {
            20: blocks.RED,
            60: _TEXT,
            700: _TEXT,
            1515: blocks.GREEN,
            3045: blocks.MAGENTA,
            4510: _TEXT,
            4540: blocks.BLUE,
        },
    ),
    "bars-screens": (
        5280,
        {
            20: blocks.RED,
            700: (221, 221, 221),
            2235: blocks.GREEN,
            3765: blocks.MAGENTA,
            5230: _TEXT,
            5260: blocks.BLUE,
        },
    ),
    "dialog": (5000, {420: blocks.GREEN, 20: (119, 119, 119), 730: _TEXT, 2500: _TEXT}),
    "backdrop": (5000, {20: blocks.BLUE, 2500: blocks.BLUE, 4990: blocks.BLUE}),
    "parallax": (4200, {(50, 50): blocks.GREEN, (200, 50): blocks.RED, (640, 590): blocks.RED, 610: _GAP}),
}


@pytest.mark.parametrize("name", _WHOLE)
def test_the_whole_page_is_shown(server: ServerProcess, site: Site, name: str) -> None:
    height, expected = _WHOLE[name]
    path = name if "." in name else f"{name}.html"
    picture, meta = server.picture(url=f"{site.url}/whole/{path}", format="png", full_page=True)
    image = picture.convert("RGB")
    assert image.size == (1280, height)
    for place, colour in expected.items():
        assert image.getpixel(place if isinstance(place, tuple) else (640, place)) == colour, place
    is_cut = name == "infinite"
    assert [warning["code"] for warning in meta["warnings"]] == (["max_height_reached"] if is_cut else [])
    assert meta["partial"] is False


def test_without_scrolling_only_what_is_there_is_shown(server: ServerProcess, site: Site) -> None:
    body = {"format": "png", "full_page": True, "render": {"scroll": False}}
    lazy, _ = server.picture(url=f"{site.url}/whole/lazy-observer.html", **body)
    assert (lazy.height, pixel(lazy, 100, 5950)) == (6000, blocks.WHITE)
    shell, _ = server.picture(url=f"{site.url}/whole/shell-flex.html", **body)
    assert (shell.height, pixel(shell, 640, 5000)) == (5100, blocks.GREEN)


@pytest.mark.parametrize("name", ["bars", "shell-flex", "screens"])
def test_a_phone_sees_the_whole_page_too(server: ServerProcess, site: Site, name: str) -> None:
    height, expected = _WHOLE[name]
    phone = {"width": 390, "height": 720, "scale": 2, "mobile": True, "touch": True}
    html = f'<meta name="viewport" content="width=device-width">{(PAGES / "whole" / f"{name}.html").read_text()}'
    image, _ = server.picture(html=html, base_url=site.url, viewport=phone, format="png", full_page=True)
    assert image.size == (780, height * 2)
    for place, colour in expected.items():
        x, y = place if isinstance(place, tuple) else (300, place)
        assert pixel(image, x * 2, y * 2) == colour, place


def test_a_page_that_grows_without_end_is_shown_as_far_as_it_came(server: ServerProcess) -> None:
    """Each time the viewport grows, so does the page, a little."""
    html = """<body style="margin: 0"><div style="height: 1000px; background: #ff0000"></div><script>
      const box = document.querySelector("div");
      setInterval(() => { box.style.height = `${box.offsetHeight + 1}px`; }, 20);
    </script>"""
    image, meta = server.picture(html=html, format="png", full_page=True, render={"timeout_ms": 8_000})
    assert pixel(image, 640, image.height - 5) == blocks.RED
    assert image.height >= 1000
    assert meta["partial"] or "page_keeps_growing" in {warning["code"] for warning in meta["warnings"]}
