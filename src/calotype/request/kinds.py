"""The kinds of value that request fields are made of: numbers within bounds, texts, lists, secrets.

Types are strict (`"yes"` is no boolean, `"5"` no number), with JSON's own idea of an integer: `400.0` is one. What a
kind refuses it refuses with a `Refusal`, whose message is the end of a sentence that begins with the field's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    SecretStr,
    Strict,
    StringConstraints,
)
from pydantic_core import CoreSchema, core_schema

SELECTOR_MAX_CHARS = 2_048
SCRIPT_MAX_CHARS = 65_536
LIST_MAX_ENTRIES = 100

_T = TypeVar("_T")


class Refusal(ValueError):
    """Why a value is not accepted. Never contains the value itself where that may be a secret."""

    def __init__(self, message: str, kind: str = "invalid_value") -> None:
        self.message = message
        self.kind = kind
        super().__init__(message)


class Part(BaseModel):
    """Base of every object in a request: frozen, strict, and unknown names are left out (the parser warns of them)."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


@dataclass(frozen=True)
class Between:
    """Bounds, both included, that are named together when a number is outside."""

    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounded = core_schema.no_info_after_validator_function(self._check, handler(source))
        return core_schema.no_info_before_validator_function(_whole if source is int else _finite, bounded)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "minimum": self.low, "maximum": self.high}

    def _check(self, value: float) -> float:
        if not self.low <= value <= self.high:  # NaN is not between anything
            raise Refusal(f"must be between {self.low} and {self.high}", "out_of_bounds")
        return value + 0  # -0.0 becomes 0.0, so that equal requests have equal JSON


def _whole(value: Any) -> Any:
    """Take `400.0` for the integer it is (JSON has no other way of telling, and some clients write it)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _finite(value: Any) -> Any:
    """Take an integer that no float can hold for infinity: a number, and out of any bounds."""
    try:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    except OverflowError:
        return math.inf


def not_empty(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Refuse an empty list. (pydantic's `min_length` also complains when the entries are wrong.)"""
    if not values:
        raise Refusal("must have at least one entry", "missing")
    return values


def max_bytes(limit: int) -> Callable[[str], str]:
    """Make a check of a text's length in UTF-8."""

    def check(value: str) -> str:
        size = len(value.encode())
        if size > limit:
            raise Refusal(f"must be at most {limit} bytes in UTF-8; these are {size}", "too_long")
        return value

    return check


def max_chars(limit: int) -> Callable[[str], str]:
    """Make a check of a text's length, for secrets: pydantic counts those as lists."""

    def check(value: str) -> str:
        if len(value) > limit:
            raise Refusal(f"must be at most {limit} characters long", "too_long")
        return value

    return check


def has_control(text: str) -> bool:
    """Whether CR, LF, NUL or another ASCII control character (tab aside) is in the text."""
    return any((char < " " and char != "\t") or char == "\x7f" for char in text)


def _reveal(secret: SecretStr) -> str:
    return secret.get_secret_value()


Items = Annotated[tuple[_T, ...], Strict(False)]
"""A list, kept as a tuple. Only the list itself is not strict: a strict tuple would refuse JSON arrays."""

Selector = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=SELECTOR_MAX_CHARS)]
Script = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=SCRIPT_MAX_CHARS)]

Secret = Annotated[SecretStr, PlainSerializer(_reveal, return_type=str, when_used="json")]
"""Hidden in `repr`, logs and errors; in plain in JSON, because a stored request must still work."""


def secret(check: Callable[[str], str]) -> AfterValidator:
    """Make a validator of a secret's text."""
    return AfterValidator(lambda value: SecretStr(check(value.get_secret_value())))
