"""Resizing and encoding, without a browser."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from calotype.capture.encode import encode, resize
from calotype.capture.shoot import Shot
from calotype.errors import ResultTooLarge
from calotype.request import CaptureRequest, Resize
from tests.site.pictures import opened, pixel, solid_png


def shot(width: int, height: int, colour: str = "#ff0000") -> Shot:
    return Shot((solid_png(colour, width, height),), "png", width, height)


def request(**fields: Any) -> CaptureRequest:
    return CaptureRequest(url="https://example.com", **fields)


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ({"width": 400}, (400, 200)),
        ({"height": 100}, (200, 100)),
        ({"width": 400, "height": 400}, (400, 200)),
        ({"width": 400, "height": 400, "fit": "cover"}, (400, 400)),
        ({"width": 400, "height": 100, "fit": "fill"}, (400, 100)),
        ({"width": 1600}, (800, 400)),
        ({"width": 1600, "height": 100, "fit": "fill"}, (800, 100)),
        ({"width": 1600, "height": 100, "fit": "cover"}, (800, 100)),
        ({"width": 1600, "enlarge": True}, (1600, 800)),
        ({"width": 1, "height": 400}, (1, 1)),
    ],
    ids=str,
)
def test_sizes(wanted: dict[str, Any], size: tuple[int, int]) -> None:
    image = opened(solid_png("#ff0000", 800, 400))
    assert resize(image, Resize(**wanted)).size == size


def test_cover_keeps_the_top_and_the_middle() -> None:
    image = opened(solid_png("#ffffff", 200, 400))
    image.paste((255, 0, 0), (0, 0, 200, 100))
    covered = resize(image, Resize(width=100, height=100, fit="cover"))
    assert pixel(covered, 50, 10) == (255, 0, 0)
    assert pixel(covered, 50, 90) == (255, 255, 255)


def test_a_shot_in_the_wanted_format_is_not_touched() -> None:
    made = shot(10, 10)
    assert encode(made, request(format="png")) is made


@pytest.mark.parametrize("format_", ["jpeg", "png", "webp", "avif"])
def test_formats(format_: str) -> None:
    encoded = encode(shot(64, 32), request(format=format_, resize={"width": 32}))
    image = opened(encoded.data)
    assert image.format == format_.upper()
    assert image.size == (32, 16) == (encoded.width_px, encoded.height_px)
    assert pixel(image, 16, 8)[0] > 245


def test_quality_reaches_the_encoder() -> None:
    noisy = Image.effect_noise((256, 256), 64)
    out = BytesIO()
    noisy.save(out, "PNG")
    made = Shot((out.getvalue(),), "png", 256, 256)
    small, large = (len(encode(made, request(format="avif", quality=quality)).data) for quality in (5, 100))
    assert small < large


def test_a_webp_beyond_its_format_is_refused_with_the_way_out() -> None:
    with pytest.raises(ResultTooLarge, match="16383"):
        encode(shot(1, 17_000), request(format="webp", resize={"width": 1}))
