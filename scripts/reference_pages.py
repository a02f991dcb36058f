"""Make the pages of docs/reference/: fields of a request, the command line, metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from calotype.cli import main
from calotype.request.devices import DEVICES
from calotype.request.flat import ALIASES, FLAT_FIELDS
from calotype.request.groups import GROUPS
from calotype.request.model import CaptureRequest
from calotype.telemetry.figures import reference

Schema = Mapping[str, Any]

GENERATED = "<!-- Written by `make docs-reference` from {source}. Do not edit. -->\n"
_MOST_VALUES = 16

_FIELDS = """
# Fields of a request

One model for `POST /v1/screenshot`, jobs, the Python client, the shell and agents. All fields but one of `url` and
`html` are optional. [How a capture is made](../captures.md) says what they do together; `/docs` of a running server has
them with the answers. The second column is the name as a query parameter of `GET /v1/screenshot`, and with dashes as an
option of `calotype capture`; without one it is given as JSON in the parameter of the whole field.
"""

_COMMANDS = """
# The command line

`calotype --config FILE COMMAND` reads settings from a TOML file; the [environment](../settings.md) wins over it. Exit
status 0 is success, 1 failure, 2 wrong usage.
"""

_METRICS = """
# Metrics

What `/metrics` tells, in Prometheus' text format, of servers and, with a port for it, of workers.
[Monitoring](../monitoring.md) says how to read it; labels never have values from requests.
"""


def fields_page() -> str:
    schema = CaptureRequest.model_json_schema()
    flat = {field.path: name for name, field in FLAT_FIELDS.items() if name not in (*ALIASES, "delay")}
    parts = [GENERATED.format(source="src/calotype/request/model.py"), _FIELDS]
    for group, names in GROUPS.items():
        rows = [
            row for name in names for row in _field_rows((name,), schema["properties"][name], schema["$defs"], flat)
        ]
        parts += [f"\n## {group}\n", *table(("field", "parameter", "value", "default", "meaning"), rows)]
        if "device" in names:
            parts.append(f'\n<a id="devices"></a>Devices: {", ".join(f"`{name}`" for name in DEVICES)}.\n')
        if "actions" in names:
            parts += _actions(schema["$defs"])
    return "".join(parts)


def _field_rows(
    path: tuple[str, ...], field: Schema, definitions: Mapping[str, Schema], flat: Mapping[tuple[str, ...], str]
) -> Iterator[tuple[str, ...]]:
    yield (f"`{'.'.join(path)}`", _code(flat.get(path)), _values(field), _default(field), field.get("description", ""))
    inner = _object(field, definitions)
    if inner is not None:
        for name, each in inner["properties"].items():
            yield from _field_rows((*path, name), each, definitions, flat)


def _object(field: Schema, definitions: Mapping[str, Schema]) -> Schema | None:
    for choice in (field, *field.get("anyOf", ())):
        target = definitions.get(str(choice.get("$ref", "")).rpartition("/")[2])
        if target is not None:
            return target
        items = choice.get("items", {})
        if choice.get("type") == "array" and "$ref" in items:
            return definitions[items["$ref"].rpartition("/")[2]]
    return None


def _actions(definitions: Mapping[str, Schema]) -> Iterator[str]:
    yield "\nSteps of `actions`; each also takes `timeout_ms`, and `optional`, with which its failure is passed over:\n"
    steps = [each for each in definitions.values() if "const" in each.get("properties", {}).get("type", {})]
    rows = (
        (
            f"`{step['properties']['type']['const']}`",
            ", ".join(f"`{name}`" for name in step["properties"] if name not in ("type", "timeout_ms", "optional")),
            " ".join(str(step.get("description", "")).split()),
        )
        for step in steps
    )
    yield from table(("type", "fields", "meaning"), rows)


def _values(field: Schema) -> str:
    if "anyOf" in field:
        kinds = [_values(choice) for choice in field["anyOf"] if choice.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in field:
        return "object"
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"][:_MOST_VALUES])
    if field.get("type") == "array":
        return f"list of {_values(field['items'])}" if "items" in field else "list"
    if "oneOf" in field:
        return "steps"
    if "const" in field:
        return f"`{field['const']}`"
    name = {"string": "text", "object": "object"}.get(field.get("type", ""), field.get("type", ""))
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        name = f"{name} {low:,}-{high:,}"
    if (longest := field.get("maxLength")) is not None:
        name = f"{name}, {longest:,} characters at most"
    if (most := field.get("maxItems")) is not None:
        name = f"{name}, {most} at most"
    return name


def _default(field: Schema) -> str:
    default = field.get("default")
    if default in (None, "", [], ()) or isinstance(default, dict):
        return "-"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def commands_page() -> str:
    parts = [GENERATED.format(source="src/calotype/cli"), _COMMANDS]
    context = click.Context(main, info_name="calotype")
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if command is not None:
            parts += _command(command, click.Context(command, info_name=name, parent=context), "##")
    return "".join(parts)


def _command(command: click.Command, context: click.Context, level: str) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"\n{level} {context.command_path}\n\n```text\n{context.command_path} {usage}\n```\n\n{_help(command)}\n"
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if command.name == "capture":
        yield "\nEvery [field](fields.md) of the request is an option, too.\n"
        options = [each for each in options if each.name not in FLAT_FIELDS or each.name == "html"]
    if options:
        yield from table(("option", "meaning"), (_option(each, context) for each in options))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _command(inner, click.Context(inner, info_name=name, parent=context), f"{level}#")


def _help(command: click.Command) -> str:
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _option(option: click.Option, context: click.Context) -> tuple[str, ...]:
    names = " ".join(f"`{name}`" for name in option.opts)
    metavar = "" if option.is_flag else f" {option.make_metavar(context)}"
    return f"{names}{metavar}", option.help or ""


def metrics_page() -> str:
    rows = (
        (f"`{each.name}`", each.kind, ", ".join(f"`{label}`" for label in each.labels), each.help)
        for each in reference()
    )
    parts = [GENERATED.format(source="src/calotype/telemetry"), _METRICS]
    return "".join((*parts, *table(("metric", "type", "labels", "meaning"), rows)))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["\n", *("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)]


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""
