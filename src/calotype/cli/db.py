"""`calotype db`: bring the database up to date, check it, copy it.

These are the only commands that touch one of another revision.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from calotype.accounts.audit import keys_without_origin, miscounted_accounts
from calotype.cli.accounts import print_table
from calotype.database import HEAD_REVISION, Database, driver_url, revision_of
from calotype.database.copying import copy as copy_rows
from calotype.database.direct import shown, snapshot, sqlite_path, transaction
from calotype.database.soundness import Problem, problems_of_file, problems_of_revision
from calotype.settings import Settings

_UNREACHABLE_FIX = "Start the database, or correct CALOTYPE_DATABASE__URL."
_MOST_SHOWN = 3


@click.group(short_help="Bring the database up to date, check it, copy it.")
def db() -> None:
    """Bring the database up to date, check it, copy it."""


@db.command()
@click.pass_obj
def upgrade(load: Callable[..., Settings]) -> None:
    """Bring the tables to what this version needs. Nothing happens if they are; two at once are safe."""
    settings = load()
    with _reported("The database can't be brought up to date"):
        before = asyncio.run(_upgrade(settings))
    if before == HEAD_REVISION:
        click.echo(f"The database is of revision {HEAD_REVISION} already: nothing to do.")
    else:
        click.echo(f"The database is brought from {_named(before)} to revision {HEAD_REVISION}.")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def check(load: Callable[..., Settings], as_json: bool) -> None:
    """Say whether the database can be reached, fits this version and is sound. Status 1 if not.

    Changes nothing, and may run beside servers.
    """
    url = driver_url(load().database_url)
    revision, problems = _checked(url)
    if as_json:
        report = {
            "ok": not problems,
            "database": shown(url),
            "revision": revision,
            "needed_revision": HEAD_REVISION,
            "problems": [{"problem": problem.sentence, "fix": problem.fix} for problem in problems],
        }
        click.echo(json.dumps(report, indent=2))
    elif problems:
        click.echo("\n".join(f"{problem.sentence} {problem.fix}" for problem in problems), err=True)
    else:
        click.echo(f"The database {shown(url)} is up to date (revision {revision}) and sound.")
    click.get_current_context().exit(1 if problems else 0)


@db.command()
@click.option("--to", "target", required=True, metavar="URL", help="An empty database: postgresql://… or sqlite:///…")
@click.pass_obj
def copy(load: Callable[..., Settings], target: str) -> None:
    """Copy everything in the database of the settings into another, empty one.

    Stop all servers of the old database first. All of it is copied or nothing; the old one is not changed.
    """
    settings = load()
    from_url, to_url = driver_url(settings.database_url), driver_url(target, name="--to")
    if from_url.get_backend_name() == "postgresql":
        click.echo(
            "What servers write to the old database from now on is not copied: they should be stopped.", err=True
        )
    with (
        _reported("The database can't be copied"),
        snapshot(from_url, alone=True) as source,
        transaction(to_url) as destination,
    ):
        counts = copy_rows(source, destination, begun=lambda table: click.echo(f"copying {table}", err=True))
    print_table([("TABLE", "ROWS"), *((table, str(rows)) for table, rows in counts.items())])
    click.echo("\n".join(["", *_what_next(settings, to_url)]), err=True)


async def _upgrade(settings: Settings) -> str | None:
    if not settings.database.url:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database_url)
    await database.open()
    try:
        return await database.upgrade()
    finally:
        await database.close()


def _checked(url: URL) -> tuple[str | None, list[Problem]]:
    """The revision, and what is wrong."""
    if url.get_backend_name() == "sqlite" and not sqlite_path(url).is_file():
        return None, [Problem(f"There is no database at {sqlite_path(url)} yet.", "Run `calotype db upgrade`.")]
    try:
        with snapshot(url) as connection:
            return revision_of(connection), _problems(connection)
    except (OSError, SQLAlchemyError) as error:
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            return None, [Problem(f"The database can't be read: {_one_line(error)}.", "Restore a backup.")]
        return None, [Problem(f"The database can't be reached: {_one_line(error)}.", _UNREACHABLE_FIX)]


def _problems(connection: Connection) -> list[Problem]:
    problems = problems_of_file(connection) if connection.dialect.name == "sqlite" else []
    problems += (unfit := problems_of_revision(connection))
    if unfit:
        return problems  # there may be no such tables
    if accounts := miscounted_accounts(connection):
        sentence = f"The counters of {_listed(accounts)} are not what the ledger says."
        problems.append(Problem(sentence, "Count anew, as docs/database.md shows."))
    if keys := keys_without_origin(connection):
        sentence = f"The keys {_listed(keys)} belong to an account, or were replaced by a key, that does not exist."
        problems.append(Problem(sentence, "Restore a backup."))
    return problems


def _what_next(settings: Settings, target: URL) -> Iterator[str]:
    yield f"Everything is in {shown(target)}. Set CALOTYPE_DATABASE__URL to it for all servers."
    if settings.keys.pepper is None:
        yield (
            f"Take the pepper along, without which no key works: {settings.data_dir / 'pepper'} goes into the data "
            "directory of each server, or its content into CALOTYPE_KEYS__PEPPER."
        )
    else:
        yield "CALOTYPE_KEYS__PEPPER must stay what it is on all servers, without which no key works."
    yield "Pictures are not in the database: CALOTYPE_STORAGE__URL must lead all servers to those that there are."


@contextmanager
def _reported(what: str) -> Generator[None]:
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        raise click.ClickException(f"{what}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def _named(revision: str | None) -> str:
    return "nothing" if revision is None else f"revision {revision}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more
