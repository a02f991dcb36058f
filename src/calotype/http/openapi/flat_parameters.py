"""The query parameters of the GET form, from the flat names and the request model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from calotype.http.openapi.parts import Json
from calotype.request import FLAT_FIELDS, NOT_YET, CaptureRequest
from calotype.request.flat import ALIASES

_SCALARS = {"string", "integer", "number", "boolean"}
_EXAMPLES: Json = {
    "clip": "0,100,400,300",
    "cookies": ["session=d41d8cd98f"],
    "delay": 2,
    "headers": ["X-Preview: 1"],
}
"""Of parameters that are written otherwise than the field of the JSON form."""


def flat_parameters() -> list[Json]:
    root = CaptureRequest.model_json_schema()
    return [_parameter(name, root) for name in FLAT_FIELDS]


def _parameter(name: str, root: Json) -> Json:
    flat = FLAT_FIELDS[name]
    schema = _at(root, flat.path)
    plain = _without_null(root, schema)
    # pydantic leaves a description out where the part's own docstring says the same.
    description = str(schema.get("description") or plain.get("description", ""))
    if ".".join(flat.path) in NOT_YET:
        description += " Not supported yet."
    parameter: Json = {"name": name, "in": "query", "description": description}
    if name in ALIASES or name == "delay":
        parameter["deprecated"] = True
        parameter["description"] = f"Legacy name of `{ALIASES[name]}`. {description}".strip()
    if name == "delay":
        parameter["description"] = "Legacy: seconds up to 30, milliseconds above. Use `delay_ms`."
        parameter["schema"] = {"type": "number", "minimum": 0}
    elif flat.repeats:
        parameter["schema"] = {"type": "array", "items": {"type": "string"}}
    elif plain.get("type") in _SCALARS or "enum" in plain:
        parameter["schema"] = {key: value for key, value in plain.items() if key not in {"title", "description"}}
    else:
        parameter["schema"] = {"type": "string"}
    if _is_switch(plain, schema):
        parameter["allowEmptyValue"] = True  # `?full_page` is true
    parameter["schema"].pop("examples", None)
    given = [*schema.get("examples", []), *plain.get("examples", [])]
    parameter["example"] = _EXAMPLES.get(name) or _example(given[0], parameter["schema"])
    return parameter


def _is_switch(plain: Json, schema: Json) -> bool:
    """Whether it takes true and false, be it among other values."""
    choices: list[Json] = [plain, *schema.get("anyOf", [])]
    return any(each.get("type") == "boolean" for each in choices)


def _example(value: Any, schema: Json) -> Any:
    """An example of the field's, as the parameter is written: objects as JSON, the entries of lists as texts."""
    if schema.get("type") == "array":
        return [str(each) for each in cast("list[Any]", value)] if isinstance(value, list) else [value]
    if isinstance(value, dict | list):
        return json.dumps(value)
    allowed = schema.get("enum")  # of a field that takes more than the flat form does
    return value if allowed is None or value in allowed else allowed[0]


def _at(root: Json, path: tuple[str, ...]) -> Json:
    """The schema of a field inside the request, `description` of the field itself included."""
    schema = root
    for name in path:
        schema = _without_null(root, schema)["properties"][name]
    return schema


def _without_null(root: Json, schema: Mapping[str, Any]) -> Json:
    """The schema with its reference followed and without the choice of null, of several choices the last."""
    choices = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    chosen = choices[-1]
    if "$ref" in chosen:
        return root["$defs"][chosen["$ref"].rpartition("/")[2]]
    return chosen
