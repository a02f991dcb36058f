"""Names of pictures: whatever the URL, inside the directory, and no two alike."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.cli.capturing.names import DEFAULT, harmless, has_placeholder, named
from calotype.cli.capturing.sources import Target, targets
from calotype.request import parse_body

TODAY = date(2030, 1, 31)


def target(url: str, number: int = 1, file: str | None = None) -> Target:
    return Target(number, url, {"url": url}, parse_body({"url": url}), file)


def test_what_placeholders_give() -> None:
    page = target("https://example.com:8443/docs/a b/?q=1", 7)
    assert named([page], DEFAULT, TODAY) == [Path("0007-example.com-docs-a-20b-q-1.jpeg")]
    assert named([page], "shots/{date}/{host}.{format}", TODAY) == [Path("shots/2030-01-31/example.com.jpeg")]
    assert named([target("https://example.com")], "{path}", TODAY) == [Path("index")]


def test_no_two_are_alike() -> None:
    pages = [target("https://example.com", number) for number in (1, 2, 3)]
    assert [path.name for path in named(pages, "{host}.png", TODAY)] == [
        "example.com.png",
        "example.com-2.png",
        "example.com-3.png",
    ]


@given(st.text(), st.text(), st.text())
def test_no_page_leads_out_of_the_directory(host: str, path: str, query: str) -> None:
    for text in (host, path, query):
        name = harmless(text)
        assert len(name) <= 80
        assert not name.startswith(".")
        assert not set(name) & set("/\\\0:%")


@pytest.mark.parametrize("pattern", ["{no}", "{", "{n:x.y}", "{0}", "{n.a.b}"])
def test_a_wrong_pattern_is_said(pattern: str) -> None:
    with pytest.raises(click.UsageError, match="Placeholders"):
        named([target("https://example.com")], pattern, TODAY)


@pytest.mark.parametrize("file", ["/etc/passwd", "../x.png", "a/../../x", "", "a\0b"])
def test_a_list_names_files_below_only(file: str) -> None:
    with pytest.raises(click.UsageError):
        named([target("https://example.com", file=file)], DEFAULT, TODAY)


def test_has_placeholder() -> None:
    assert has_placeholder("{n}.png")
    assert not has_placeholder("a{{n}}.png")


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(
        '# mine\nexample.com\n\n{"url": "https://example.org", "file": "org.png", "viewport": {"width": 500}}\n'
    )
    (tmp_path / "list.json").write_text('["https://example.net", {"html": "<p>x", "file": "x.png"}]')
    (tmp_path / "page.html").write_text("<h1>Own</h1>")
    lists = [tmp_path / "lines", tmp_path / "list.json"]
    found = targets([str(tmp_path / "page.html")], lists, {"format": "png", "viewport": {"scale": 2.0}})
    assert [each.number for each in found] == [1, 2, 3, 4, 5]
    assert [each.parsed.request.url for each in found] == [
        None,
        "https://example.com/",
        "https://example.org/",
        "https://example.net/",
        None,
    ]
    assert [each.file for each in found] == [None, None, "org.png", None, "x.png"]
    assert {each.parsed.request.format for each in found} == {"png"}
    assert (found[2].parsed.request.viewport.width, found[2].parsed.request.viewport.scale) == (500, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("example.com\n{oops\n", "line 2: not JSON"),
        ('[{"url": 5}]', "entry 1: "),
        ("[1", "not a JSON list"),
        ('{"url": "https://example.com", "widht": 5}', "line 1: "),
        ('{"url": "https://example.com", "file": 5}', "`file`"),
    ],
)
def test_a_mistake_in_a_list_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(click.ClickException, match=said):
        targets([], [tmp_path / "list"], {})
