"""Schemathesis asks a real server what its OpenAPI document allows, and what it forbids, and checks every answer.

A process of its own: its strategies take seconds to make, which no other test should pay for. Which checks hold, and
why two do not, is in `tests/schemathesis/schemathesis.toml`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site.server import Site

from .server_process import ServerProcess, running_server

_HERE = Path(__file__).parent.parent / "schemathesis"
_EXAMPLES = os.environ.get("TEST_SCHEMATHESIS_EXAMPLES", "10")
_PHASES = os.environ.get("TEST_SCHEMATHESIS_PHASES", "examples,fuzzing,stateful")
_SEED = os.environ.get("TEST_SCHEMATHESIS_SEED", "1")
_ADMIN_TOKEN = "schemathesis-" + "t" * 32


@pytest.fixture(scope="module")
def asked(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"GUARD__ALLOW": json.dumps([site.netloc]), "ADMIN__TOKEN": _ADMIN_TOKEN}
    with running_server(tmp_path_factory.mktemp("data"), **settings) as running:
        yield running


@pytest.mark.timeout(0)  # as long as the number of examples takes
def test_every_operation_does_as_documented(asked: ServerProcess, site: Site, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.schemathesis.hooks",
        "CALOTYPE_TEST_KEY": asked.key,
        "CALOTYPE_TEST_ADMIN_TOKEN": _ADMIN_TOKEN,
        "CALOTYPE_TEST_PAGE": f"http://{site.netloc}/status/200",
        "PYTHONPATH": os.pathsep.join([str(_HERE.parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_HERE / "schemathesis.toml")),
            *("run", f"{asked.url}/openapi.json", "--no-color"),
            *("--max-examples", _EXAMPLES, "--phases", _PHASES, "--seed", _SEED),
        ],
        env=environment,
        cwd=tmp_path,  # where it leaves its cache
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4_000:]
    assert "No issues found" in done.stdout
    assert not [line for line in asked.output if "request_crashed" in line]
    captures = [line for line in asked.client.get("/metrics").text.splitlines() if "calotype_captures_total" in line]
    assert any('outcome="ok"' in line for line in captures), captures  # valid requests do reach the browser
