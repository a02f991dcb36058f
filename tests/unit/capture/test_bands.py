from __future__ import annotations

import io
import itertools
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from calotype.capture.area import Area
from calotype.capture.bands import NotJoinable, bands_of, joined, joined_png


@given(
    top=st.integers(0, 1_000),
    width=st.integers(1, 8_000),
    height=st.integers(1, 65_535),
    scale=st.integers(50, 400).map(lambda hundredths: hundredths / 100),
)
def test_bands_cover_the_area_and_meet_on_whole_device_pixels(top: int, width: int, height: int, scale: float) -> None:
    area = Area(0, top, width, height)
    bands = bands_of(area, scale)
    assert bands[0].y == area.y
    assert sum(band.height for band in bands) == area.height
    for above, below in itertools.pairwise(bands):
        assert above.y + above.height == below.y
        edge_px = (below.y - area.y) * scale
        assert edge_px == pytest.approx(round(edge_px), abs=1e-6)
    assert all(band.width * band.height * scale**2 <= 16_500_000 for band in bands)


def test_what_is_small_is_one_band() -> None:
    assert bands_of(Area(0, 0, 1280, 10_000), 1) == [Area(0, 0, 1280, 10_000)]


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _parts(image: Image.Image, *cuts: int) -> list[bytes]:
    edges = [0, *cuts, image.height]
    return [_png(image.crop((0, top, image.width, bottom))) for top, bottom in itertools.pairwise(edges)]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_parts_become_the_picture_again(mode: str) -> None:
    noise = Image.frombytes(mode, (60, 90), os.urandom(60 * 90 * len(mode)))
    gradient = Image.linear_gradient("L").resize((60, 90)).convert(mode)
    for image in (noise, gradient):
        parts = _parts(image, 1, 30, 64)
        with Image.open(io.BytesIO(joined_png(parts))) as again:
            assert (again.mode, again.size) == (mode, image.size)
            assert again.tobytes() == image.tobytes()
        assert joined(parts).tobytes() == image.tobytes()


def test_parts_with_and_without_an_alpha_channel_are_joined_by_their_pixels() -> None:
    parts = [_png(Image.new("RGB", (4, 4), "red")), _png(Image.new("RGBA", (4, 2), (0, 0, 255, 9)))]
    with pytest.raises(NotJoinable):
        joined_png(parts)
    whole = joined(parts)
    assert (whole.mode, whole.size) == ("RGBA", (4, 6))
    assert (whole.getpixel((1, 3)), whole.getpixel((1, 4))) == ((255, 0, 0, 255), (0, 0, 255, 9))


def test_a_row_that_needs_the_one_above_is_not_joined_blindly() -> None:
    """Filter 3 averages with the row above, which is halved when there is none (PNG 3, 9.2)."""
    average = bytes([3]) + b"\x10\x20\x30"
    data = zlib.compress(average)
    image = _png(Image.new("RGB", (1, 1)))
    start = image.index(b"IDAT") - 4
    forged = image[:start] + len(data).to_bytes(4, "big") + b"IDAT" + data + b"\0\0\0\0"
    with pytest.raises(NotJoinable):
        joined_png([image, forged])
