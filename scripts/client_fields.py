"""Make `calotype/client/fields.py`: the request's fields as typed keywords, from the request model's schema.

The client must not import the model (and pydantic with it) to have types, and must not keep them in step by hand.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from calotype.request.model import CaptureRequest

Schema = Mapping[str, Any]

_HEAD = '''"""The fields of a request as keywords (contract, section 3).

Written by `make docs-reference` from src/calotype/request/model.py. Do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Required, TypedDict
'''
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_WIDTH = 120


def fields_module() -> str:
    schema = CaptureRequest.model_json_schema()
    parts = [_HEAD]
    for name, definition in sorted(schema["$defs"].items()):
        parts.append(_typed_dict(name, definition))
    steps = sorted(name for name, each in schema["$defs"].items() if "type" in each.get("required", ()))
    parts.append("Action = " + " | ".join(steps) + "\n")
    parts.append(_typed_dict("ScreenshotFields", {**schema, "description": "What to capture, how, and as what."}))
    return "\n\n".join(parts)


def _typed_dict(name: str, schema: Schema) -> str:
    lines = [f"class {name}(TypedDict, total=False):", f'    """{_first_paragraph(schema)}"""', ""]
    required = set(schema.get("required", ()))
    for field, kind in schema["properties"].items():
        text = _type(kind)
        lines.append(f"    {field}: {f'Required[{text}]' if field in required else text}")
        lines += _documentation(kind)
    return "\n".join(lines) + "\n"


def _first_paragraph(schema: Schema) -> str:
    return " ".join(str(schema.get("description", "")).partition("\n\n")[0].split())


def _documentation(kind: Schema) -> Iterator[str]:
    if text := str(kind.get("description", "")).replace('"', "'"):
        yield from textwrap.wrap(f'"""{text}"""', _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4)


def _type(kind: Schema) -> str:
    if "$ref" in kind:
        return str(kind["$ref"]).rpartition("/")[2]
    if "anyOf" in kind:
        return " | ".join(dict.fromkeys(_type(each) for each in kind["anyOf"]))
    if "oneOf" in kind:
        return "Action"
    if "const" in kind or "enum" in kind:
        values = [kind["const"]] if "const" in kind else kind["enum"]
        return f"Literal[{', '.join(map(_quoted, values))}]"
    match kind.get("type"):
        case "array":
            return f"Sequence[{_type(kind['items'])}]"
        case "object":
            return f"Mapping[str, {_type(kind['additionalProperties'])}]"
        case scalar:
            return _SCALARS[str(scalar)]


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
