"""Starts what a run needs and talks to it: the corpus server, the workers of the sides, the calotype server.

`Bench` is a context manager; whatever way it is left, the processes that it started are ended, and a process that did
not end by itself is reported, never passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.corpus import make_corpus
from bench.http import Server
from bench.processes import Tree

if TYPE_CHECKING:
    from types import TracebackType

SIDES = ("floor", "calotype", "playwright", "playwright-cdp")
_MODULES = {
    "floor": ["bench.floor"],
    "playwright": ["bench.playwright_loop", "screenshot"],
    "playwright-cdp": ["bench.playwright_loop", "cdp"],
}


@dataclass(frozen=True)
class Block:
    """What one side did in one go: its shots, the seconds, the CPU seconds of its processes."""

    elapsed_s: float
    shots: list[dict[str, Any]]
    cpu_s: float
    client_cpu_s: float  # of the HTTP client, which is no part of the side; 0 where the loop is the side itself
    faults: list[dict[str, str]]


class Worker:
    """A side in its own process; `server` is the calotype behind it, if it is that side."""

    def __init__(self, name: str, argv: list[str], directory: Path, server: Server | None = None) -> None:
        self.name = name
        self.server = server
        self._log = directory / f"{name}.log"
        self.tree = Tree(
            f"{name}-client" if server else name,
            [sys.executable, "-m", *argv],
            env={**os.environ, "TMPDIR": str(directory)},  # a profile left by a killed browser goes with it
            log=self._log,
        )
        self._receive()

    def run(self, targets: list[list[str]], clients: int, image_format: str, probes: dict[str, Any]) -> Block:
        measured = self.server.tree if self.server else self.tree
        cpu_before, own_before = measured.cpu_seconds(), self.tree.cpu_seconds()
        answer = self._ask({"do": "run", "targets": targets, "clients": clients, "format": image_format})
        cpu_s, own_s = measured.cpu_seconds() - cpu_before, self.tree.cpu_seconds() - own_before
        faults = self._ask({"do": "verify", "probes": probes})["faults"]
        return Block(answer["elapsed_s"], answer["shots"], cpu_s, own_s if self.server else 0.0, faults)

    def close(self) -> list[int]:
        return self.tree.close()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self.tree.process.stdin
        self.tree.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.tree.process.stdin.flush()
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self.tree.process.stdout
        line = self.tree.process.stdout.readline()
        if not line:
            raise SystemExit(f"the worker of {self.name} ended:\n{self._log.read_text(errors='replace')[-3000:]}")
        return json.loads(line)


class Bench:
    """The corpus, served, and one worker per side."""

    def __init__(self, sides: tuple[str, ...], executable: str) -> None:
        self.workers: dict[str, Worker] = {}
        self.pages: list[dict[str, Any]] = []
        self.probes: dict[str, Any] = {}
        self._sides = sides
        self._executable = executable
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        with contextlib.ExitStack() as exits:
            directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="calotype-bench-")))
            make_corpus(directory / "corpus")
            self.pages = json.loads((directory / "corpus" / "corpus.json").read_text())
            self.probes = {page["name"]: page["probes"] for page in self.pages}
            site = subprocess.Popen(
                [sys.executable, "-m", "bench.site", str(directory / "corpus")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            exits.callback(_end, site)
            assert site.stdout
            self._port = int(site.stdout.readline())
            for side in self._sides:
                self._start(side, directory, exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def targets(self, *names: str) -> list[list[str]]:
        """Give [name, url] of the pages named, of all pages without names."""
        return [
            [page["name"], f"http://127.0.0.1:{self._port}{page['path']}"]
            for page in self.pages
            if not names or page["name"] in names
        ]

    def _start(self, side: str, directory: Path, exits: contextlib.ExitStack) -> None:
        server, argv = None, _MODULES.get(side, [])
        if side == "calotype":
            data = directory / "data"
            data.mkdir()
            server = Server(data, self._port, self._executable)
            argv = ["bench.http", str(server.port), server.key]
            exits.callback(_close, side, server)
        self.workers[side] = Worker(side, argv, directory, server)
        exits.callback(_close, side, self.workers[side])


def _close(name: str, process: Worker | Server) -> None:
    if left := process.close():
        print(f"{name}: {len(left)} processes did not end by themselves and were killed", file=sys.stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
