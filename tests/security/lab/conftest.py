"""One laboratory for all its tests; after each of them nothing may have happened that the rules forbid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.server_process import ServerProcess

from .laboratory import Laboratory, running_laboratory
from .namespace import NoLaboratory


@pytest.fixture(scope="session")
def _laboratory() -> Iterator[Laboratory]:
    with ExitStack() as stack:
        try:
            laboratory = stack.enter_context(running_laboratory())
        except NoLaboratory as reason:
            pytest.skip(f"no laboratory: {reason}")
        yield laboratory


@pytest.fixture(autouse=True)
def lab(_laboratory: Laboratory) -> Iterator[Laboratory]:
    """The laboratory. Nothing is forgotten between two tests: what comes late is the next one's failure."""
    yield _laboratory
    assert not _laboratory.findings()


@pytest.fixture(scope="session")
def lab_server(_laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server, with Chromium's flags as they are."""
    with _laboratory.running_server(tmp_path_factory.mktemp("lab-server")) as server:
        yield server


@pytest.fixture(scope="session")
def trusting_server(_laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose Chromium opens our https pages."""
    with _laboratory.running_server(tmp_path_factory.mktemp("lab-tls"), trusting=True) as server:
        yield server


@pytest.fixture(scope="session")
def unjailed_server(_laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose Chromium is kept in by its flags alone, as where the kernel knows no jail."""
    with _laboratory.running_server(tmp_path_factory.mktemp("lab-unjailed"), GUARD__JAIL="off") as server:
        yield server
