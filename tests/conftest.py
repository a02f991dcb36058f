"""What every test may use. Settings come from the tests alone: the environment's are removed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.site.server import Site, running_site


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CALOTYPE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The fixture site, one for the whole run."""
    with running_site() as running:
        yield running
