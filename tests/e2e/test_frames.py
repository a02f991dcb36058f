"""What is hidden, removed and masked is so in frames too: of the page's origin and of others, in frames in frames."""

from __future__ import annotations

from tests.site import blocks
from tests.site.pictures import pixel
from tests.site.server import Site

from .server_process import ServerProcess

BLACK = (0, 0, 0)
FIELDS = {"hide": [".hidden"], "remove": [".removed"], "mask": [".masked"]}


def test_it_holds_in_every_frame(either: ServerProcess, site: Site) -> None:
    other = site.url.replace("127.0.0.1", "localhost")
    frame = '<iframe src="{}" style="border: 0; display: block; width: 200px; height: 160px"></iframe>'
    nested = f"<body style='margin: 0'>{frame.format(other + '/fields/framed.html')}"
    framed = "".join(frame.format(f"{origin}/fields/framed.html") for origin in (site.url, other))
    around = nested.replace('"', "'")
    html = f"""<body style="margin: 0; background: #ffffff">{framed}
        <iframe srcdoc="{around}" style="border: 0; display: block; width: 200px; height: 160px"></iframe>
        <script>onload = () => setTimeout(() => {{
          document.querySelector("iframe").after(document.querySelector("iframe").cloneNode()); document.title = "late";
        }}, 100)</script>"""
    image, meta = either.picture(
        html=html, base_url=f"{site.url}/", format="png", render={"wait_for_function": "document.title"}, **FIELDS
    )
    for frame_top in (0, 160, 320, 480):
        got = [pixel(image, 100, frame_top + y) for y in (25, 75, 125)]
        assert got == [blocks.WHITE, BLACK, blocks.WHITE], frame_top
    assert meta["warnings"] == []


def test_a_busy_frame_keeps_nothing_up(isolating: ServerProcess, site: Site) -> None:
    """In a process of its own; the warning tells that nothing could be done in it."""
    other = site.url.replace("127.0.0.1", "localhost")
    html = f'<body style="margin: 0"><p class=masked>x</p><iframe src="{other}/fields/busy.html"></iframe>'
    render = {"delay_ms": 1000}  # by when it is in its loop
    _, meta = isolating.picture(html=html, base_url=f"{site.url}/", render=render, **FIELDS)
    assert "frame_not_reached" in {warning["code"] for warning in meta["warnings"]}
