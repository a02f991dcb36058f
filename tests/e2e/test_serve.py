"""`calotype serve` from its first line to its exit status, as a real process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.site.server import Site

from .server_process import ServerProcess, running_server, server_environment

CERTIFICATE = Path(__file__).with_name("certificate")


@dataclass
class Started:
    """A server whose first lines are in `lines`; its log goes to `log`."""

    process: subprocess.Popen[str]
    lines: list[str]
    log: Path

    @property
    def url(self) -> str:
        match = re.search(r"https?://[\d.]+:\d+", self.lines[0])
        assert match, self.lines
        return match[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def started(data_dir: Path, *arguments: str, lines: int) -> Iterator[Started]:
    """Start the command and wait for its first lines on standard output."""
    log = data_dir.with_suffix(".log")
    with log.open("w") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "calotype", "serve", "--port", "0", *arguments],
            env={**server_environment(data_dir), "PYTHONUNBUFFERED": ""},
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
        )
        assert process.stdout is not None
        try:
            printed = [process.stdout.readline() for _ in range(lines)]
            assert all(printed), log.read_text()
            yield Started(process, printed, log)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def run_to_its_end(data_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "calotype", "serve", *arguments],
        env=server_environment(data_dir, **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def errors_in(stderr: str) -> list[str]:
    """What is printed beside the log."""
    assert "Traceback" not in stderr
    return [line for line in stderr.splitlines() if not line.startswith("{")]


def test_the_first_start_prints_a_key_that_works_and_the_second_none(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with started(data_dir, lines=4) as first:
        link, command = first.lines[2:]
        key = re.search(r"calo_\w+", first.lines[1])
        assert key is not None
        assert f"{first.url}/#key={key[0]}" in link
        assert key[0] in command
        assert f"curl -G {first.url}/v1/screenshot" in command
        answer = httpx.post(f"{first.url}/v1/screenshot", json={"html": "<p>hi"}, headers={"X-API-Key": key[0]})
        assert answer.status_code == 200
        assert "server" not in answer.headers
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait() == 0
        assert key[0] not in first.log.read_text()
        assert str(answer.headers["X-Request-Id"]) in first.log.read_text()
    with started(data_dir, lines=1) as second:
        assert "calo_" not in second.lines[0]
        assert httpx.get(f"{second.url}/readyz").status_code == 200
        second.process.send_signal(signal.SIGTERM)
        assert second.process.stdout is not None
        assert second.process.stdout.read() == ""
        assert second.process.wait() == 0


def test_a_port_that_is_taken_is_one_line_and_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_to_its_end(tmp_path, "--port", port)
    assert ended.returncode == 1
    assert errors_in(ended.stderr) == [f"Error: Can't listen on 127.0.0.1 port {port}: Address already in use."]
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "named"),
    [
        (["--port", "0"], {"CALOTYPE_BROWSER__EXECUTABLE": "/nonexistent"}, 1, "CALOTYPE_BROWSER__EXECUTABLE"),
        (["--port", "0"], {"CALOTYPE_BROWSER__EXECUTABLE": "/bin/false"}, 1, "/bin/false"),
        (["--port", "0"], {"CALOTYPE_BROWSER__PAGES": "many"}, 2, "CALOTYPE_BROWSER__PAGES"),
        (["--port", "0"], {"CALOTYPE_DATABASE__URL": "oracle://x/y"}, 1, "CALOTYPE_DATABASE__URL"),
        (["--port", "0"], {"CALOTYPE_DATABASE__URL": "sqlite:////proc/none/calotype.db"}, 1, "/proc/none"),
        (["--port", "0", "--allow", "no/net"], {}, 1, "CALOTYPE_GUARD__ALLOW"),
        (
            ["--port", "0"],
            {"CALOTYPE_GUARD__REQUIRE": "datagrams", "CALOTYPE_GUARD__JAIL": "off"},
            1,
            "To mend it: set CALOTYPE_GUARD__JAIL=auto.",
        ),
        (["--port", "0", "--tls-cert", "/nonexistent"], {}, 2, "tls_key"),
        (["--port", "0", "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"], {}, 1, "/nonexistent"),
        (["--host", "host.invalid"], {}, 1, "host.invalid"),
        (["--port", "65536"], {}, 2, "--port"),
    ],
)
def test_what_hinders_the_start_is_named_without_a_traceback(
    arguments: list[str], settings: dict[str, str], status: int, named: str, tmp_path: Path
) -> None:
    ended = run_to_its_end(tmp_path / "data", *arguments, **settings)
    assert ended.returncode == status
    assert ended.stdout == ""
    assert named in errors_in(ended.stderr)[-1]


def test_captures_that_outlive_the_grace_are_told_so(site: Site, tmp_path: Path) -> None:
    with running_server(tmp_path, GUARD__ALLOW=f'["{site.netloc}"]', SERVER__SHUTDOWN_GRACE_S="0.2") as server:
        answers: list[httpx.Response] = []
        before = len(site.seen("/hang"))
        thread = threading.Thread(target=lambda: answers.append(_endless(server, site)))
        thread.start()
        while len(site.seen("/hang")) == before:
            os.sched_yield()
        assert server.stop() == 0
        thread.join()
    assert answers[0].status_code == 503
    assert answers[0].json()["error"]["code"] == "shutting_down"


def _endless(server: ServerProcess, site: Site) -> httpx.Response:
    return server.screenshot(url=f"{site.url}/forever.html", render={"timeout_ms": 60_000})
