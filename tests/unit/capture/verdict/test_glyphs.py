"""What is known of the machine's fonts."""

from __future__ import annotations

import re

from calotype.capture.verdict.glyphs import KnownGlyphs


def is_unknown(glyphs: KnownGlyphs, character: str) -> bool:
    pattern = re.sub(r"\\u\{(\w+)\}", lambda match: f"\\U{int(match[1], 16):08x}", glyphs.unknown)
    return re.search(pattern, character) is not None


def test_learns_what_was_seen() -> None:
    glyphs = KnownGlyphs()
    assert [is_unknown(glyphs, character) for character in "aé€Жλ✓漢😀"] == [False] * 5 + [True] * 3
    glyphs.learn([ord("✓"), ord("漢")])
    assert [is_unknown(glyphs, character) for character in "✓漢字😀"] == [False, False, True, True]
    glyphs.learn([ord("字"), ord("語")])
    assert [is_unknown(glyphs, character) for character in "文한"] == [False, True]


def test_does_not_grow_for_ever() -> None:
    glyphs = KnownGlyphs()
    for start in range(0x10000, 0x20000, 0x100):
        glyphs.learn(range(start, start + 0x100))
    assert len(glyphs.unknown) < 10_000
