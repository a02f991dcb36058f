"""What this machine lacks for calotype, each with the command that mends it, and the settings in effect.

Only looks: it creates no file and no database. `cli/doctor.py` prints what is found here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from calotype.browser.discover import INSTALL_COMMAND, BrowserNotFound, find_browser, sandbox_available, sandbox_fix
from calotype.browser.jail.levels import JailLevel, JailTooWeak, open_jail
from calotype.database import Database, is_older, revision_of, why_unfit
from calotype.errors import CalotypeError
from calotype.guard.listener import open_listeners
from calotype.settings import BrowserSettings, Settings

State = Literal["ok", "warning", "missing"]

_PROBE_TIMEOUT_S = 10.0
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
_SECRET_PARAMETER = re.compile(r"(?i)([?&][a-z_]*(?:password|secret|token)[a-z_]*=)[^&]*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `missing`: captures fail, or come out wrong, until `fix` is done."""

    name: str
    state: State
    found: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class FontNeed:
    """A kind of text that comes out as empty boxes when no font for it is installed."""

    name: str
    language: str
    """As fontconfig names it; `und-zsye` is emoji."""
    package: str
    state_without: State = "missing"


# scripts/install-browser looks for the same.
FONTS = (
    FontNeed("latin", "en", "fonts-liberation"),
    FontNeed("cjk", "ja", "fonts-noto-cjk"),
    FontNeed("emoji", "und-zsye", "fonts-noto-color-emoji"),
    FontNeed("other scripts", "hi", "fonts-noto-core", "warning"),
)

_JAIL_MEANING = {
    JailLevel.FULL: "the browser reaches nothing but the guard, whatever a page does",
    JailLevel.DATAGRAMS: "no UDP leaves the browser; where TCP goes is left to its flags",
    JailLevel.NONE: "what the browser sends is left to its flags",
}


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything that a capture needs, in the order in which one would mend it."""
    return [
        examine_browser(settings.browser),
        examine_sandbox(settings.browser),
        await examine_jail(settings),
        *(examine_font(need) for need in FONTS),
        examine_data_dir(settings.data_dir),
        await examine_database(settings.database_url),
    ]


def examine_browser(settings: BrowserSettings) -> Finding:
    try:
        executable = find_browser(settings)
    except BrowserNotFound as error:
        return Finding("browser", "missing", error.message, INSTALL_COMMAND)
    try:
        said = subprocess.run(  # noqa: S603 -- the operator's own browser
            [executable, "--version"], capture_output=True, text=True, check=True, timeout=_PROBE_TIMEOUT_S
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("browser", "missing", f"{executable} does not run: {error}", INSTALL_COMMAND)
    return Finding("browser", "ok", f"{executable}: {said}")


def examine_sandbox(settings: BrowserSettings) -> Finding:
    if settings.sandbox == "off":
        return Finding("sandbox", "warning", "off by the settings", "set CALOTYPE_BROWSER__SANDBOX=auto")
    possible, reason = sandbox_available()
    if possible:
        return Finding("sandbox", "ok", f"on: {reason}")
    if settings.sandbox == "on":
        return Finding("sandbox", "missing", f"demanded by the settings, but {reason}", sandbox_fix())
    return Finding("sandbox", "warning", f"off: {reason}", sandbox_fix())


async def examine_jail(settings: Settings) -> Finding:
    try:
        program = find_browser(settings.browser)
    except BrowserNotFound:
        program = Path("chromium")
    try:
        jail, listeners = await open_jail(settings.guard, program=program, listen=open_listeners)
    except JailTooWeak as error:
        return Finding("jail", "missing", error.reason, error.fix)
    listeners.close()
    await jail.close()
    means = f" by {' and '.join(jail.means)}" if jail.means else ""
    found = f"{jail.level}{means}: {_JAIL_MEANING[jail.level]}"
    if jail.level is JailLevel.FULL:
        return Finding("jail", "ok", found)
    return Finding("jail", "warning", f"{found} ({'; '.join(jail.lacking)})", jail.fix)


def examine_font(need: FontNeed) -> Finding:
    name = f"fonts, {need.name}"
    lister = shutil.which("fc-list")
    if lister is None:
        return Finding(name, "warning", "fc-list is not installed, so fonts can't be listed", _apt("fontconfig"))
    listed = subprocess.run(  # noqa: S603 -- the languages are the constants above
        [lister, f":lang={need.language}", "family"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_PROBE_TIMEOUT_S,
    ).stdout
    families = sorted({line.split(",")[0].strip() for line in listed.splitlines() if line.strip()})
    if not families:
        return Finding(name, need.state_without, "none: such text comes out as empty boxes", _apt(need.package))
    more = f" and {len(families) - 1} more" if len(families) > 1 else ""
    return Finding(name, "ok", f"{families[0]}{more}")


def examine_data_dir(data_dir: Path) -> Finding:
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not existing.is_dir():
        return Finding("data directory", "missing", f"{existing} is not a directory", "set CALOTYPE_DATA_DIR")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            "data directory",
            "missing",
            f"{existing} is not writable for this user",
            f"chown -R {os.geteuid()}:{os.getegid()} {existing}, or set CALOTYPE_DATA_DIR",
        )
    return Finding("data directory", "ok", f"{data_dir}{'' if existing == data_dir else ' (made on the first start)'}")


async def examine_database(url: str) -> Finding:
    try:
        shown = make_url(url).render_as_string(hide_password=True)
        if _is_sqlite_not_made_yet(url):
            return Finding("database", "ok", f"{shown} (made on the first start)")
        database = Database(url)
        revision = await _revision(database)
    except (CalotypeError, OSError, SQLAlchemyError) as error:
        reason = str(error).splitlines()[0]
        return Finding("database", "missing", reason, "start the database, or correct CALOTYPE_DATABASE__URL")
    unfit = why_unfit(revision)
    if unfit is None:
        return Finding("database", "ok", shown)
    if revision is None or (database.is_sqlite and is_older(revision)):
        return Finding("database", "ok", f"{shown} (brought up to date on the next start)")
    return Finding("database", "missing", f"{shown}: {unfit[0]}", unfit[1])


def effective_settings(settings: Settings) -> dict[str, Any]:
    """Give the tree as plain JSON values, secrets and the passwords inside URLs masked."""
    return {name: _masked(value) for name, value in settings.model_dump(mode="json").items()}


def environment_lines(tree: dict[str, Any], prefix: str = "CALOTYPE_") -> list[tuple[str, Any]]:
    """Flatten the tree to the names that the environment has for its values."""
    lines: list[tuple[str, Any]] = []
    for name, value in tree.items():
        path = prefix + name.upper()
        lines += (
            environment_lines(cast("dict[str, Any]", value), f"{path}__")
            if isinstance(value, dict)
            else [(path, value)]
        )
    return lines


def _is_sqlite_not_made_yet(url: str) -> bool:
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()


async def _revision(database: Database) -> str | None:
    await database.open()
    try:
        return await database.read(revision_of)
    finally:
        await database.close()


def _masked(value: Any) -> Any:
    match value:
        case dict():
            return {name: _masked(entry) for name, entry in cast("dict[str, Any]", value).items()}
        case list():
            return [_masked(entry) for entry in cast("list[Any]", value)]
        case str():
            return _SECRET_PARAMETER.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", value))
        case _:
            return value


def _apt(package: str) -> str:
    return f"apt-get install --no-install-recommends {package}"
