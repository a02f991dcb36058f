"""Pictures through a real server and a real Chromium: the right colours at the right places, the exact size."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.site import blocks
from tests.site.pictures import assert_pixels, pixel
from tests.site.server import Site

from .server_process import ServerProcess

FORMATS = ("png", "jpeg", "webp", "avif")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("scale", [1, 2])
def test_viewport(server: ServerProcess, site: Site, format_: str, scale: int) -> None:
    image, meta = server.picture(url=f"{site.url}/blocks.html", format=format_, viewport={"scale": scale})
    assert image.format == format_.upper()
    assert image.size == (1280 * scale, 720 * scale) == (meta["width"], meta["height"])
    assert_pixels(image, blocks.VIEWPORT, scale=scale)


@pytest.mark.parametrize("format_", FORMATS)
def test_full_page(server: ServerProcess, site: Site, format_: str) -> None:
    image, _ = server.picture(url=f"{site.url}/blocks.html", format=format_, full_page=True)
    assert image.size == blocks.DOCUMENT
    assert_pixels(image, blocks.FULL_PAGE)


@pytest.mark.parametrize("format_", FORMATS)
def test_clip(server: ServerProcess, site: Site, format_: str) -> None:
    clip = {"x": 200, "y": 1500, "width": 300, "height": 200}
    image, _ = server.picture(url=f"{site.url}/blocks.html", format=format_, clip=clip, viewport={"scale": 2})
    assert image.size == (600, 400)
    assert_pixels(image, blocks.CARD if format_ == "png" else blocks.CARD_LOSSY, scale=2)


@pytest.mark.parametrize("format_", FORMATS)
def test_selector(server: ServerProcess, site: Site, format_: str) -> None:
    image, _ = server.picture(url=f"{site.url}/blocks.html", format=format_, selector="#card")
    assert image.size == (300, 200)
    assert_pixels(image, blocks.CARD if format_ == "png" else blocks.CARD_LOSSY)


def test_selector_with_padding(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/blocks.html", format="png", selector="#inside", padding=10)
    assert image.size == (120, 70)
    assert_pixels(image, {(5, 5): blocks.MAGENTA, (15, 15): blocks.CYAN, (115, 65): blocks.MAGENTA})


def test_padding_ends_at_the_edge_of_the_document(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/blocks.html", format="png", selector="#red", padding=20)
    assert image.size == (120, 120)
    assert_pixels(image, {(2, 2): blocks.RED, (110, 110): blocks.WHITE})


def test_max_height_cuts_with_a_warning(server: ServerProcess, site: Site) -> None:
    image, meta = server.picture(url=f"{site.url}/blocks.html", format="png", full_page=True, max_height=1000)
    assert image.size == (1280, 1000)
    assert [warning["code"] for warning in meta["warnings"]] == ["max_height_reached"]


@pytest.mark.parametrize("format_", ["png", "webp", "avif"])
def test_transparent(server: ServerProcess, site: Site, format_: str) -> None:
    image, _ = server.picture(url=f"{site.url}/transparent.html", format=format_, transparent=True)
    assert image.mode == "RGBA"
    assert image.getpixel((50, 50))[3] == 255  # type: ignore[index]
    assert image.getpixel((500, 500))[3] == 0  # type: ignore[index]


def test_without_transparent_the_background_is_white(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/transparent.html", format="png")
    assert pixel(image, 500, 500) == blocks.WHITE


@pytest.mark.parametrize(
    ("resize", "size"),
    [
        ({"width": 640}, (640, 360)),
        ({"height": 360}, (640, 360)),
        ({"width": 640, "height": 640}, (640, 360)),
        ({"width": 300, "height": 300, "fit": "cover"}, (300, 300)),
        ({"width": 300, "height": 300, "fit": "fill"}, (300, 300)),
        ({"width": 2560}, (1280, 720)),
        ({"width": 2560, "enlarge": True}, (2560, 1440)),
    ],
    ids=str,
)
@pytest.mark.parametrize("format_", ["jpeg", "png"])
def test_resize(server: ServerProcess, site: Site, resize: dict[str, Any], size: tuple[int, int], format_: str) -> None:
    image, meta = server.picture(url=f"{site.url}/blocks.html", format=format_, resize=resize)
    assert image.size == size == (meta["width"], meta["height"])
    assert image.format == format_.upper()


def test_a_resized_picture_shows_the_same(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/blocks.html", format="png", resize={"width": 640})
    assert_pixels(
        image, {(25, 25): blocks.RED, (615, 25): blocks.GREEN, (25, 335): blocks.BLUE, (320, 180): blocks.WHITE}
    )


def test_quality_changes_the_size_of_a_jpeg(server: ServerProcess, site: Site) -> None:
    sizes = [server.picture(url=f"{site.url}/text.html", quality=quality)[1]["bytes"] for quality in (10, 80, 100)]
    assert sizes == sorted(set(sizes))


def test_pdf(server: ServerProcess, site: Site) -> None:
    answer = server.screenshot(url=f"{site.url}/text.html", format="pdf").json()
    pdf = base64.b64decode(answer["image_base64"])
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert answer["content_type"] == "application/pdf"
    # A4 is 793.7 x 1122.5 CSS pixels; Chromium lays paper out in whole printer dots.
    assert abs(answer["meta"]["width"] - 794) <= 1
    assert abs(answer["meta"]["height"] - 1122) <= 1


def test_spa_is_drawn_before_the_picture(server: ServerProcess, site: Site) -> None:
    image, meta = server.picture(url=f"{site.url}/spa.html", format="png")
    assert_pixels(image, {(100, 50): blocks.RED, (100, 150): blocks.BLUE})
    assert meta["title"] == "Drawn"


def test_canvas_and_svg(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/canvas.html", format="png")
    assert_pixels(
        image, {(100, 100): blocks.RED, (20, 20): blocks.WHITE, (100, 300): blocks.GREEN, (5, 205): blocks.WHITE}
    )


def test_mobile_viewport(server: ServerProcess, site: Site) -> None:
    viewport = {"width": 390, "height": 844, "scale": 3, "mobile": True, "touch": True}
    image, meta = server.picture(url=f"{site.url}/responsive.html", format="png", viewport=viewport)
    assert image.size == (1170, 2532)
    assert pixel(image, 600, 1200) == blocks.GREEN
    assert meta["title"] == "390x844@3 touch:true"


def test_landscape_turns_the_viewport(server: ServerProcess, site: Site) -> None:
    viewport = {"width": 390, "height": 844, "landscape": True}
    image, _ = server.picture(url=f"{site.url}/responsive.html", format="png", viewport=viewport)
    assert image.size == (844, 390)


def test_tall_full_page_is_right_in_every_band(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/tall.html", format="png", full_page=True)
    assert image.size == (1280, 12_000)
    bands = {(600, band * 1000 + 500): (20 * (band + 1),) * 3 for band in range(12)}
    marks = {(25, band * 1000 + 25): blocks.RED for band in range(12)}
    assert_pixels(image, {**bands, **marks})  # type: ignore[dict-item]


def test_full_page_brings_lazy_images_in(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/lazy.html", format="png", full_page=True)
    assert_pixels(image, {(100, 4050): blocks.BLUE, (100, 8150): blocks.GREEN})


def test_text_of_every_script_has_its_glyphs(server: ServerProcess, site: Site) -> None:
    """A missing glyph is the same box for each character; real ones differ and the emoji have colours."""
    shapes = []
    for character in ("A", "日", "本", "한", "中"):
        image, _ = server.picture(html=f"<body style='margin:0;font-size:80px'>{character}", format="png")
        shapes.append(image.convert("L").crop((0, 0, 100, 120)).tobytes())
    assert len(set(shapes)) == len(shapes)
    emoji, _ = server.picture(html="<body style='margin:0;font-size:80px'>😀", format="png")
    red, _, blue = emoji.convert("RGB").crop((0, 0, 100, 120)).split()
    assert red.tobytes() != blue.tobytes()


def test_web_fonts_are_awaited(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/webfont.html", format="png")
    assert_pixels(image, {(340, 60): blocks.RED, (380, 60): blocks.WHITE})


def test_html_with_a_base_url(server: ServerProcess, site: Site) -> None:
    html = '<title>Own</title><body style="margin:0"><img src="/colour/00ff00?w=50&h=50">'
    image, meta = server.picture(html=html, base_url=f"{site.url}/deep/", format="png")
    assert pixel(image, 25, 25) == blocks.GREEN
    assert meta["title"] == "Own"
    assert meta["url"] is None


def test_html_alone(server: ServerProcess) -> None:
    image, meta = server.picture(html="<body style='background:#ff00ff'>é", format="png")
    assert pixel(image, 600, 600) == blocks.MAGENTA
    assert meta["final_url"] is None


def test_a_title_that_is_no_unicode_is_repaired(server: ServerProcess) -> None:
    _, meta = server.picture(html="<script>document.title = 'a\\ud800b'</script><p>x")
    assert meta["title"] == "a\N{REPLACEMENT CHARACTER}b"
