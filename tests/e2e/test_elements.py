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
