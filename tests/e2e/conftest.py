"""One real server for the tests that only ask it things; tests that hurt it start their own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from calotype.browser.discover import find_browser
from calotype.settings import BrowserSettings
from tests.site.server import Site

from .server_process import ServerProcess, running_server


@pytest.fixture(scope="session")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that may visit the fixture site."""
    with running_server(tmp_path_factory.mktemp("data"), GUARD__ALLOW=json.dumps([site.netloc])) as running:
        yield running


@pytest.fixture(scope="session")
def isolating(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose Chromium gives each site a process of its own."""
    directory = tmp_path_factory.mktemp("isolating")
    executable = directory / "chromium"
    executable.write_text(f'#!/bin/sh\nexec "{find_browser(BrowserSettings())}" --site-per-process "$@"\n')
    executable.chmod(0o755)
    allow = json.dumps([site.netloc])
    with running_server(directory, GUARD__ALLOW=allow, BROWSER__EXECUTABLE=str(executable)) as running:
        yield running


@pytest.fixture(params=["server", "isolating"])
def either(request: pytest.FixtureRequest) -> ServerProcess:
    return request.getfixturevalue(request.param)
