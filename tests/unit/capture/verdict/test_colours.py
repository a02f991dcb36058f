"""What a glance at a picture tells."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

from calotype.capture.verdict import Colours, colours_of, may_be_blank

SIZE = (640, 360)


def encoded(image: Image.Image, format_: str) -> bytes:
    out = io.BytesIO()
    image.save(out, format_, quality=80)
    return out.getvalue()


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_one_colour_and_a_speck(format_: str) -> None:
    image = Image.new("RGB", SIZE, "#808080")
    one = colours_of([encoded(image, format_)])
    assert one.is_one
    assert one.differing == 0
    ImageDraw.Draw(image).rectangle((320, 160, 351, 191), fill="#ff0000")
    speck = colours_of([encoded(image, format_)])
    assert not speck.is_one
    assert 0 < speck.differing < 0.02


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_a_line_of_small_text_is_seen(format_: str) -> None:
    image = Image.new("RGB", SIZE, "#0b0b0f")
    ImageDraw.Draw(image).text((40, 180), "coming soon", fill="#55555c")
    assert not colours_of([encoded(image, format_)]).is_one


def test_of_all_bands_together() -> None:
    white = encoded(Image.new("RGB", SIZE, "white"), "PNG")
    black = encoded(Image.new("RGBA", SIZE, "black"), "PNG")
    assert colours_of([white, white]).is_one
    both = colours_of([white, white, black])
    assert (both.main, round(both.differing, 2), both.spread) == ("#ffffff", 0.33, 255)


def test_transparent_is_a_colour() -> None:
    assert colours_of([encoded(Image.new("RGBA", SIZE), "PNG")]) == Colours("transparent", 0.0, 0)


def test_only_small_files_of_pictures_are_in_doubt() -> None:
    assert may_be_blank("jpeg", 6_158, 1280, 720)
    assert may_be_blank("png", 16_380, 1280, 720)
    assert may_be_blank("webp", 2_182, 1280, 720)
    assert not may_be_blank("jpeg", 40_000, 1280, 720)
    assert not may_be_blank("pdf", 900, 794, 1122)
    assert not may_be_blank("png", 70, 16, 16)
