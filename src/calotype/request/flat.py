"""The flat form of a request: the query parameters of `GET /v1/screenshot`.

One rule names the parameters. A field keeps its name; the fields of `viewport` and `render` are written bare (`width`,
`delay_ms`), those of every other object with the object's name before them (`resize_width`, `block_ads`). An object can
be given as JSON too. Readers only turn text into JSON's types; whatever they can't read goes on as it is, and the model
says what is wrong with it.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast

from pydantic import SecretStr

from calotype.request.kinds import Part
from calotype.request.model import CaptureRequest, spell_format
from calotype.request.rules import Finding

BARE = frozenset({"viewport", "render"})
ALIASES = {"capture_full_page": "full_page", "css_injection": "css", "export_format": "format", "delay": "delay_ms"}
"""Legacy names, and the parameter that each means."""
PARAMETERS_MAX = 1_000

_DELAY_SECONDS_MAX = 30
"""A legacy `delay` up to here is seconds, above it milliseconds (the services it comes from disagree)."""
_WORDS: dict[str, bool] = {
    **dict.fromkeys(("", "true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_NUMBER = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})(e[+-]?[0-9]{1,2})?", re.IGNORECASE)
_OPENING, _CLOSING = "([{", ")]}"

Path = tuple[str, ...]


class _Unreadable(ValueError):
    """Text that can't be what its parameter needs; the message follows the parameter's name."""


@dataclass(frozen=True, slots=True)
class FlatField:
    """A parameter: where in the request it goes, and how its values are read. `repeats`: it may be given again."""

    path: Path
    read: Callable[[list[str]], Any]
    repeats: bool = False


@dataclass(slots=True)
class Flat:
    """What a query says: the JSON form of it, and what is not part of that. `parameters`: field to parameter name."""

    body: dict[str, Any] = field(default_factory=dict[str, Any])
    parameters: dict[str, str] = field(default_factory=dict[str, str])
    findings: list[Finding] = field(default_factory=list[Finding])
    unknown: list[str] = field(default_factory=list[str])
    api_key: str | None = None
    response: Literal["image", "json"] = "image"


def unflatten(items: Iterable[tuple[str, str]]) -> Flat:
    """Gather query parameters into the JSON form. Never raises: what is wrong is in `findings`."""
    flat = Flat()
    given: dict[str, list[str]] = {}
    for count, (name, value) in enumerate(items):
        if count == PARAMETERS_MAX:
            flat.findings.append(Finding("", f"has more than {PARAMETERS_MAX} parameters", kind="too_long"))
            break
        given.setdefault(name, []).append(value)
    _take_own(flat, given)
    for name, values in given.items():
        known = FLAT_FIELDS.get(name)
        if known is None:
            flat.unknown.append(name)
        else:
            _take(flat, name, known, values)
    return flat


def _take_own(flat: Flat, given: dict[str, list[str]]) -> None:
    """Take the parameters that are not about the picture."""
    for name in ("api_key", "response"):
        values = given.pop(name, [])
        if len(values) > 1:
            flat.findings.append(_once(name))
        elif values and name == "api_key":
            flat.api_key = values[0]
        elif values and values[0] in {"image", "json"}:
            flat.response = cast("Literal['image', 'json']", values[0])
        elif values:
            flat.findings.append(Finding(name, "must be one of image, json", kind="invalid_value"))


def _take(flat: Flat, name: str, known: FlatField, values: list[str]) -> None:
    path = ".".join(known.path)
    if len(values) > 1 and not known.repeats:
        flat.parameters.setdefault(path, name)
        flat.findings.append(_once(path))
        return
    try:
        value = known.read(values)
    except _Unreadable as error:
        flat.parameters.setdefault(path, name)
        flat.findings.append(Finding(path, str(error), kind="invalid_value"))
        return
    for full_path, leaf in _leaves(known.path, value):
        _put(flat, name, full_path, leaf)


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """Take an object apart, so that `viewport={…}` and `width=…` can be given together."""
    if path[0] in _SECTIONS and len(path) == 1 and isinstance(value, dict) and value:
        for name, content in cast("dict[str, Any]", value).items():
            yield (*path, name), content
    else:
        yield path, value


def _put(flat: Flat, name: str, path: Path, value: Any) -> None:
    *parents, leaf = path
    place = flat.body
    for parent in parents:
        inside = place.setdefault(parent, {})
        if not isinstance(inside, dict):
            return  # what stands there is no object and is reported as such
        place = cast("dict[str, Any]", inside)
    dotted = ".".join(path)
    if path[0] in _SECTIONS and isinstance(flat.body.get(dotted), dict):
        if value != {}:  # no object: kept, so that it is reported
            flat.body[dotted] = value
    elif leaf in place and place[leaf] != value:
        flat.findings.append(Finding(dotted, f"and `{name}` disagree; send one of them"))
    else:
        place[leaf] = value
        flat.parameters.setdefault(dotted, name)


def _once(name: str) -> Finding:
    return Finding(name, "must be given once only")


def _text(values: list[str]) -> Any:
    return values[0]


def _boolean(values: list[str]) -> Any:
    return _WORDS.get(values[0].strip().lower(), values[0])


def _number(values: list[str]) -> Any:
    text = values[0].strip()
    if not _NUMBER.fullmatch(text):
        return values[0]
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _legacy_delay(values: list[str]) -> Any:
    number = _number(values)
    if isinstance(number, str):
        return number
    return round(number * 1000) if 0 <= number <= _DELAY_SECONDS_MAX else number


def _texts(values: list[str]) -> Any:
    return values


def _list(values: list[str]) -> Any:
    return [entry for value in values for entry in _entries(value)]


def _entries(value: str) -> list[Any]:
    if value.lstrip().startswith("["):  # a JSON list, or an attribute selector, which is never JSON
        try:
            return cast("list[Any]", _json(value))
        except _Unreadable:
            pass
    return split_list(value)


def split_list(text: str) -> list[str]:
    """Split at commas that are outside quotes and brackets: entries may be CSS selectors or globs."""
    entries, depth, quote, start = list[str](), 0, "", 0
    for index, char in enumerate(text):
        if text[index - 1 : index] == "\\":
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth = max(0, depth - 1)
        elif char == "," and not depth:
            entries.append(text[start:index])
            start = index + 1
    return [stripped for entry in (*entries, text[start:]) if (stripped := entry.strip())]


def _object(values: list[str]) -> Any:
    return _json(values[0]) if values[0].lstrip()[:1] in {"{", "["} else values[0]


def _switch_or_object(values: list[str]) -> Any:
    if values[0].lstrip()[:1] == "{":
        return _object(values)
    switch = _boolean(values)
    return {"javascript": switch} if isinstance(switch, bool) else switch


def _text_or_object(values: list[str]) -> Any:
    return _object(values) if values[0].lstrip()[:1] == "{" else values[0]


def _format(values: list[str]) -> Any:
    return spell_format(values[0])


def _cookies(values: list[str]) -> Any:
    return _object(values) if len(values) == 1 else "; ".join(values)


def _headers(values: list[str]) -> Any:
    if len(values) == 1 and values[0].lstrip()[:1] in {"{", "["}:
        return _json(values[0])
    rules: list[dict[str, str]] = []
    for value in values:
        name, colon, content = value.partition(":")
        if not colon:
            raise _Unreadable("must look like `Name: value`, and can be repeated")
        rules.append({"name": name.strip(), "value": content})
    return rules


def _clip(values: list[str]) -> Any:
    parts = values[0].split(",")
    if values[0].lstrip()[:1] == "{":
        return _json(values[0])
    if len(parts) != 4:
        raise _Unreadable("must be four numbers: clip=x,y,width,height")
    return dict(zip(("x", "y", "width", "height"), (_number([part]) for part in parts), strict=True))


def _json(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)  # NaN and Infinity are not JSON

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise _Unreadable("begins like JSON but can't be read as JSON") from None


_BY_TYPE: dict[Any, Callable[[list[str]], Any]] = {
    bool: _boolean,
    int: _number,
    float: _number,
    str: _text,
    SecretStr: _text,
}
_SPECIAL = {
    "format": FlatField(("format",), _format),
    "clip": FlatField(("clip",), _clip),
    "render": FlatField(("render",), _switch_or_object),
    "wait_for": FlatField(("render", "wait_for"), _text_or_object),
    "media_reduced_motion": FlatField(("media", "reduced_motion"), _boolean),
    "media_forced_colors": FlatField(("media", "forced_colors"), _boolean),
    "actions": FlatField(("actions",), _object),
    "css": FlatField(("css",), _texts, repeats=True),
    "js": FlatField(("js",), _texts, repeats=True),
    "cookies": FlatField(("cookies",), _cookies, repeats=True),
    "headers": FlatField(("headers",), _headers, repeats=True),
}


def _plain(annotation: Any) -> Any:
    """The type of a field without `| None`, `Annotated` and what is in lists."""
    arguments = [each for each in typing.get_args(annotation) if each is not type(None)]
    origin = typing.get_origin(annotation)
    if origin is tuple:
        return tuple
    if origin is Literal:
        return str
    return _plain(arguments[0]) if arguments else annotation


def _fields_of(model: type[Part], path: Path) -> Iterator[tuple[str, FlatField]]:
    for name, info in model.model_fields.items():
        flat_name = name if not path or path[0] in BARE else f"{path[0]}_{name}"
        kind = _plain(info.annotation)
        if flat_name in _SPECIAL:
            yield flat_name, _SPECIAL[flat_name]
        elif kind is tuple:
            yield flat_name, FlatField((*path, name), _list, repeats=True)
        else:
            yield flat_name, FlatField((*path, name), _BY_TYPE.get(kind, _object))
        if not path and isinstance(kind, type) and issubclass(kind, Part):
            yield from _fields_of(kind, (name,))


def _flat_fields() -> dict[str, FlatField]:
    fields = dict(_fields_of(CaptureRequest, ()))
    legacy = {name: fields[meant] for name, meant in ALIASES.items()}
    return {**fields, **legacy, "delay": FlatField(legacy["delay"].path, _legacy_delay)}


FLAT_FIELDS = _flat_fields()
"""Every parameter that describes a capture, legacy names included."""
_SECTIONS = frozenset(each.path[0] for each in FLAT_FIELDS.values() if len(each.path) > 1)
