"""The query parameters of the GET form, from the flat names and the request model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calotype.http.openapi.parts import Json
from calotype.request import FLAT_FIELDS, NOT_YET, CaptureRequest
from calotype.request.flat import ALIASES

_SCALARS = {"string", "integer", "number", "boolean"}


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
    parameter["schema"].pop("examples", None)
    allowed = parameter["schema"].get("enum")  # of a field that takes more than the flat form does
    examples = [
        each
        for each in schema.get("examples") or plain.get("examples", [])
        if not isinstance(each, dict | list) and (allowed is None or each in allowed)
    ]
    if examples:
        parameter["example"] = [examples[0]] if flat.repeats else examples[0]
    elif name in ("url", "html"):
        parameter["example"] = {"url": "https://example.com", "html": "<h1>Hello</h1>"}[name]
    return parameter


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
