"""Pictures made for the fixture site, and what tests read out of captures."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageChops

Image.MAX_IMAGE_PIXELS = None  # the pictures come from our own server, and some are large on purpose

Colour = tuple[int, int, int]


def solid_png(colour: str, width: int, height: int) -> bytes:
    """A one-colour PNG, made without Pillow's help, so that the reader is not checked by its own writer."""
    pixel = bytes.fromhex(colour.removeprefix("#"))
    rows = (b"\0" + pixel * width) * height
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(rows)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def opened(data: bytes) -> Image.Image:
    """The picture, decoded to the last row: a cut file fails here."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixel(image: Image.Image, x: float, y: float) -> Colour:
    red, green, blue = image.convert("RGB").getpixel((int(x), int(y)))  # type: ignore[misc]
    return red, green, blue


def is_near(seen: Colour, expected: Colour, tolerance: int = 6) -> bool:
    """Whether a colour is the expected one within what lossy encoding may change."""
    return all(abs(one - other) <= tolerance for one, other in zip(seen, expected, strict=True))


def assert_pixels(image: Image.Image, expected: dict[tuple[float, float], Colour], *, scale: float = 1) -> None:
    """Each point, in CSS pixels, has its colour."""
    seen = {point: pixel(image, point[0] * scale, point[1] * scale) for point in expected}
    wrong = {point: (seen[point], colour) for point, colour in expected.items() if not is_near(seen[point], colour)}
    assert not wrong, f"wrong colours (point: seen, expected): {wrong}"


def similarity(one: Image.Image, other: Image.Image, *, tolerance: int = 16) -> float:
    """Give the share of pixels none of whose channels differs by more than `tolerance` of 255; 0 for other sizes."""
    if one.size != other.size:
        return 0.0
    red, green, blue = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return sum(most.histogram()[: tolerance + 1]) / (one.width * one.height)
