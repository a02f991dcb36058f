"""Names of keys and what they press."""

from __future__ import annotations

import pytest

from calotype.request.keys import PRINTABLE, Key, keystroke
from calotype.request.kinds import Refusal

ENTER = Key("Enter", "Enter", 13, "\r")
SMALL_A, LARGE_A = Key("a", "KeyA", 65, "a"), Key("A", "KeyA", 65, "A")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Enter", ENTER),
        ("ENTER", ENTER),
        ("return", ENTER),
        ("Esc", Key("Escape", "Escape", 27)),
        ("PageDown", Key("PageDown", "PageDown", 34)),
        ("up", Key("ArrowUp", "ArrowUp", 38)),
        ("F12", Key("F12", "F12", 123)),
        ("a", SMALL_A),
        ("A", LARGE_A),
        ("KeyA", SMALL_A),
        ("Digit7", Key("7", "Digit7", 55, "7")),
        ("&", Key("&", "Digit7", 55, "&")),
        (" ", Key(" ", "Space", 32, " ")),
        ("Space", Key(" ", "Space", 32, " ")),
        ("+", Key("+", "Equal", 187, "+")),
        ("é", Key("é", text="é")),
        ("日", Key("日", text="日")),
        ("Shift", Key("Shift", "ShiftLeft", 16)),
    ],
)
def test_a_key_alone(name: str, key: Key) -> None:
    stroke = keystroke(name)
    assert (stroke.modifiers, stroke.key) == ((), key)


@pytest.mark.parametrize(
    ("name", "held", "key"),
    [
        ("Control+A", ["Control"], SMALL_A),
        ("ctrl+a", ["Control"], SMALL_A),
        ("Shift+a", ["Shift"], LARGE_A),
        ("Control+Shift+a", ["Control", "Shift"], LARGE_A),
        ("Shift+1", ["Shift"], PRINTABLE["!"]),
        ("Cmd+Enter", ["Meta"], ENTER),
        ("Option+Tab", ["Alt"], Key("Tab", "Tab", 9)),
        ("Control++", ["Control"], PRINTABLE["+"]),
        ("Ctrl+Control+A", ["Control"], SMALL_A),
    ],
)
def test_with_modifiers(name: str, held: list[str], key: Key) -> None:
    stroke = keystroke(name)
    assert ([modifier.key for modifier in stroke.modifiers], stroke.key) == (held, key)


def test_every_printable_character_of_ascii_has_a_key() -> None:
    assert set(PRINTABLE) == {chr(code) for code in range(0x20, 0x7F)}
    assert all(key.key == key.text == text for text, key in PRINTABLE.items())


@pytest.mark.parametrize("name", ["", "Entre", "ab", "A+Control", "Hyper+A", "++", "Control+", "\n", "F25", "ß+ß"])
def test_what_is_no_key(name: str) -> None:
    with pytest.raises(Refusal):
        keystroke(name)
