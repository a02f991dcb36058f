"""The `/docs` page: the OpenAPI document as plain HTML, without a script and without any other host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

Json = dict[str, Any]

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>calotype reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/page.css">
</head>
<body>
<main>
"""
_FOOT = "</main>\n</body>\n</html>\n"


def reference_page(document: Json) -> str:
    """The page for an OpenAPI document of ours."""
    info = document["info"]
    return "".join(
        [
            _HEAD,
            f"<h1>{escape(info['title'])} <span class=quiet>{escape(info['version'])}</span></h1>\n",
            *(f"<p>{_text(paragraph)}</p>\n" for paragraph in info["description"].split("\n\n")),
            '<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>\n',
            *_operations(document["paths"]),
            *_schemas(document["components"]["schemas"]),
            _FOOT,
        ]
    )


def _operations(paths: Json) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f"<h2 id={escape(operation['operationId'])}><code>{method.upper()} {escape(path)}</code></h2>\n"
            yield f"<p>{_text(operation['summary'])}. {_text(operation.get('description', ''))}</p>\n"
            if operation.get("deprecated"):
                continue
            yield from _parameters(operation.get("parameters", []))
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield f"<p>Body: {_type(content['schema'])}</p>\n"
                yield from map(_example, content.get("examples", {}).values())
            yield from _responses(operation["responses"])


def _parameters(parameters: list[Json]) -> Iterator[str]:
    if parameters:
        yield "<h3>Parameters</h3>\n"
        yield _table(
            ("name", "type", "meaning"),
            (
                (f"<code>{each['name']}</code>", _type(each["schema"]), _text(each["description"]))
                for each in parameters
            ),
        )


def _responses(responses: Json) -> Iterator[str]:
    yield "<h3>Answers</h3>\n"
    rows = ((status, _types(answer), _items(answer["description"])) for status, answer in responses.items())
    yield _table(("status", "content", "meaning"), rows)


def _types(answer: Json) -> str:
    return "<br>".join(escape(name) for name in answer["content"])


def _schemas(schemas: Json) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f"<h2 id=schema-{name}>{name}</h2>\n<p>{_text(schema.get('description', ''))}</p>\n"
        required = schema.get("required", [])
        fields = schema.get("properties", {})
        rows = ((_field(each, required), _type(field), _meaning(field)) for each, field in fields.items())
        yield _table(("field", "type", "meaning"), rows) if fields else f"<p>{_type(schema)}</p>\n"


def _field(name: str, required: list[str]) -> str:
    return f"<code>{escape(name)}</code>" + (" <span class=quiet>required</span>" if name in required else "")


def _meaning(schema: Json) -> str:
    default = schema.get("default")
    is_telling = default not in (None, "", [], {}) and not isinstance(default, dict)
    shown = f" <span class=quiet>Default: <code>{escape(json.dumps(default))}</code></span>" if is_telling else ""
    return _text(schema.get("description", "")) + shown


def _type(schema: Json) -> str:
    """What a value may be, in a few words."""
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema and "properties" not in schema:
            names = [_type(choice) for choice in schema[several] if choice.get("type") != "null"]
            return " or ".join(dict.fromkeys(names))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{name}</a>'
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(choice))}</code>" for choice in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "any"))) + _bounds(schema)


def _bounds(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low:,} to {high:,}"
    if "maxLength" in schema:
        return f", {schema['maxLength']:,} characters at most"
    return ""


def _example(example: Json) -> str:
    body = escape(json.dumps(example["value"], indent=2, ensure_ascii=False), quote=False)
    return f"<p class=quiet>{_text(example['summary'])}:</p>\n<pre><code>{body}</code></pre>\n"


def _items(description: str) -> str:
    return "<br>".join(_text(line.removeprefix("- ")) for line in description.splitlines())


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>\n"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows]
    return f"<table>\n{''.join(lines)}</table>\n"
