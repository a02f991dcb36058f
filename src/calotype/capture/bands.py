"""Tall pictures in bands: one capture of a whole one is right, but takes Chromium a gigabyte (docs/adr/0011).

A band's edges lie on whole device pixels, and Chromium draws the same pixels wherever a cut is: the joined picture has
no seam.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction

from PIL import Image

from calotype.capture.area import Area

BAND_PIXELS = 16_000_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # PNG 3, 11.2.1
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)  # PNG 3, 9.2
# What gives the same row without one above as this gives below a row of zeros.
_TOP_FILTER = {_NONE: _NONE, _SUB: _SUB, _UP: _NONE, _PAETH: _SUB}
_FASTEST = 1


class NotJoinable(Exception):
    """The bands differ in more than their height, or one begins with a row that needs the one above."""


def bands_of(area: Area, scale: float, *, pixels: int = BAND_PIXELS) -> list[Area]:
    """Cut the area, which lies on whole CSS pixels, from top to bottom into parts of at most so many device pixels."""
    # A band's height in CSS pixels is a multiple of this, so that it is a whole number of device pixels, too.
    unit = Fraction(scale).limit_denominator(1_000).denominator
    height = max(1, int(pixels / (area.width * scale * scale)) // unit) * unit
    if height >= area.height:
        return [area]
    bottom = area.y + area.height
    tops = [area.y + offset for offset in range(0, int(area.height), height)]
    return [Area(area.x, top, area.width, min(height, bottom - top)) for top in tops]


def joined(bands: Sequence[bytes]) -> Image.Image:
    """The picture whose parts, top to bottom, are the PNGs."""
    images = [Image.open(io.BytesIO(band), formats=["PNG"]) for band in bands]
    if len(images) == 1:
        return images[0]
    mode = "RGBA" if any(image.mode == "RGBA" for image in images) else "RGB"
    whole = Image.new(mode, (images[0].width, sum(image.height for image in images)))
    top = 0
    for image in images:
        with image:
            whole.paste(image, (0, top))
            top += image.height
    return whole


def joined_png(bands: Sequence[bytes]) -> bytes:
    """As `joined`, as a PNG, without ever having more than a band's pixels.

    The rows stay filtered as they are: only a band's first one knows that there was nothing above it.

    Raises:
        NotJoinable
    """
    headers = [_HEADER.unpack_from(band, len(_SIGNATURE) + 8) for band in bands]
    if len({(width, *rest) for width, _, *rest in headers}) != 1:
        raise NotJoinable
    width, _, *rest = headers[0]
    out = [_SIGNATURE, _chunk(b"IHDR", _HEADER.pack(width, sum(height for _, height, *_ in headers), *rest))]
    deflate = zlib.compressobj(_FASTEST)
    for band in bands:
        rows = bytearray(zlib.decompress(b"".join(_data(band))))
        if rows[0] not in _TOP_FILTER:
            raise NotJoinable
        rows[0] = _TOP_FILTER[rows[0]]
        out.append(_chunk(b"IDAT", deflate.compress(rows)))
    out += [_chunk(b"IDAT", deflate.flush()), _chunk(b"IEND", b"")]
    return b"".join(out)


def _data(png: bytes) -> Iterator[bytes]:
    at = len(_SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            yield png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
