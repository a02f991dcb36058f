"""A real `calotype serve` process for tests, and a small client of it."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.site.pictures import opened

_STOP_S = 90  # what systemd gives a service before it kills it (TimeoutStopSec)
_RUNS_JOBS = re.compile("calotype runs jobs")
_ADDRESS = re.compile(r"http://[\d.]+:\d+")


@dataclass
class ServerProcess:
    """A running server. `output` grows with what it prints, logs included."""

    process: subprocess.Popen[str]
    url: str
    key: str
    data_dir: Path
    client: httpx.Client
    output: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def screenshot(self, **body: Any) -> httpx.Response:
        """POST /v1/screenshot with the first key."""
        return self.client.post("/v1/screenshot", json=body, headers={"Authorization": f"Bearer {self.key}"})

    def picture(self, **body: Any) -> tuple[Image.Image, dict[str, Any]]:
        """The decoded picture of a capture that must succeed, and its meta."""
        answer = self.screenshot(**body)
        assert answer.status_code == 200, answer.text
        return opened(base64.b64decode(answer.json()["image_base64"])), answer.json()["meta"]

    def error(self, status: int, **body: Any) -> dict[str, Any]:
        """The error of a capture that must fail with this status."""
        answer = self.screenshot(**body)
        assert answer.status_code == status, answer.text[:500]
        assert answer.json()["ok"] is False
        return answer.json()["error"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait()


def server_environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Our own environment without anything that configures calotype, and the settings given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALOTYPE_")}
    return {**kept, "CALOTYPE_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **settings}


@contextmanager
def running_server(
    data_dir: Path,
    *arguments: str,
    prefix: Sequence[str] = (),
    transport: httpx.BaseTransport | None = None,
    is_first_start: bool = True,
    **settings: str,
) -> Iterator[ServerProcess]:
    """Start `calotype serve` on a free port and wait until it has printed its address and key.

    Args:
        prefix: a command that runs the rest of its line, e.g. `nsenter`.
        transport: how its client gets there, if not the usual way.
        is_first_start: on this database, so that it prints a key.
        settings: environment variables without the prefix, e.g. `GUARD__ALLOW='["127.0.0.1"]'`.
    """
    environment = server_environment(data_dir, **{f"CALOTYPE_{name}": value for name, value in settings.items()})
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "calotype", "serve", "--port", "0", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output: list[str] = []
    told = threading.Event()
    found: dict[str, str] = {}

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if "url" not in found and (match := _ADDRESS.search(line)):
                found["url"] = match[0]
            if "key" not in found and (match := re.search(r"\bcalo_\w+", line)):
                found["key"] = match[0]
            if "url" in found and ("key" in found or not is_first_start):
                told.set()
        told.set()

    reader = threading.Thread(target=read, name="server-output", daemon=True)
    reader.start()
    try:
        told.wait(60)
        assert "url" in found, f"the server did not start:\n{''.join(output)}"
        with httpx.Client(base_url=found["url"], timeout=150, transport=transport) as client:
            yield ServerProcess(process, found["url"], found.get("key", ""), data_dir, client, output)
    finally:
        _end(process, reader, output)


@contextmanager
def running_worker(data_dir: Path, **settings: str) -> Iterator[ServerProcess]:
    """Start `calotype worker` and wait until it runs jobs; arguments as for `running_server`. It serves nothing but its
    state, and that with `WORKER__METRICS_PORT` only."""
    environment = server_environment(data_dir, **{f"CALOTYPE_{name}": value for name, value in settings.items()})
    process = subprocess.Popen(
        [sys.executable, "-m", "calotype", "worker"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output: list[str] = []
    told = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if _RUNS_JOBS.match(line):
                told.set()
        told.set()

    reader = threading.Thread(target=read, name="worker-output", daemon=True)
    reader.start()
    try:
        told.wait(60)
        assert any(map(_RUNS_JOBS.match, output)), f"the worker did not start ({process.poll()}):\n{''.join(output)}"
        url = next((match[0] for line in output if _RUNS_JOBS.match(line) and (match := _ADDRESS.search(line))), "")
        with httpx.Client(base_url=url) as client:
            yield ServerProcess(process, url, "", data_dir, client, output)
    finally:
        _end(process, reader, output)


def _end(process: subprocess.Popen[str], reader: threading.Thread, output: list[str]) -> None:
    """Ask it to stop. One that does not is killed, with its stacks and last words in the error."""
    is_stuck = False
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            is_stuck = True
            process.send_signal(signal.SIGABRT)
            process.wait()
    reader.join()
    if process.stdout is not None:
        process.stdout.close()
    assert not is_stuck, f"{process.args} did not stop in {_STOP_S} s:\n{''.join(output[-60:])}"
