"""Resizing, and the formats Chromium does not write. Runs in a thread: Pillow works without the interpreter's lock."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass, replace

from PIL import Image

from calotype.capture.bands import NotJoinable, joined, joined_png
from calotype.capture.shoot import MAX_SIDE_PX, Shot
from calotype.errors import ResultTooLarge
from calotype.request import CaptureRequest, Resize

# Pillow's own bomb check is for strangers' files; ours come from our Chromium and were measured before.
Image.MAX_IMAGE_PIXELS = None

CONTENT_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "pdf": "application/pdf",
}
_AVIF_LARGE_PIXELS = 8_000_000  # of noise, 50 megapixels took 69 s at speed 8 on two cores


def encode(shot: Shot, request: CaptureRequest) -> Shot:
    """Bring the shot to the requested size and format; unchanged where Chromium has made it so already.

    Raises:
        ResultTooLarge: the format can't hold it.
    """
    if not needs_encoding(shot, request):
        return shot
    if request.format == "png" and request.resize is None:
        with suppress(NotJoinable):
            return replace(shot, bands=(joined_png(shot.bands),))
    with joined(shot.bands) as image:
        resized = resize(image, request.resize) if request.resize else image
        return Shot((_write(resized, request),), request.format, *resized.size)


def needs_encoding(shot: Shot, request: CaptureRequest) -> bool:
    """Whether it is not yet what was asked for."""
    return request.resize is not None or shot.format != request.format or len(shot.bands) > 1


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture of one size becomes one of another: scaled, then cut."""

    scaled: tuple[int, int]
    left: int
    """Pixels cut off at the left; at the top none are."""
    size: tuple[int, int]


def fit_of(size: tuple[int, int], wanted: Resize) -> Fit:
    """Fit a picture as CSS `object-fit` does; `cover` keeps the top, where a page begins.

    A side not given follows from the other. Never enlarges unless told to.
    """
    width, height = size
    box_width, box_height = _box(size, wanted)
    if wanted.fit == "fill":
        whole = (box_width, box_height) if wanted.enlarge else (min(box_width, width), min(box_height, height))
        return Fit(whole, 0, whole)
    ratios = (box_width / width, box_height / height)
    ratio = max(ratios) if wanted.fit == "cover" else min(ratios)
    if ratio > 1 and not wanted.enlarge:
        ratio = 1.0
    scaled = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    if wanted.fit != "cover":
        return Fit(scaled, 0, scaled)
    kept = (min(box_width, scaled[0]), min(box_height, scaled[1]))
    return Fit(scaled, (scaled[0] - kept[0]) // 2, kept)


def resize(image: Image.Image, wanted: Resize) -> Image.Image:
    """As `fit_of` says."""
    fit = fit_of(image.size, wanted)
    scaled = image if fit.scaled == image.size else _scaled(image, fit.scaled)
    if fit.size == fit.scaled:
        return scaled
    width, height = fit.size
    return scaled.crop((fit.left, 0, fit.left + width, height))


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.LANCZOS)  # pyright: ignore[reportUnknownMemberType] - Pillow's stub


def _box(size: tuple[int, int], wanted: Resize) -> tuple[int, int]:
    width, height = size
    if wanted.width is None:
        assert wanted.height is not None  # noqa: S101 - the request model demands one of them
        return max(1, round(width * wanted.height / height)), wanted.height
    if wanted.height is None:
        return wanted.width, max(1, round(height * wanted.width / width))
    return wanted.width, wanted.height


def _write(image: Image.Image, request: CaptureRequest) -> bytes:
    if max(image.size) > (limit := MAX_SIDE_PX[request.format]):
        raise ResultTooLarge(f"{request.format} holds {limit} pixels a side. Use png, or a smaller resize.")
    if not request.transparent and image.mode == "RGBA":
        image = image.convert("RGB")
    out = io.BytesIO()
    match request.format:
        case "png":
            image.save(out, "PNG", compress_level=6)
        case "avif":
            is_large = image.width * image.height > _AVIF_LARGE_PIXELS
            image.save(out, "AVIF", quality=request.effective_quality, speed=10 if is_large else 8)
        case format_:
            image.save(out, format_.upper(), quality=request.effective_quality)
    return out.getvalue()
