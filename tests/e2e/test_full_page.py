"""The whole page: tall ones, and what is only there, or elsewhere, once somebody scrolls."""

from __future__ import annotations

import pytest
from PIL import ImageChops

from tests.site.pictures import Colour

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
