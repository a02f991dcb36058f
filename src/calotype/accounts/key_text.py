"""The text of a key: `calo_<id>_<secret>`."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_CHARS = 8
_SECRET_CHARS = 43  # of 62 characters each: 256 bits
_ID = re.compile(rf"[0-9A-Za-z]{{{_ID_CHARS}}}")
_START = re.compile(r"\s*calo_([0-9A-Za-z]+)")
_KEY = re.compile(rf"calo_([0-9A-Za-z]{{{_ID_CHARS}}})_([0-9A-Za-z]{{{_SECRET_CHARS}}})")


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key taken apart."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def whole(self) -> str:
        return f"calo_{self.key_id}_{self.secret}"


def random_key() -> KeyText:
    return KeyText(_random(_ID_CHARS), _random(_SECRET_CHARS))


def read_key(text: str) -> KeyText | None:
    """Take a key apart; None if the text can't be one."""
    match = _KEY.fullmatch(text)
    return KeyText(match[1], match[2]) if match else None


def key_id_in(text: str) -> str:
    """The id of a key, given as such or as the key, be it cut short."""
    match = _START.match(text)
    return match[1] if match else text


def is_key_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
