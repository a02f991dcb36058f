"""Where each picture goes: a pattern such as `shots/{n:04}-{host}-{path}.{format}`.

Placeholders take only what is harmless in a file name, so that no URL can lead out of the directory of the pattern.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from datetime import date
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import click

from calotype.cli.capturing.sources import Target

DEFAULT = "{n:04}-{host}-{path}.{format}"
PLACEHOLDERS = {
    "n": "number in the list, from 1",
    "host": "host of the URL",
    "path": "path and query of the URL",
    "format": "jpeg, png, …",
    "date": "today, as 2030-01-31",
}
_HARMLESS = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_CHARS = 80  # of a placeholder: names have 255 bytes, and several placeholders
_FORMATTER = string.Formatter()


def has_placeholder(pattern: str) -> bool:
    return any(name is not None for _, name, _, _ in _FORMATTER.parse(pattern))


def named(targets: Iterable[Target], pattern: str, today: date) -> list[Path]:
    """Return a name for each, no two alike. The same list and pattern give the same names, so that a run can go on.

    Raises:
        click.UsageError: the pattern is none.
    """
    taken: set[Path] = set()
    names: list[Path] = []
    for target in targets:
        path = _of_list(target.file) if target.file is not None else Path(_filled(pattern, target, today))
        free, again = path, 1
        while free in taken:
            again += 1
            free = path.with_name(f"{path.stem}-{again}{path.suffix}")
        taken.add(free)
        names.append(free)
    return names


def _of_list(file: str) -> Path:
    name = PurePosixPath(file)
    if name.is_absolute() or ".." in name.parts or not name.name or "\0" in file:
        raise click.UsageError(f"`file` must be a relative name without `..`, not {file!r}.")
    return Path(name)


def _filled(pattern: str, target: Target, today: date) -> str:
    request = target.parsed.request
    parts = urlsplit(request.url or "")
    values = {
        "n": target.number,
        "host": harmless(parts.hostname or Path(target.page).stem),
        "path": harmless("-".join(filter(None, (parts.path.strip("/"), parts.query)))) or "index",
        "format": request.format,
        "date": today.isoformat(),
    }
    try:
        return _FORMATTER.vformat(pattern, (), values)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise click.UsageError(f"-o {pattern!r}: {error}. Placeholders: {known}.") from error


def harmless(text: str) -> str:
    """The text as part of a file name."""
    return _HARMLESS.sub("-", text)[:_MOST_CHARS].strip(".-")
