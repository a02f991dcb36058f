"""What a hostile page costs the others: ordinary captures alone, beside ordinary ones, and beside hostile ones.

    python -m bench.neighbours [--rounds N] [--each N]

The situations take turns, so that a noisy machine is noisy for all of them. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.server_process import ServerProcess, running_server
from tests.site.server import Site, running_site

_KINDS = ("cpu_spin", "worker_fork", "heap_hog", "buffer_hog", "dom_flood", "endless_body", "gzip_bomb")
_BESIDE = 2


@contextmanager
def _beside(server: ServerProcess, url: str | None, render: dict[str, object]):  # type: ignore[no-untyped-def]
    """Keep `_BESIDE` captures of the URL running for as long as the block does."""
    enough = threading.Event()

    def again() -> None:
        while url is not None and not enough.is_set():
            server.screenshot(url=url, render=render)

    threads = [threading.Thread(target=again) for _ in range(_BESIDE)]
    for thread in threads:
        thread.start()
    time.sleep(0 if url is None else 1.5)
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def _measure(server: ServerProcess, site: Site, each: int) -> list[float]:
    taken: list[float] = []
    for _ in range(each):
        started = time.perf_counter()
        answer = server.screenshot(url=f"{site.url}/blocks.html")
        taken.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, answer.text
    return taken


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--each", type=int, default=10, help="captures measured a round")
    arguments.add_argument("--kinds", nargs="*", default=_KINDS)
    arguments.add_argument("--page-cpu-s", nargs="*", default=["2"], help="values of BROWSER__PAGE_CPU_S to compare")
    given = arguments.parse_args()
    kept_open = {"timeout_ms": 6000, "delay_ms": 5000}
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    with running_site() as site:
        situations = {"alone": (None, {}), "ordinary": (f"{site.url}/tall.html", {})}
        situations |= {kind: (f"{site.url}/hostile/{kind}", kept_open) for kind in given.kinds}
        for _ in range(given.rounds):
            for page_cpu_s in given.page_cpu_s:
                settings = {"GUARD__ALLOW": json.dumps([site.netloc]), "BROWSER__PAGE_CPU_S": page_cpu_s}
                with tempfile.TemporaryDirectory() as data, running_server(Path(data), **settings) as server:
                    for name, (url, render) in situations.items():
                        with _beside(server, url, render):
                            taken[name, page_cpu_s] += _measure(server, site, given.each)
    print(f"| beside {_BESIDE} captures of | page_cpu_s | median | p95 |\n| --- | --- | --- | --- |")
    for (name, page_cpu_s), values in taken.items():
        p95 = statistics.quantiles(values, n=20)[-1]
        print(f"| {name} | {page_cpu_s} | {statistics.median(values):.0f} ms | {p95:.0f} ms |")


if __name__ == "__main__":
    main()
