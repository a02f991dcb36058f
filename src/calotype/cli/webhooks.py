"""`calotype webhooks`: what users verify messages with, and sending messages again.

`secret` asks no server and no database; `redeliver` works on the database, beside a running server or without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import click
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from calotype.accounts.key_text import KeyText
from calotype.accounts.opening import open_accounts
from calotype.cli.expiry import Since
from calotype.cli.key_text import Key
from calotype.settings import Settings
from calotype.signing import link_secret, webhook_secret
from calotype.webhooks import table
from calotype.webhooks.signature import secret_text


@click.group(short_help="Show a key's webhook secret, send messages again.")
def webhooks() -> None:
    """Show what a key's webhooks are signed with, and send messages again."""


@webhooks.command()
@click.option(
    "--key",
    type=Key(),
    envvar="CALOTYPE_KEY",
    required=True,
    show_envvar=True,
    help="The API key of the jobs. Other users of this machine can read what stands on a command line.",
)
def secret(key: KeyText) -> None:
    """Print, alone, the secret that a receiver verifies the messages of this key's jobs with."""
    click.echo(secret_text(webhook_secret(link_secret(key.secret))))
    click.echo(f"It is of the key {key.key_id}, and can neither capture nor sign links.", err=True)


@webhooks.command()
@click.argument("delivery_id", required=False)
@click.option("--job", "job_id", metavar="ID", help="All messages about this job.")
@click.option(
    "--failed-since", type=Since(), metavar="WHEN", help="All that failed since then: 30m, 12h or 7d ago, or a date."
)
@click.pass_obj
def redeliver(
    load: Callable[..., Settings], delivery_id: str | None, job_id: str | None, failed_since: datetime | None
) -> None:
    """Send messages again, with the ids they had: one (msg_...), those of a job, or those that failed.

    Prints the ids. Their schedule begins anew; running servers take them up within a minute.
    """
    if sum(each is not None for each in (delivery_id, job_id, failed_since)) != 1:
        raise click.UsageError("Give one of DELIVERY_ID, --job and --failed-since.")
    since_us = None if failed_since is None else round(failed_since.timestamp() * 1_000_000)

    def work(connection: Connection) -> list[str]:
        return table.redeliver(connection, delivery_id=delivery_id, job_id=job_id, failed_since_us=since_us)

    async def with_database() -> list[str]:
        async with open_accounts(load()) as (database, _):
            return await database.write(work)

    try:
        ids = asyncio.run(with_database())
    except (OSError, SQLAlchemyError) as error:
        raise click.ClickException(f"The database can't be reached: {str(error).splitlines()[0]}") from error
    if not ids and failed_since is None:
        raise click.ClickException("There is no such message, or it is being sent at this moment.")
    for each in ids:
        click.echo(each)
    click.echo(f"{len(ids)} to be sent again.", err=True)
