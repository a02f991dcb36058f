"""Reads the settings for a command; wrong ones end it with status 2 and a line for each that names it and the fix.

Values are not repeated: one of them may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from calotype.settings import Settings, load_settings

_STATUS = 2
_PREFIX = "CALOTYPE_"
_JSON_EXAMPLE = """'["127.0.0.1:9000", "10.1.0.0/16"]'"""


def read_settings(config: Path | None, **overrides: Any) -> Settings:
    """Read the settings: `overrides` win over the environment, which wins over the file `config`."""
    try:
        return load_settings(config, **overrides)
    except ValidationError as error:
        lines = [_in_words(each) for each in error.errors(include_url=False, include_input=False)]
    except SettingsError as error:
        lines = [_not_json(str(error))]
    except (TOMLDecodeError, OSError) as error:
        lines = [f"{config} can't be read: {error}"]
    for line in lines:
        click.echo(f"Error: {line}", err=True)
    raise click.exceptions.Exit(_STATUS)


def _in_words(error: ErrorDetails) -> str:
    path = error["loc"]
    name = _variable(path)
    if error["type"] == "extra_forbidden":
        return f"{name}: there is no such setting.{_nearest(path)}"
    message = error["msg"].removeprefix("Value error, ")
    field = _field(path)
    meaning = f" It is: {field.description}" if field and field.description else ""
    return f"{name}: {message}.{meaning}"


def _variable(path: tuple[int | str, ...]) -> str:
    """The environment's name for a place in the tree; of a list's entry, the list's, and the place in it."""
    length = next((at for at, part in enumerate(path) if isinstance(part, int)), len(path))
    inside = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[length:])
    return f"{_PREFIX}{'__'.join(str(part).upper() for part in path[:length])}{inside}"


def _field(path: tuple[int | str, ...]) -> FieldInfo | None:
    model: Any = Settings
    field: FieldInfo | None = None
    for part in path:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            break
        field = model.model_fields.get(str(part))
        model = field.annotation if field else None
    return field


def _nearest(path: tuple[int | str, ...]) -> str:
    near = get_close_matches(_variable(path), list(_variables(Settings)), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _variables(model: type[BaseModel], prefix: str = _PREFIX) -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def _not_json(message: str) -> str:
    """The library tells only the first part of the name: `error parsing value for field "guard" from source …`."""
    section = message.split('"')[1] if message.count('"') > 1 else ""
    names = [name for name in _variables(Settings) if name.startswith(f"{_PREFIX}{section.upper()}") and _is_list(name)]
    return (
        f"{' or '.join(names) or _PREFIX + section.upper()} is not JSON. "
        f"Lists are written as JSON in the environment, e.g. CALOTYPE_GUARD__ALLOW={_JSON_EXAMPLE}"
    )


def _is_list(name: str) -> bool:
    path = tuple(name.removeprefix(_PREFIX).lower().split("__"))
    field = _field(path)
    return field is not None and str(field.annotation).startswith("tuple[")
