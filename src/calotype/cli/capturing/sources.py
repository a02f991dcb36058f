"""What is to be captured: arguments, files with lists, standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click

from calotype.errors import CalotypeError
from calotype.request import ParsedRequest, parse_body

_MARKUP = {".html", ".htm", ".xhtml"}
_FILE = "file"
FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".avif": "avif", ".pdf": "pdf"}
"""What a file name's suffix asks for."""


@dataclass(frozen=True, slots=True)
class Target:
    """One picture to make."""

    number: int
    """From 1."""
    page: str
    """Its URL, or the file with its markup, for people."""
    body: Mapping[str, Any] = field(repr=False)
    """The request in JSON form."""
    parsed: ParsedRequest = field(repr=False)
    file: str | None = None
    """The name that the list gives it."""


def targets(pages: Sequence[str], lists: Sequence[Path], common: Mapping[str, Any]) -> list[Target]:
    """Read everything before the first capture, so that a mistake in line 400 is said at once.

    Args:
        pages: URLs, files with markup, `-` for a list on standard input.
        common: fields of every request, which those of a list's entry go before.

    Raises:
        click.ClickException: names the place and what is wrong there.
    """
    found: list[Target] = []
    for place, entry in _entries(pages, lists, has_markup="html" in common):
        own = dict(entry)
        file = own.pop(_FILE, None)
        if file is not None and not isinstance(file, str):
            raise click.ClickException(f"{place}`file` must be a name.")
        if "format" not in own and file is not None and (format_ := FORMATS.get(Path(file).suffix.lower())):
            own["format"] = format_
        body = _merged(common, own)
        try:
            parsed = parse_body(body, strict=True)
        except CalotypeError as error:
            raise click.ClickException(f"{place}{error.message}") from error
        page = str(parsed.request.url or own.get("base_url") or place.removesuffix(": ") or "markup")
        found.append(Target(len(found) + 1, page, body, parsed, file))
    return found


def _entries(
    pages: Sequence[str], lists: Sequence[Path], *, has_markup: bool
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if has_markup and not (pages or lists):
        yield "", {}
    for page in pages:
        if page == "-":
            yield from _listed("standard input", sys.stdin.read())
        elif Path(page).suffix.lower() in _MARKUP and Path(page).is_file():
            yield f"{page}: ", {"html": _text(Path(page))}
        else:
            yield "", {"url": page}
    for path in lists:
        yield from _listed(str(path), _text(path))


def _listed(name: str, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A JSON list, or an entry a line: a URL or a JSON object. Empty lines and those that begin with `#` are left."""
    if text.lstrip().startswith("["):
        try:
            entries = json.loads(text)
        except ValueError as error:
            raise click.ClickException(f"{name}: not a JSON list: {error}") from error
        for number, entry in enumerate(entries, start=1):
            yield f"{name}, entry {number}: ", _entry(entry)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        place = f"{name}, line {number}: "
        try:
            yield place, _entry(json.loads(line) if line.startswith("{") else line)
        except ValueError as error:
            raise click.ClickException(f"{place}not JSON: {error}") from error


def _entry(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {"url": value}


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(common)
    for name, value in own.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            value = _merged(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", value))
        merged[name] = value
    return merged


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"Can't read {path}: {error}") from error
