"""Runs the benchmark: `python -m bench.run`, see `bench/README.md`.

The sides take turns, page by page for latency and block by block for throughput, and who begins changes from round to
round: a slow minute of the machine falls on all of them. Ratios are made within a round, then their median is taken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import report
from bench.chromium import find_executable, version
from bench.processes import is_chromium, memory_bytes, tree_of
from bench.sides import SIDES, Bench, Block, Worker

_RESULTS = Path(__file__).parent / "results"
_DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_MEMORY_STEP = 25  # captures between two looks at the memory


def machine_facts(executable: str) -> dict[str, Any]:
    """Name what the figures depend on."""
    model = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    total_kb = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model[0] if model else platform.machine(),
        "memory_gib": round(total_kb / 2**20, 1),
        "kernel": platform.release().split("-")[0],
        "chromium": version(executable),
        "chromium_binary": Path(executable).name,
        "python": platform.python_version(),
        "playwright": metadata.version("playwright"),
        "calotype": metadata.version("calotype"),
        "load_before": round(os.getloadavg()[0], 2),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _in_turn(workers: list[Worker], round_number: int) -> list[Worker]:
    first = round_number % len(workers)
    return workers[first:] + workers[:first]


class Run:
    """One run of the benchmark; collects `results`, which the report is made of."""

    def __init__(self, bench: Bench, options: argparse.Namespace) -> None:
        self._bench = bench
        self._options = options
        self._workers = list(bench.workers.values())
        self.results: dict[str, Any] = {"faults": {worker.name: [] for worker in self._workers}}

    def warm_up(self) -> None:
        """Two unmeasured shots of each page; a side that fails here has nothing to be measured."""
        for worker in self._workers:
            faults = self._block(worker, self._bench.targets() * 2, 2).faults
            if faults:
                raise SystemExit(f"{worker.name} can't shoot the corpus: {faults[:3]}")

    def latency(self) -> None:
        """One shot at a time, one side after the other, page by page."""
        shots: dict[str, dict[str, list[dict[str, Any]]]] = {worker.name: {} for worker in self._workers}
        for number in range(self._options.latency_rounds):
            for target in self._bench.targets():
                for worker in _in_turn(self._workers, number):
                    shot = self._block(worker, [target], 1).shots[0]
                    if not shot["error"]:
                        shots[worker.name].setdefault(target[0], []).append(shot)
            _progress(f"latency round {number + 1}/{self._options.latency_rounds}")
        self.results["latency"] = shots

    def throughput(self) -> None:
        """Closed loops: each client asks for its next picture when it has the last one."""
        found: dict[str, list[dict[str, dict[str, float]]]] = {}
        for clients in self._options.clients:
            for number in range(self._options.rounds):
                targets = self._bench.targets() * (-(-self._options.shots // len(self._bench.pages)))
                random.Random(number).shuffle(targets)
                blocks = {
                    worker.name: self._figures(self._block(worker, targets, clients))
                    for worker in _in_turn(self._workers, number)
                }
                found.setdefault(str(clients), []).append(blocks)
                per_s = ", ".join(f"{side} {figures['shots_per_s']:.2f}" for side, figures in blocks.items())
                _progress(f"{clients} clients, round {number + 1}/{self._options.rounds}: {per_s} shots/s")
        self.results["throughput"] = found

    @staticmethod
    def _figures(block: Block) -> dict[str, float]:
        good = len(block.shots) - len(block.faults)
        times = [shot["ms"] for shot in block.shots]
        return {
            "shots": len(block.shots),
            "good": good,
            "shots_per_s": good / block.elapsed_s,
            "median_ms": report.median(times),
            "p95_ms": report.percentile(times, 95),
            "cpu_s": block.cpu_s,
            "client_cpu_s": block.client_cpu_s,
            "shots_per_cpu_s": good / block.cpu_s if block.cpu_s else 0.0,
        }

    def memory(self) -> None:
        """Look at the processes of each side that has a server (and of the floor) while it takes many pictures."""
        found: dict[str, list[dict[str, float]]] = {}
        for worker in self._workers:
            if worker.name not in ("calotype", "floor"):
                continue
            measured = (worker.server.tree if worker.server else worker.tree).pid
            samples = found.setdefault(worker.name, [_memory_of(measured, 0)])
            targets = self._bench.targets() * (-(-_MEMORY_STEP // len(self._bench.pages)))
            for shot in range(_MEMORY_STEP, self._options.memory_captures + 1, _MEMORY_STEP):
                with _PeakOfBrowser(measured) as peak:
                    self._block(worker, targets[:_MEMORY_STEP], 4)
                samples.append(_memory_of(measured, shot) | {"browser_busy_pss_mb": peak.mb})
            last = samples[-1]
            _progress(f"{worker.name}: process {last['own_pss_mb']} MB, browser {last['browser_pss_mb']} MB (PSS)")
        self.results["memory"] = found

    def _block(self, worker: Worker, targets: list[list[str]], clients: int) -> Block:
        block = worker.run(targets, clients, self._options.format, self._bench.probes)
        self.results["faults"][worker.name] += block.faults
        return block


def _memory_of(pid: int, captures: int) -> dict[str, float]:
    """Give MB (10^6 bytes) of the process itself and of the browser's processes below it."""
    tree = tree_of(pid)
    own = memory_bytes(pid)
    browser = [memory_bytes(member)["pss"] for member in tree if is_chromium(member)]
    other = [memory_bytes(member)["pss"] for member in tree[1:] if not is_chromium(member)]
    return {
        "captures": captures,
        "own_rss_mb": round(own["rss"] / 1e6, 1),
        "own_pss_mb": round(own["pss"] / 1e6, 1),
        "browser_pss_mb": round(sum(browser) / 1e6, 1),
        "browser_busy_pss_mb": round(sum(browser) / 1e6, 1),
        "browser_processes": len(browser),
        "other_pss_mb": round(sum(other) / 1e6, 1),
    }


class _PeakOfBrowser:
    """Watches the browser's PSS from a thread; `mb` is the most it saw. Only where nothing is timed."""

    def __init__(self, pid: int) -> None:
        self.mb = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _PeakOfBrowser:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.mb = max(self.mb, _memory_of(self._pid, 0)["browser_pss_mb"])


def _progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--format", choices=("png", "jpeg"), default="png")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 2, 4, 8], help="concurrencies (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="blocks per side and concurrency (%(default)s)")
    parser.add_argument("--shots", type=int, default=48, help="shots per block, whole corpora (%(default)s)")
    parser.add_argument("--latency-rounds", type=int, default=20, help="single shots per page and side (%(default)s)")
    parser.add_argument("--memory-captures", type=int, default=500, help="0 leaves memory out (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few minutes at most: 2 rounds, 1 and 4 clients")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--from-json", type=Path, help="only report on this earlier result")
    options = parser.parse_args(arguments)
    if options.quick:
        options.clients, options.rounds, options.shots = [1, 4], 2, 16
        options.latency_rounds, options.memory_captures = 3, 50
    return options


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    executable = find_executable()
    machine = machine_facts(executable)
    _progress(f"machine: {json.dumps(machine)}")
    asked = {name: value for name, value in vars(options).items() if name not in ("write_docs", "from_json")}
    with Bench(tuple(dict.fromkeys(options.sides)), executable) as bench:
        machine["cpu_counted_by"] = next(iter(bench.workers.values())).tree.counting
        run = Run(bench, options)
        run.warm_up()
        if options.latency_rounds:
            run.latency()
        if options.rounds:
            run.throughput()
        if options.memory_captures:
            run.memory()
    machine["load_after"] = round(os.getloadavg()[0], 2)
    return {"machine": machine, "options": asked, **run.results}


def main() -> None:
    options = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the processes started are ended too
    if options.from_json:
        results = json.loads(options.from_json.read_text())
    else:
        results = _measure(options)
        _RESULTS.mkdir(exist_ok=True)
        file = _RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{options.format}.json"
        file.write_text(json.dumps(results, indent=1))
        _progress(f"written: {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    print(report.markdown(results))
    if options.write_docs:
        others = report.own_sections(_DOCS.read_text()) if _DOCS.exists() else ""
        _DOCS.write_text(f"{report.document(results)}\n{others}".rstrip() + "\n")


if __name__ == "__main__":
    main()
