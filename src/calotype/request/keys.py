"""Names of keys, as `press` takes them, and what a keyboard with the US layout says when they are pressed.

A name is that of `KeyboardEvent.key` (`Enter`, `a`, `é`) or `KeyboardEvent.code` (`KeyA`, `Digit1`) or a usual short
form (`Esc`, `Up`), in any case; modifiers stand before it, joined by `+`: `Control+Shift+K`.
https://www.w3.org/TR/uievents-key/, https://www.w3.org/TR/uievents-code/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from calotype.request.kinds import Refusal


@dataclass(frozen=True, slots=True)
class Key:
    """`code` names the place on the keyboard, `key_code` is `KeyboardEvent.keyCode`, `text` what it writes."""

    key: str
    code: str = ""
    key_code: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Keystroke:
    """A key and the modifiers held meanwhile, in the order they go down."""

    modifiers: tuple[Key, ...]
    key: Key


_MODIFIERS = {
    "alt": Key("Alt", "AltLeft", 18),
    "control": Key("Control", "ControlLeft", 17),
    "meta": Key("Meta", "MetaLeft", 91),
    "shift": Key("Shift", "ShiftLeft", 16),
}
_NAMED = (
    *_MODIFIERS.values(),
    Key("Enter", "Enter", 13, "\r"),
    Key("Tab", "Tab", 9),
    Key("Escape", "Escape", 27),
    Key("Backspace", "Backspace", 8),
    Key("Delete", "Delete", 46),
    Key("Insert", "Insert", 45),
    Key("Home", "Home", 36),
    Key("End", "End", 35),
    Key("PageUp", "PageUp", 33),
    Key("PageDown", "PageDown", 34),
    Key("ArrowLeft", "ArrowLeft", 37),
    Key("ArrowUp", "ArrowUp", 38),
    Key("ArrowRight", "ArrowRight", 39),
    Key("ArrowDown", "ArrowDown", 40),
    Key("CapsLock", "CapsLock", 20),
    Key("ContextMenu", "ContextMenu", 93),
    *(Key(f"F{number}", f"F{number}", 111 + number) for number in range(1, 25)),
)
_SHORT = {
    "ctrl": "control",
    "controlormeta": "control",
    "cmd": "meta",
    "command": "meta",
    "option": "alt",
    "return": "enter",
    "esc": "escape",
    "del": "delete",
    "left": "arrowleft",
    "up": "arrowup",
    "right": "arrowright",
    "down": "arrowdown",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "spacebar": "space",
}
# Each row: the places, their key codes, what they write, and what they write with Shift.
_PUNCTUATION = (
    ("Backquote", 192, "`", "~"),
    ("Minus", 189, "-", "_"),
    ("Equal", 187, "=", "+"),
    ("BracketLeft", 219, "[", "{"),
    ("BracketRight", 221, "]", "}"),
    ("Backslash", 220, "\\", "|"),
    ("Semicolon", 186, ";", ":"),
    ("Quote", 222, "'", '"'),
    ("Comma", 188, ",", "<"),
    ("Period", 190, ".", ">"),
    ("Slash", 191, "/", "?"),
    ("Space", 32, " ", " "),
)


def _places() -> Iterator[tuple[str, int, str, str]]:
    yield from _PUNCTUATION
    for letter in "abcdefghijklmnopqrstuvwxyz":
        yield f"Key{letter.upper()}", ord(letter.upper()), letter, letter.upper()
    for digit, shifted in zip("0123456789", ")!@#$%^&*(", strict=True):
        yield f"Digit{digit}", ord(digit), digit, shifted


PRINTABLE = {
    text: Key(text, code, key_code, text) for code, key_code, *texts in _places() for text in (texts[1], texts[0])
}
"""The key that writes each printable ASCII character."""
_BY_NAME = {
    **{code.lower(): PRINTABLE[text] for code, _, text, _ in _places()},
    **{key.key.lower(): key for key in _NAMED},
}
ENTER = _BY_NAME["enter"]


def keystroke(text: str) -> Keystroke:
    """Read a name such as `Enter` or `Control+A`.

    Raises:
        Refusal: it is no key's name.
    """
    *held, name = _parts(text)
    modifiers: list[Key] = []
    for each in held:
        modifier = _MODIFIERS.get(_SHORT.get(each.lower(), each.lower()))
        if modifier is None:
            raise Refusal("must have only Alt, Control, Meta and Shift before the last `+`")
        if modifier not in modifiers:
            modifiers.append(modifier)
    return Keystroke(tuple(modifiers), _with_shift(_key(name), modifiers))


def _parts(text: str) -> list[str]:
    """Split at `+`, which is also a key: `Control++` and `+` end with it."""
    if text == "+":
        return ["+"]
    return [*text[:-2].split("+"), "+"] if text.endswith("++") else text.split("+")


def _key(name: str) -> Key:
    if name in PRINTABLE:
        return PRINTABLE[name]
    lower = name.strip().lower()
    if (known := _BY_NAME.get(_SHORT.get(lower, lower))) is not None:
        return known
    if len(name) == 1 and name.isprintable():
        return Key(name, text=name)
    raise Refusal("must be a key's name such as Enter, Tab, ArrowDown, F5, a or Control+A")


def _with_shift(key: Key, modifiers: list[Key]) -> Key:
    """What the key writes with Shift, and the letter it has without."""
    if key.code == "" or PRINTABLE.get(key.text) != key:
        return key
    held = {modifier.key for modifier in modifiers}
    for code, _, plain, shifted in _places():
        if code == key.code and "Shift" in held:
            return PRINTABLE[shifted]
        if code == key.code and held and key.text == shifted and plain.isalpha():
            return PRINTABLE[plain]  # everybody writes Control+A and means the key, without Shift
    return key
