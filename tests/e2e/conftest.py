"""One real server for the tests that only ask it things; tests that hurt it start their own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.site.server import Site

from .server_process import ServerProcess, running_server


@pytest.fixture(scope="session")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that may visit the fixture site."""
    with running_server(tmp_path_factory.mktemp("data"), GUARD__ALLOW=json.dumps([site.netloc])) as running:
        yield running
