"""`metadata: ["elements"]`: each box is where its element is in the picture, whatever was done to the picture."""

from __future__ import annotations

from typing import Any

import pytest

from tests.site.pictures import pixel
from tests.site.server import Site

from .server_process import ServerProcess

COLOURS = {
    "Red": (255, 0, 0),
    "Green": (0, 255, 0),
    "Mail": (0, 0, 255),
    "Password": (255, 0, 255),
    "Far": (0, 255, 255),
}
CUTS: dict[str, dict[str, Any]] = {
    "viewport": {},
    "scale": {"viewport": {"scale": 2}},
    "full page": {"full_page": True},
    "full page, half as large": {"full_page": True, "resize": {"width": 640}},
    "clip": {"clip": {"x": 30, "y": 190, "width": 800, "height": 400}, "viewport": {"scale": 1.5}},
    "selector": {"selector": "#mail", "padding": 30},
    "cover": {"resize": {"width": 400, "height": 400, "fit": "cover"}},
    "fill": {"resize": {"width": 640, "height": 600, "fit": "fill"}},
    "scrolled": {"actions": [{"type": "scroll", "to": 1900}]},
}
IN_VIEW = {"Red", "Green", "Mail", "Password"}
SHOWN = {
    "full page": {*IN_VIEW, "Far"},
    "full page, half as large": {*IN_VIEW, "Far"},
    "clip": {"Green", "Mail", "Password"},
    "selector": {"Mail"},
    "cover": {"Green", "Mail", "Password"},
    "scrolled": {"Far"},
}


@pytest.mark.parametrize("cut", CUTS)
def test_boxes_fit_the_picture(server: ServerProcess, site: Site, cut: str) -> None:
    image, meta = server.picture(url=f"{site.url}/elements.html", format="png", metadata=["elements"], **CUTS[cut])
    elements = {each["name"]: each for each in meta["metadata"]["elements"]}
    assert set(elements) == SHOWN.get(cut, IN_VIEW)
    for name, element in elements.items():
        left, top = element["box"]["x"], element["box"]["y"]
        right, bottom = left + element["box"]["width"], top + element["box"]["height"]
        inside = [(x, y) for x in (left + 3, right - 4) for y in (top + 3, bottom - 4)]
        inside = [(x, y) for x, y in inside if 0 <= x < image.width and 0 <= y < image.height]
        assert inside
        assert {pixel(image, x, y) for x, y in inside} == {COLOURS[name]}
        for x, y in ((left - 4, top - 4), (right + 4, bottom + 4)):
            if 0 <= x < image.width and 0 <= y < image.height:
                assert pixel(image, x, y) == (255, 255, 255)


HARD = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0 } button, iframe { border: 0; padding: 0; margin: 0; display: block; width: 100px; height: 50px }
</style>"""
FRAME = (
    "<body style='margin:0'><button aria-label='#00ffff' style='background:#00ffff;border:0;width:100px;height:50px'>"
)


def button(colour: str, style: str = "") -> str:
    return f"<button aria-label='{colour}' style='background: {colour}; {style}'></button>"


CUT_OFF = f"""{HARD}<div style="overflow: hidden; width: 150px; height: 50px; display: flex">
{button("#ff0000", "flex: none")}{button("#aa0000", "flex: none")}{button("#550000", "flex: none")}
<i style="position: static">{button("#00ff00", "position: absolute; left: 300px; top: 0")}</i></div>
<div style="position: relative; height: 60px">{button("#0000ff")}
<p style="position: absolute; inset: 0; margin: 0; background: #ccc"></p></div>
<a href="/image" aria-label="#ff00ff"><img width="200" height="100" src="data:image/svg+xml,<svg xmlns=
'http://www.w3.org/2000/svg'><rect width='999' height='999' fill='magenta'/></svg>"></a>
<a href="/block" aria-label="#ffaa00"><div style="width: 100px; height: 50px; background: #ffaa00"></div></a>
<x-one></x-one><div style="height: 20px"></div>
<iframe style="padding: 10px; border: 5px solid" srcdoc="{FRAME}"></iframe>
<script>document.querySelector("x-one").attachShadow({{ mode: "open" }}).innerHTML =
  "<button aria-label='#555555' style='background:#555555;border:0;width:100px;height:50px'></button>"</script>"""
FAR_LEFT = f"<!doctype html><html dir=rtl>{HARD}<p style='width: 2000px; margin: 0'>.</p>{button('#ff0000')}"


@pytest.mark.parametrize(
    ("html", "fields", "shown"),
    [
        (CUT_OFF, {}, ["#ff0000", "#aa0000", "#00ff00", "#ff00ff", "#ffaa00", "#555555", "#00ffff"]),
        (HARD + button("#ff0000", "margin: 200px"), {"device": "iPhone 15"}, ["#ff0000"]),
        (FAR_LEFT, {"full_page": True}, ["#ff0000"]),
        (FAR_LEFT, {"selector": "button"}, ["#ff0000"]),
    ],
    ids=["cut off, covered, nested", "a phone shows it smaller", "right to left", "right to left, selector"],
)
def test_boxes_are_of_what_is_seen(server: ServerProcess, html: str, fields: dict[str, Any], shown: list[str]) -> None:
    """Each element is called by its colour, which its box has in its corners."""
    image, meta = server.picture(html=html, format="png", metadata=["elements"], **fields)
    elements = meta["metadata"]["elements"]
    assert {each["name"] for each in elements} == set(shown)
    for each in elements:
        box = each["box"]
        corners = [
            (x, y)
            for x in (box["x"] + 3, box["x"] + box["width"] - 4)
            for y in (box["y"] + 3, box["y"] + box["height"] - 8)
        ]
        assert {"#{:02x}{:02x}{:02x}".format(*pixel(image, *corner)) for corner in corners} == {each["name"]}


def test_what_is_told_of_an_element(server: ServerProcess, site: Site) -> None:
    _, meta = server.picture(url=f"{site.url}/elements.html", format="png", metadata=["elements"])
    told = [(each["role"], each["name"], each["value"], each["selector"]) for each in meta["metadata"]["elements"]]
    assert told == [
        ("button", "Red", None, "#red"),
        ("link", "Green", None, 'a[href="/blocks.html"]'),
        ("textbox", "Mail", "a@b.c", "#mail"),
        ("textbox", "Password", None, 'input[name="secret"]'),
    ]
    assert "hunter2" not in str(meta)


def test_a_selector_that_was_given_can_be_clicked(server: ServerProcess, site: Site) -> None:
    html = "<body>" + "".join(
        f"<div><span><button onclick='document.title={n}'>x</button></span></div>" for n in range(5)
    )
    _, meta = server.picture(html=html, metadata=["elements"])
    selectors = [each["selector"] for each in meta["metadata"]["elements"]]
    assert len(set(selectors)) == 5
    _, clicked = server.picture(html=html, actions=[{"type": "click", "selector": selectors[3]}])
    assert clicked["title"] == "3"
    assert site.url
