"""Where the picture is cut and how Chromium makes it.

Sizes in CSS pixels unless named otherwise; a picture has `scale` device pixels for each.
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from typing import Any

from calotype.browser.cdp import CdpError
from calotype.browser.page import Page
from calotype.capture.area import Area
from calotype.capture.bands import bands_of
from calotype.errors import InternalError, ResultTooLarge
from calotype.request import CaptureRequest

# Beyond these Chromium's encoders answer with no data and no error (measured, Chromium 156), and AVIF's decoders refuse
# (libavif, avif.h, AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT).
MAX_SIDE_PX = {"jpeg": 65_500, "png": 65_535, "webp": 16_383, "avif": 32_768}
_A4_INCHES = (210 / 25.4, 297 / 25.4)
_POINTS_PER_CSS_PX = 0.75


@dataclass(frozen=True, slots=True)
class Shot:
    """What Chromium gave: a picture of `format` ("png" where this server encodes the final one), whole or in bands."""

    bands: tuple[bytes, ...]
    format: str
    width_px: int
    height_px: int

    @property
    def data(self) -> bytes:
        """The picture that is whole."""
        (data,) = self.bands
        return data


async def shoot(page: Page, request: CaptureRequest, area: Area | None, *, max_pixels: int) -> Shot:
    """Take the picture of `area`, or of the viewport.

    Raises:
        ResultTooLarge: the format, or this server, can't hold it.
        ConnectionLost: the page is gone.
    """
    scale = request.viewport.scale
    size = (area.width, area.height) if area else request.viewport.size
    width_px, height_px = (max(1, math.floor(side * scale + 1e-6)) for side in size)
    _check_size(width_px, height_px, "png" if request.resize else request.format, max_pixels)
    bands = bands_of(area, scale) if area else [None]
    encoded_here = request.format == "avif" or request.resize is not None or len(bands) > 1
    params: dict[str, Any] = {"format": "png" if encoded_here else request.format}
    if params["format"] == "png":
        params["optimizeForSpeed"] = True
    else:
        params["quality"] = request.effective_quality
    taken: list[bytes] = []
    for band in bands:
        if band is not None:
            params |= {"clip": {**band.as_dict(), "scale": 1}, "captureBeyondViewport": True}
        answer = await page.call_when_active("Page.captureScreenshot", **params)
        if not answer["data"]:
            raise ResultTooLarge(f"Chromium can't make a {request.format} of {width_px}x{height_px} pixels. {_WAY_OUT}")
        taken.append(base64.b64decode(answer["data"]))
    return Shot(tuple(taken), params["format"], width_px, height_px)


_WAY_OUT = "Use png, a lower viewport.scale, max_height, or clip."


def _check_size(width_px: int, height_px: int, format_: str, max_pixels: int) -> None:
    limit = MAX_SIDE_PX[format_]
    if max(width_px, height_px) > limit:
        raise ResultTooLarge(
            f"The picture would be {width_px}x{height_px} pixels; {format_} holds {limit} a side. {_WAY_OUT}"
        )
    if width_px * height_px > max_pixels:
        raise ResultTooLarge(
            f"The picture would be {width_px}x{height_px} pixels; this server makes {max_pixels} at most. {_WAY_OUT}"
        )


async def print_pdf(page: Page) -> Shot:
    """The document as a PDF, A4 unless its CSS says otherwise. `Shot` has the first page's size in CSS pixels."""
    width, height = _A4_INCHES
    try:
        answer = await page.call_when_active(
            "Page.printToPDF", printBackground=True, preferCSSPageSize=True, paperWidth=width, paperHeight=height
        )
    except CdpError as error:
        raise InternalError from error
    data = base64.b64decode(answer["data"])
    return Shot((data,), "pdf", *_first_page_size_px(data))


def _first_page_size_px(pdf: bytes) -> tuple[int, int]:
    box = re.search(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)", pdf)
    points = (float(box[1]), float(box[2])) if box else tuple(inches * 72 for inches in _A4_INCHES)
    return round(points[0] / _POINTS_PER_CSS_PX), round(points[1] / _POINTS_PER_CSS_PX)
