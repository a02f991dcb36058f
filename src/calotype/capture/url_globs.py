"""`block.urls`: patterns for whole URLs as Chromium writes them, in which `*` stands for any characters.

Both sides are strangers': the caller's pattern and the page's URL, which may have 2 MB. Whatever they are, matching
takes time in proportion to the length of the URL; a regular expression would take its power by the number of `*`.
"""

from __future__ import annotations

from collections.abc import Iterable

_SCHEMES = ("http", "https", "ws", "wss")


def whole_url_globs(patterns: Iterable[str]) -> list[str]:
    """Complete the patterns: each gets a scheme, unless it begins with `*`, and a host alone means everything there."""
    found: dict[str, None] = {}
    for given in patterns:
        scheme, separator, rest = given.partition("://")
        if not separator and given.startswith("*"):
            found[given] = None
            continue
        if not separator:
            scheme, rest = "*", given
        host, slash, path = rest.partition("/")
        schemes = _SCHEMES if scheme == "*" else (scheme.lower(),)
        tail = f"{slash}{path}" if slash else "" if host.endswith("*") else "/*"
        found |= dict.fromkeys(f"{each}://{host.lower()}{tail}" for each in schemes)
    return list(found)


class UrlGlobs:
    """Tells whether a URL matches any of the completed patterns."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._parts = [glob.split("*") for glob in globs]

    def match(self, url: str) -> bool:
        return any(_matches(parts, url) for parts in self._parts)


def _matches(parts: list[str], url: str) -> bool:
    """Each part is taken where it comes first: what comes after it can only have more room."""
    if len(parts) == 1:
        return url == parts[0]
    first, *between, last = parts
    place, end = len(first), len(url) - len(last)
    if end < place or not url.startswith(first) or not url.endswith(last):
        return False
    for part in between:
        place = url.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
