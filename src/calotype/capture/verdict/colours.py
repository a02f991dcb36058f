"""How much there is to be seen in a picture, at a glance. Decoding is for a thread: Pillow works without the lock."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

# What Chromium's encoders make of one colour, and some text (measured, Chromium 156). A larger picture shows something:
# that spares a look at nearly all of them.
_EMPTY_BYTES_PER_PIXEL = {"jpeg": 0.008, "png": 0.02, "webp": 0.004}
_EMPTY_BYTES = 12_288
_BLOCK_PX = 8
_ALIKE = 2  # levels of 255 that encoders may be off
_LEAST_SIDE_PX = 32  # of less, one colour is what was asked for: a swatch, a tracking pixel


@dataclass(frozen=True, slots=True)
class Colours:
    """Of the picture in blocks of 8 x 8 pixels."""

    main: str
    """The colour of most blocks, `#rrggbb`; `transparent` without one."""
    differing: float
    """The share of blocks that do not have it."""
    spread: int
    """The levels between the darkest and the lightest block, of the channel with the most."""

    @property
    def is_one(self) -> bool:
        return self.spread <= _ALIKE


def may_be_blank(format_: str, bytes_: int, width_px: int, height_px: int) -> bool:
    """Whether it is worth a look: larger pictures show more than one colour."""
    if format_ not in _EMPTY_BYTES_PER_PIXEL or min(width_px, height_px) < _LEAST_SIDE_PX:
        return False
    return bytes_ <= _EMPTY_BYTES + width_px * height_px * _EMPTY_BYTES_PER_PIXEL[format_]


def colours_of(bands: Sequence[bytes]) -> Colours:
    """Look at the picture whose parts, top to bottom, are given."""
    small = [_in_blocks(band) for band in bands]
    ranges = zip(*(_ranges(image) for image in small), strict=True)
    spread = max(max(high for _, high in channel) - min(low for low, _ in channel) for channel in ranges)
    counts: Counter[tuple[int, ...]] = Counter()
    for image in small:
        for count, colour in image.getcolors(image.width * image.height) or ():
            counts[colour] += count  # type: ignore[index]
    main = counts.most_common(1)[0][0]
    alike = sum(count for colour, count in counts.items() if _is_like(colour, main))
    return Colours(_named(main), 1 - alike / counts.total(), spread)


def _in_blocks(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        if image.format == "JPEG":  # which can be decoded at this size at once
            image.draft("RGB", (image.width // _BLOCK_PX, image.height // _BLOCK_PX))
            return image.convert("RGBA")
        if image.mode == "RGB":  # ten times as fast as with a fourth channel
            return image.reduce(_BLOCK_PX).convert("RGBA")
        return image.convert("RGBA").reduce(_BLOCK_PX)


def _ranges(image: Image.Image) -> list[tuple[int, int]]:
    return [(low, high) for low, high in image.getextrema()]  # type: ignore[misc]


def _is_like(colour: tuple[int, ...], main: tuple[int, ...]) -> bool:
    return all(abs(one - other) <= _ALIKE for one, other in zip(colour, main, strict=True))


def _named(colour: tuple[int, ...]) -> str:
    if not colour[3]:
        return "transparent"
    return "#{:02x}{:02x}{:02x}".format(*colour[:3])
