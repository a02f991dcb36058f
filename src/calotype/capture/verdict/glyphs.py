"""Which characters the fonts of this machine are known to have: they do not change while the program runs."""

from __future__ import annotations

from collections.abc import Iterable

_MAX = 512  # a page can't make it grow for ever
_ENOUGH = 3
# A font that has some of these has them all, as far as pages use them.
_RANGES = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7A3))
# What every system's fonts have: Latin, Greek, Cyrillic, punctuation, currencies, letters, arrows, operators.
_COMMON = r"\u0000-\u052f\u2000-\u206f\u20a0-\u20bf\u2100-\u214f\u2190-\u2193\u2200-\u22ff\ufe00-\ufe0f"


class KnownGlyphs:
    """Learns from page to page what needs no look."""

    def __init__(self) -> None:
        self._codes: set[int] = set()
        self._pattern: str | None = None

    def learn(self, codes: Iterable[int]) -> None:
        """Note characters that were drawn without a font of the page."""
        before = len(self._codes)
        self._codes.update(list(codes)[: _MAX - before])
        if len(self._codes) != before:
            self._pattern = None

    @property
    def unknown(self) -> str:
        """A regular expression of JavaScript for a character that has to be looked at."""
        if self._pattern is None:
            ranges = [
                (low, high) for low, high in _RANGES if sum(low <= code <= high for code in self._codes) >= _ENOUGH
            ]
            single = [code for code in self._codes if not any(low <= code <= high for low, high in ranges)]
            known = [f"\\u{{{low:x}}}-\\u{{{high:x}}}" for low, high in ranges]
            known += [f"\\u{{{code:x}}}" for code in sorted(single)]
            self._pattern = f"[^{_COMMON}{''.join(known)}]"
        return self._pattern
