"""`calotype capture URL… -o FILE`: the same captures as the API's, from the shell, with or without a server.

Options are the API's GET parameters with dashes, made from the request model: nothing to keep in step by hand.
"""

from __future__ import annotations

import asyncio
import json
import sys
import typing
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from pydantic import BaseModel

from calotype.cli.capturing import names
from calotype.cli.capturing.engines import Engine, at_server, here
from calotype.cli.capturing.progress import Told
from calotype.cli.capturing.run import Order, Outcome, drained, outcomes
from calotype.cli.capturing.sheet import Sheet
from calotype.cli.capturing.sources import FORMATS, Target, targets
from calotype.cli.targets import target_options, target_rules
from calotype.request.flat import ALIASES, FLAT_FIELDS, FlatField, unflatten
from calotype.request.model import CaptureRequest
from calotype.settings import Settings
from calotype.telemetry import configure_logging

_NOT_OPTIONS = {"url", "html", "delay", *ALIASES}

_AT_A_SERVER = 4  # captures at once; how many run is the server's to decide
_FAILED, _INTERRUPTED = 1, 130

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
@click.command(short_help="Make pictures of pages, with or without a server.")
@click.argument("pages", nargs=-1, metavar="[PAGE]...")
@click.option(
    "-o", "--output", metavar="FILE", help="File, or pattern for files, to write. `-`: one picture to standard output."
)
@click.option("--html", type=click.File("r", encoding="utf-8"), help="File with markup to render instead of a URL.")
@click.option(
    "--from",
    "lists",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="File with one URL, or JSON object of fields, per line; or a JSON list. `file` names an entry's picture.",
)
@click.option("--parallel", type=click.IntRange(1, 256), help="Captures at once.")
@click.option("--resume", is_flag=True, help="Leave out pages whose file is there already.")
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Write a contact sheet, HTML.")
@click.option("--server", metavar="URL", help="Let this server capture; its key is in CALOTYPE_KEY.")
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print what came of each as JSON: one line each if several.")
@click.pass_obj
def capture(
    load: Callable[..., Settings],
    pages: tuple[str, ...],
    output: str | None,
    html: Any,
    lists: tuple[Path, ...],
    parallel: int | None,
    resume: bool,
    sheet: Path | None,
    server: str | None,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Make a picture of each PAGE: a URL, a file with markup, or `-` for a list on standard input.

    The format follows the suffix of --output unless --format names it. In --output these are filled in: {n} (number in
    the list, {n:04} with zeros), {host}, {path}, {format}, {date}.

    Exit status: 0 all pictures were made, 1 some were not, 2 wrong usage, 130 interrupted.
    """
    settings = load()
    quiet = settings.log.model_copy(update={"level": "warning"}) if settings.log.level == "info" else settings.log
    configure_logging(quiet)
    if server and (allow or deny):
        raise click.UsageError("--allow and --deny are for captures of this machine; a server has its own rules.")
    rules = target_rules(allow, deny)
    common = _common(options, output)
    if html is not None:
        common["html"] = html.read()
    wanted = targets(pages, lists, common)
    if not wanted:
        raise click.UsageError("What to capture? Name pages, or a list with --from, and with -o where to.")
    is_for_pipe = output == "-"
    if is_for_pipe and (len(wanted) > 1 or sheet or resume):
        raise click.UsageError("-o - is for one picture, without --sheet and --resume.")
    files = [Path("-")] if is_for_pipe else _files(wanted, output)
    orders = [Order(target, file) for target, file in zip(wanted, files, strict=True)]
    engine = at_server(server, None) if server else here(settings, rules)
    most = min(parallel or (_AT_A_SERVER if server else settings.browser.pages), len(orders))
    raise SystemExit(_run(engine, orders, most, resume=resume, sheet=sheet, as_json=as_json))


def _files(wanted: Sequence[Target], output: str | None) -> list[Path]:
    """
    Raises:
        click.UsageError: where to write is not said, or the pattern is none.
    """
    if output is None and len(wanted) == 1 and wanted[0].file is None:
        raise click.UsageError("Where to? Name a file with -o, e.g. -o page.png, or -o - for standard output.")
    pattern = output or names.DEFAULT
    if len(wanted) > 1 and not names.has_placeholder(pattern) and any(target.file is None for target in wanted):
        raise click.UsageError(f"-o for several pictures needs a placeholder, e.g. -o '{names.DEFAULT}'.")
    return names.named(wanted, pattern, datetime.now(UTC).astimezone().date())


def _run(
    engine: AbstractAsyncContextManager[Engine],
    orders: Sequence[Order],
    parallel: int,
    *,
    resume: bool,
    sheet: Path | None,
    as_json: bool,
) -> int:
    """Return the exit status."""
    told, contact = Told(len(orders)), Sheet(sheet) if sheet else None

    def see(outcome: Outcome) -> None:
        told.see(outcome)
        if contact is not None:
            contact.add(outcome)
        if str(outcome.file) == "-" and outcome.screenshot is not None:
            sys.stdout.buffer.write(outcome.screenshot.image)
        if as_json:
            _print_json(outcome, is_only=len(orders) == 1)

    async def work() -> None:
        async with engine as open_engine:
            await drained(outcomes(open_engine, orders, parallel=parallel, keep=Path.exists if resume else _never), see)

    status = 0
    try:
        with told:
            asyncio.run(work())
        told.sum_up()
    except KeyboardInterrupt:
        told.say_interrupted()
        status = _INTERRUPTED
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if contact is not None:
        contact.write()
    return status or (_FAILED if told.numbers["failed"] else 0)


def _print_json(outcome: Outcome, *, is_only: bool) -> None:
    shown = outcome.as_json()
    if is_only and "meta" in shown:
        click.echo(json.dumps(shown["meta"], indent=2, ensure_ascii=False), err=str(outcome.file) == "-")
    else:
        click.echo(json.dumps(shown, ensure_ascii=False))


def _never(_: Path) -> bool:
    return False


def _common(options: dict[str, Any], output: str | None) -> dict[str, Any]:
    """What the options ask of every capture, in JSON form.

    Raises:
        click.ClickException: names the option.
    """
    items: list[tuple[str, str]] = []
    for name, value in options.items():
        if value is None or value == ():
            continue
        if isinstance(value, bool):
            items.append((name, "true" if value else "false"))
        else:
            values = cast("tuple[str, ...]", value if isinstance(value, tuple) else (value,))
            items += [(name, each) for each in values]
    suffix = Path(output).suffix.lower() if output else ""
    if options.get("format") is None and (format_ := FORMATS.get(suffix)):
        items.append(("format", format_))
    flat = unflatten(items)
    if flat.findings:
        found = "; ".join(f"`{each.field}` {each.message}" for each in flat.findings)
        raise click.ClickException(f"{found}.")
    return flat.body
