"""Errors and warnings as clients read them: which field, what is wrong with it, what would be right.

Turns pydantic's errors into the contract's `details`, and finds the known name nearest to an unknown one. Values never
appear in here: they may be cookies, headers or passwords.
"""

from __future__ import annotations

import difflib
import functools
import typing
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_core import ErrorDetails

from calotype.errors import Detail
from calotype.request.actions import ACTION_TYPES
from calotype.request.kinds import Part, Refusal
from calotype.request.model import CaptureRequest

Loc = tuple[int | str, ...]

NAME_MAX_CHARS = 64
"""Of a name that came from the client and is echoed or compared."""
_FIELDS_NAMED = 10

_SHAPES = {
    "render": 'must be true, false or an object such as {"wait_until": "load"}',
    "render.wait_for": "must be a CSS selector or an object with selector and state",
    "cookies": 'must be a list of objects, a string such as "a=b; c=d", or an object of names and values',
    "headers": "must be an object of names and values, or a list of objects with name, value and origins",
    "css": "must be a string or a list of strings",
    "js": "must be a string or a list of strings",
}
_MESSAGES = {
    "int_type": ("wrong_type", "must be a whole number"),
    "int_from_float": ("wrong_type", "must be a whole number"),
    "float_type": ("wrong_type", "must be a number"),
    "bool_type": ("wrong_type", "must be true or false"),
    "string_type": ("wrong_type", "must be a string"),
    "string_too_short": ("missing", "must not be empty"),
    "string_too_long": ("too_long", "must be at most {max_length} characters long"),
    "too_long": ("too_long", "must have at most {max_length} entries"),
    "missing": ("missing", "is required"),
    "model_type": ("wrong_type", "must be an object"),
    "model_attributes_type": ("wrong_type", "must be an object"),
    "dict_type": ("wrong_type", "must be an object"),
    "tuple_type": ("wrong_type", "must be a list"),
    "union_tag_not_found": ("missing", "needs a type, one of {names}"),
    "union_tag_invalid": ("invalid_value", "must have a type that is one of {names}"),
    "string_pattern_mismatch": ("invalid_value", "must be 1 to 250 letters, digits, dots, hyphens and underscores"),
}
_BASE_WORDS = {"tuple_type", "model_type", "model_attributes_type", "dict_type"}


def detail(field: str, message: str, kind: str, parameters: Mapping[str, str] | None = None) -> Detail:
    """Make an entry of `details`; `parameters` says by which query parameter a field was given, if by one."""
    parameter = _parameter_of(field, parameters or {})
    is_own = parameter is not None and parameters is not None and parameters.get(field) == parameter
    named = parameter if is_own and not field.startswith(f"{parameter}.") else field
    entry: Detail = {"field": field, "message": f"{f'`{named}`' if named else 'The request'} {message}.", "type": kind}
    return entry if parameter is None else {**entry, "parameter": parameter}


def detail_of(error: ErrorDetails, body: Mapping[str, Any], parameters: Mapping[str, str]) -> Detail:
    """Put an error of pydantic's into our words."""
    field = ".".join(map(str, _readable(error["loc"], body)))
    kind, message = _say(error, field)
    return detail(field, message, kind, parameters)


def _say(error: ErrorDetails, field: str) -> tuple[str, str]:
    name, context = error["type"], error.get("ctx", {})
    if isinstance(refusal := context.get("error"), Refusal):
        return refusal.kind, refusal.message
    if name in _BASE_WORDS and field in _SHAPES:
        return "wrong_type", _SHAPES[field]
    if name == "literal_error":
        return "invalid_value", f"must be one of {str(context['expected']).replace(' or ', ', ').replace(chr(39), '')}"
    if name in _MESSAGES:
        kind, message = _MESSAGES[name]
        return kind, message.format_map({"names": ", ".join(ACTION_TYPES), **context})
    return "invalid_value", "is not valid"  # a kind of error that no field makes today


def _readable(loc: Loc, body: Mapping[str, Any]) -> Loc:
    """Drop what only pydantic put into a path, and name a header or cookie given as a mapping by its name."""
    loc = _without_tags(loc)
    given = body.get(str(loc[0])) if loc else None
    if (
        loc
        and loc[0] in {"headers", "cookies"}
        and isinstance(given, Mapping)
        and len(loc) > 1
        and isinstance(loc[1], int)
    ):
        return (loc[0], shorten(str(list(cast("Mapping[Any, Any]", given))[loc[1]])))
    return loc


def _without_tags(loc: Loc) -> Loc:
    return (*loc[:2], *loc[3:]) if loc[:1] == ("actions",) and len(loc) > 2 else loc


def _parameter_of(field: str, parameters: Mapping[str, str]) -> str | None:
    path = field
    while path:
        if path in parameters:
            return parameters[path]
        path = path.rpartition(".")[0]
    return None


def shorten(name: str) -> str:
    """Cut a client's name to a length that is fit to be echoed."""
    return name if len(name) <= NAME_MAX_CHARS else f"{name[:NAME_MAX_CHARS]}…"


def nearest(name: str, known: Mapping[str, str]) -> str | None:
    """Return what `known` has for the name that was probably meant, if there is one."""
    if len(name) > NAME_MAX_CHARS:
        return None
    by_letters = {_letters(each): each for each in known}
    meant = by_letters.get(_letters(name))
    if meant is None:
        found = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
        meant = found[0] if found else None
    return None if meant is None else known[meant]


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def unknown(loc: Loc, flat_names: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the dotted path of an unknown name, and the known path it was probably meant to be."""
    parents, name = _without_tags(loc)[:-1], str(loc[-1])
    prefix = "".join(f"{part}." for part in parents)
    known = {each: f"{prefix}{each}" for each in _names_at(loc[:-1])}
    if not parents:
        known = {**flat_names, **known}
    return f"{prefix}{shorten(name)}", nearest(name, known)


@functools.lru_cache(maxsize=256)
def _names_at(loc: Loc) -> tuple[str, ...]:
    """The names an object at this place may have."""
    model: type[Part] | None = CaptureRequest
    for part in loc:
        if isinstance(part, str) and model is not None:
            field = model.model_fields.get(part)
            model = part_in(field.annotation) if field else None
        if part == "actions":
            model = ACTION_TYPES.get(str(loc[2])) if len(loc) > 2 else None
            break
    return tuple(model.model_fields) if model else ()


def part_in(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next(filter(None, map(part_in, typing.get_args(annotation))), None)


def summary(details: Sequence[Detail]) -> str:
    """Say in a sentence or two what is wrong."""
    if len(details) == 1:
        return str(details[0]["message"])
    fields = list(dict.fromkeys(str(entry["field"]) for entry in details if entry["field"]))
    more = ", …" if len(fields) > _FIELDS_NAMED else ""
    return (
        f"Several fields are wrong: {', '.join(fields[:_FIELDS_NAMED])}{more}. `details` says what is wrong with each."
    )
