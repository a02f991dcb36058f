"""`calotype sign URL`: a link for a web page that shows a capture without the key. Asks no server and no database."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import click

from calotype.accounts.key_text import KeyText
from calotype.cli.expiry import Expiry
from calotype.cli.key_text import Key
from calotype.request import parse_query
from calotype.settings import ServerSettings
from calotype.signing import PATH, link_secret
from calotype.signing import sign as sign_query

_SERVER = "http://{host}:{port}".format(**ServerSettings().model_dump(include={"host", "port"}))


class _Server(click.ParamType[str]):
    name = "server"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(str(value))
            is_origin = parts.scheme in {"http", "https"} and parts.hostname and not parts.query and not parts.fragment
        except ValueError:
            is_origin = False
        if not is_origin:
            self.fail(f"{value!r} is no address such as https://shots.example.com.", param, ctx)
        return str(value).rstrip("/")


class _Parameter(click.ParamType[tuple[str, str]]):
    name = "parameter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, equals, content = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} does not look like name=value.", param, ctx)
        if name == "api_key":
            self.fail("a link carries no key; --key signs it.", param, ctx)
        return name, content


@click.command(short_help="Sign a link that shows a capture without the key.")
@click.argument("url")
@click.option(
    "--key",
    type=Key(),
    envvar="CALOTYPE_KEY",
    required=True,
    show_envvar=True,
    help="The API key that pays. Other users of this machine can read what stands on a command line.",
)
@click.option(
    "--expires",
    type=Expiry(),
    default="24h",
    show_default=True,
    metavar="WHEN",
    help="30m, 12h, 90d, or a date: from then on the link is refused.",
)
@click.option(
    "--server", type=_Server(), default=_SERVER, show_default=True, metavar="ADDRESS", help="Where browsers reach it."
)
@click.option(
    "--option",
    "options",
    type=_Parameter(),
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of GET /v1/screenshot, e.g. width=800. Can be repeated.",
)
def sign(url: str, key: KeyText, expires: datetime, server: str, options: tuple[tuple[str, str], ...]) -> None:
    """Print a link that shows a capture of URL to whoever has the link, until it expires.

    Every load of it is a request of the key, with its credits and rates.
    """
    query = [("url", url), *options]
    for warning in parse_query(query, strict=True).warnings:
        click.echo(f"warning: {warning['message']}", err=True)
    secret = link_secret(key.secret)
    click.echo(
        f"{server}{PATH}?{sign_query(query, key_id=key.key_id, secret=secret, expires_s=int(expires.timestamp()))}"
    )
    click.echo(f"It holds until {expires:%Y-%m-%d %H:%M} UTC, or until the key {key.key_id} is revoked.", err=True)
