"""`calotype capture URL -o FILE`: the same capture as the API's, from the shell, without a server.

Options are the API's GET parameters with dashes, made from the request model: nothing to keep in step by hand.
"""

from __future__ import annotations

import asyncio
import json
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import uuid4

import click
from pydantic import BaseModel

from calotype.app import open_capturer
from calotype.cli.targets import target_options, target_rules
from calotype.request import ParsedRequest, parse_query
from calotype.request.flat import ALIASES, FLAT_FIELDS, FlatField
from calotype.request.model import CaptureRequest
from calotype.settings import Settings, TargetRules
from calotype.telemetry import configure_logging

_FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".avif": "avif", ".pdf": "pdf"}
_NOT_OPTIONS = {"url", "html", "delay", *ALIASES}

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _description(path: tuple[str, ...]) -> tuple[str, Any]:
    """What the model says of a field, and its type."""
    model: type[BaseModel] = CaptureRequest
    for name in path[:-1]:
        model = _model_of(model.model_fields[name].annotation)
    info = model.model_fields[path[-1]]
    return info.description or "", info.annotation


def _model_of(annotation: Any) -> type[BaseModel]:
    candidates: list[Any] = [annotation, *typing.get_args(annotation)]
    return next(each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel))


def _option(name: str, field: FlatField) -> click.Option:
    help_, kind = _description(field.path)
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        off = flag.replace("--", "--no-", 1)
        return click.Option([f"{flag}/{off}", name], default=None, help=help_)
    return click.Option([flag, name], multiple=field.repeats, metavar="VALUE", help=help_)


def _request_options(command: click.Command) -> click.Command:
    command.params += [_option(name, field) for name, field in FLAT_FIELDS.items() if name not in _NOT_OPTIONS]
    return command


@_request_options
@click.command(short_help="Make a picture of one page, without a server.")
@click.argument("url", required=False)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write, `-` for standard output."
)
@click.option("--html", type=click.File("r", encoding="utf-8"), help="File with markup to render instead of a URL.")
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print the picture's meta as JSON.")
@click.pass_obj
def capture(
    load: Callable[..., Settings],
    url: str | None,
    output: Path | None,
    html: Any,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Make a picture of URL (or of --html FILE) and write it to --output.

    The format follows the file's suffix unless --format names it.
    """
    settings = load()
    if output is None:
        raise click.UsageError("Where to? Name a file with -o, e.g. -o page.png, or -o - for standard output.")
    quiet = settings.log.model_copy(update={"level": "warning"}) if settings.log.level == "info" else settings.log
    configure_logging(quiet)
    rules = target_rules(allow, deny)
    parsed = _parse(url, html.read() if html else None, output, options)
    image, meta = asyncio.run(_capture(settings, parsed, rules))
    if str(output) == "-":
        sys.stdout.buffer.write(image)
    else:
        output.write_bytes(image)
    for warning in meta["warnings"]:
        click.echo(f"warning: {warning['message']}", err=True)
    if meta["partial"]:
        click.echo(f"partial: {meta['partial_reason']}", err=True)
    for flaw in () if meta["verdict"] == "ok" else meta["verdict"]:
        click.echo(f"verdict: {flaw['kind']}: {flaw['evidence']}", err=True)
    if as_json:
        click.echo(json.dumps(meta, indent=2, ensure_ascii=False), err=str(output) == "-")
    else:
        status = "" if meta["status_code"] in (None, 200) else f", the page's status is {meta['status_code']}"
        size = f"{meta['width']}x{meta['height']}, {meta['bytes']} bytes, {meta['elapsed_ms']} ms"
        click.echo(f"{output}: {size}{status}", err=True)


def _parse(url: str | None, html: str | None, output: Path, options: dict[str, Any]) -> ParsedRequest:
    items: list[tuple[str, str]] = []
    for name, value in options.items():
        if value is None or value == ():
            continue
        if isinstance(value, bool):
            items.append((name, "true" if value else "false"))
        else:
            values = cast("tuple[str, ...]", value if isinstance(value, tuple) else (value,))
            items += [(name, each) for each in values]
    if options.get("format") is None and (format_ := _FORMATS.get(output.suffix.lower())):
        items.append(("format", format_))
    if url is not None:
        items.append(("url", url))
    if html is not None:
        items.append(("html", html))
    return parse_query(items, strict=True)


async def _capture(settings: Settings, parsed: ParsedRequest, rules: TargetRules) -> tuple[bytes, dict[str, Any]]:
    async with open_capturer(settings) as capturer:
        result = await capturer.capture(parsed.request, request_id=uuid4().hex, rules=rules, warnings=parsed.warnings)
    return result.image, result.meta.model_dump(mode="json")
