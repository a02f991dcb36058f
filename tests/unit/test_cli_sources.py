"""What a list of pages says of each picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calotype.cli.capturing.sources import targets


@pytest.mark.parametrize(
    ("entry", "format_"),
    [
        ({"file": "one.png"}, "png"),
        ({"file": "one.JPG"}, "jpeg"),
        ({"file": "one.png", "format": "webp"}, "webp"),
        ({"file": "one"}, "avif"),
        ({}, "avif"),
    ],
)
def test_the_name_that_an_entry_gives_its_picture_names_the_format(
    tmp_path: Path, entry: dict[str, str], format_: str
) -> None:
    pages = tmp_path / "pages.jsonl"
    pages.write_text(json.dumps({"url": "https://example.com", **entry}))
    (target,) = targets([], [pages], {"format": "avif"})
    assert target.parsed.request.format == format_
