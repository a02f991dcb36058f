"""Jobs while everything around them is killed: each is done, once, with its own picture, stored once and paid once."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres import running_postgres
from tests.site.pictures import opened, pixel

from .server_process import ServerProcess, running_server, running_worker

JOBS = int(os.environ.get("TEST_CHAOS_JOBS", "60"))
"""The suite's own number keeps it short; 1,000 are run by hand."""
SETTINGS = {
    "JOBS__CONCURRENCY": "2",
    "BROWSER__PAGES": "2",
    "JOBS__LEASE_S": "2",
    "JOBS__MAX_ATTEMPTS": "20",  # what kills the processes here is not the pages
    "LOG__FORMAT": "json",
}
NO_PROGRESS_S = 60


def colour(number: int) -> tuple[int, int, int]:
    """Another one for each job."""
    mixed = (number * 0x9E3779 + 0x123456) & 0xFFFFFF
    return mixed >> 16, mixed >> 8 & 0xFF, mixed & 0xFF


@dataclass
class Fleet:
    """Processes by name, each of which may be killed and started again."""

    data_dir: Path
    settings: dict[str, str]
    running: dict[str, tuple[ServerProcess, ExitStack]] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)

    def start(self, name: str, *, is_first_start: bool = False) -> ServerProcess:
        stack = ExitStack()
        if name.startswith("worker"):
            process = stack.enter_context(running_worker(self.data_dir, **self.settings))
        else:
            process = stack.enter_context(running_server(self.data_dir, is_first_start=is_first_start, **self.settings))
        self.running[name] = process, stack
        return process

    def kill(self, name: str) -> None:
        process, stack = self.running.pop(name)
        process.stop(signal.SIGKILL)
        stack.close()
        self.output += process.output

    def close(self) -> None:
        for process, stack in self.running.values():
            stack.close()
            self.output += process.output
        self.running.clear()

    def done_lines(self) -> Counter[str]:
        """How often each job was said to be done. A process may be killed before it has said so."""
        lines = [json.loads(line) for line in self.output if line.startswith("{")]
        return Counter(line["job_id"] for line in lines if line.get("outcome") == "done")


def enqueue(server: ServerProcess, number_of_jobs: int) -> list[str]:
    """In batches; the place in the list is the number that gives the colour."""
    job_ids: list[str] = []
    for start in range(0, number_of_jobs, 1_000):
        jobs = [
            {
                "request": {
                    "html": "<body style='background:#{:02x}{:02x}{:02x}'>".format(*colour(number)),
                    "format": "png",
                    "viewport": {"width": 32, "height": 32},
                },
                "priority": number % 3,
            }
            for number in range(start, min(start + 1_000, number_of_jobs))
        ]
        answer = server.client.post(
            "/v1/jobs/batch", json={"jobs": jobs}, headers={"Authorization": f"Bearer {server.key}"}
        )
        assert answer.status_code == 202, answer.text
        job_ids += [job["job_id"] for job in answer.json()["jobs"]]
    return job_ids


def until_done(count: Callable[[], int], number: int) -> None:
    """Until so many jobs are done: polled, as the processes that could tell are killed. Fails when nothing moves."""
    seen, since = -1, time.monotonic()
    while (now := count()) < number:
        if now != seen:
            seen, since = now, time.monotonic()
        assert time.monotonic() - since < NO_PROGRESS_S, f"{now} of {number} are done, and nothing happens"
        time.sleep(0.05)


def check(fleet: Fleet, server: ServerProcess, job_ids: list[str], ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Everything that was promised."""
    rows = {row[0]: row[1:] for row in ask("SELECT id, status, object_name, body, error FROM jobs")}
    assert set(rows) == set(job_ids)
    assert Counter(status for status, *_ in rows.values()) == {"done": len(job_ids)}
    assert not [row for row in rows.values() if row[2] is not None or row[3] is not None]
    assert ask("SELECT count(*) FROM jobs WHERE attempts > 1") != [(0,)]  # the kills have hit some in mid-capture
    for number, job_id in enumerate(job_ids):
        image = opened(server.client.get(f"/v1/jobs/{job_id}/image").content)
        assert (image.size, pixel(image, 16, 16)) == ((32, 32), colour(number)), job_id
    # A process killed in mid-write leaves a draft of its own, whose name begins with a dot.
    stored = [path.name for path in (fleet.data_dir / "images").rglob("[!.]*") if path.is_file()]
    assert sorted(stored) == sorted(row[1] for row in rows.values())
    assert ask("SELECT state, count(*) FROM ledger GROUP BY state") == [("settled", len(job_ids))]
    assert ask("SELECT sum(reserved), sum(settled) FROM key_usage") == [(0, len(job_ids))]
    fleet.close()
    said = fleet.done_lines()
    assert set(said) <= set(job_ids)
    assert set(said.values()) == {1}


@pytest.mark.timeout(60 + JOBS * 3)
@pytest.mark.parametrize("second", ["worker", "serve"])
def test_two_processes_each_killed_twice_and_the_database_restarted(second: str, tmp_path: Path) -> None:
    with running_postgres() as cluster, ExitStack() as stack:
        url = cluster.make_database()
        fleet = Fleet(tmp_path / "data", {**SETTINGS, "DATABASE__URL": url})
        stack.callback(fleet.close)
        server = fleet.start("serve-1", is_first_start=True)
        second = f"{second}-2"
        fleet.start(second)
        job_ids = enqueue(server, JOBS)

        def ask(query: str) -> list[tuple[Any, ...]]:
            with psycopg.connect(url) as connection:
                return connection.execute(query).fetchall()  # type: ignore[arg-type]

        def done() -> int:
            return int(ask("SELECT count(*) FROM jobs WHERE status = 'done'")[0][0])

        hurts = ["serve-1", second, "database", "serve-1", second]
        dice = random.Random(3)
        for number, hurt in enumerate(hurts, 1):
            until_done(done, JOBS * number // (len(hurts) + 1) + dice.randrange(3))
            if hurt == "database":
                cluster.stop(at_once=True)
                cluster.start()
            else:
                fleet.kill(hurt)
                fleet.start(hurt)
        until_done(done, JOBS)
        check(fleet, fleet.running["serve-1"][0], job_ids, ask)


@pytest.mark.timeout(60 + JOBS * 3)
def test_one_process_on_sqlite_killed_five_times(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "data", SETTINGS)
    with ExitStack() as stack:
        stack.callback(fleet.close)
        job_ids = enqueue(fleet.start("serve", is_first_start=True), JOBS)

        def ask(query: str) -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(fleet.data_dir / "calotype.db")) as connection:
                return connection.execute(query).fetchall()

        def done() -> int:
            return int(ask("SELECT count(*) FROM jobs WHERE status = 'done'")[0][0])

        for number in range(1, 6):
            until_done(done, JOBS * number // 6)
            fleet.kill("serve")
            fleet.start("serve")
        until_done(done, JOBS)
        check(fleet, fleet.running["serve"][0], job_ids, ask)
