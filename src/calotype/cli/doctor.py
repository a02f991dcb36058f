"""`calotype doctor`: what this machine lacks, the command that mends it, and the settings in effect."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable

import click

from calotype.doctor import Finding, effective_settings, environment_lines, examine
from calotype.settings import Settings

_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}
_NAME_WIDTH = 21


@click.command(short_help="Say what this machine lacks, and the settings in effect.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def doctor(load: Callable[..., Settings], as_json: bool) -> None:
    """Look for everything that captures need, and print the command that mends what is missing.

    Then the settings in effect, secrets masked. Exits with status 1 if something needed is missing.
    """
    settings = load()
    findings = asyncio.run(examine(settings))
    healthy = all(finding.state != "missing" for finding in findings)
    tree = effective_settings(settings)
    if as_json:
        report = {"ok": healthy, "findings": [dataclasses.asdict(finding) for finding in findings], "settings": tree}
        click.echo(json.dumps(report, indent=2))
    else:
        for finding in findings:
            _print_finding(finding)
        click.echo()
        for name, value in environment_lines(tree):
            click.echo(f"{name} (unset)" if value is None else f"{name}={_environment_value(value)}")
    click.get_current_context().exit(0 if healthy else 1)


def _print_finding(finding: Finding) -> None:
    state = click.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
    click.echo(f"{state} {finding.name:<{_NAME_WIDTH}} {finding.found}")
    if finding.fix:
        click.echo(f"{'':8} {'':{_NAME_WIDTH}} mend it: {finding.fix}")


def _environment_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
