"""`calotype db` as an operator types it, and what servers do with the database afterwards."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import insert

from calotype.database import HEAD_REVISION, driver_url
from calotype.database.direct import transaction
from calotype.schema import ledger
from tests.integration.test_revisions import OLDER, downgrade
from tests.postgres import PostgresCluster, running_postgres
from tests.site.server import Site

from .server_process import running_server, server_environment
from .test_accounts import ask, make_key, settings_for

CREATED_US = 1_900_000_000_000_000


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresCluster]:
    with running_postgres() as cluster:
        yield cluster


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "calotype", *arguments]


def calotype(data_dir: Path, *arguments: str, url: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(data_dir, url),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def environment(data_dir: Path, url: str | None = None) -> dict[str, str]:
    return server_environment(data_dir, **({"CALOTYPE_DATABASE__URL": url} if url else {}))


def checked(data_dir: Path, url: str | None = None) -> tuple[int, dict[str, Any]]:
    answer = calotype(data_dir, "db", "check", "--json", url=url)
    assert answer.stdout, answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def to_an_older_revision(url: str) -> None:
    with transaction(driver_url(url)) as connection:
        downgrade(connection)


def tables(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()


def test_keys_and_credits_of_a_file_go_on_in_postgresql(site: Site, tmp_path: Path, postgres: PostgresCluster) -> None:
    settings, new_url = settings_for(site), postgres.make_database()
    body = {"url": f"{site.url}/blocks.html", "format": "png"}
    with running_server(tmp_path, **settings) as server:
        key = make_key(tmp_path, settings, "hundred")
        first = ask(server, key, {"Idempotency-Key": "one"}, **body)
        assert first.status_code == ask(server, key, **body).status_code == 200
        failed = ask(server, key, url=body["url"], selector="#nowhere", render={"timeout_ms": 1000})
        assert (failed.status_code, failed.headers["X-Credits-Remaining"]) == (400, "98")
        first_key, before = server.key, usage(server.client, key)
        refused = calotype(tmp_path, "db", "copy", "--to", new_url)
        assert refused.returncode == 1
        assert f"{tmp_path}/calotype.db is in use. Stop the server" in refused.stderr
        assert server.stop() == 0

    copied = calotype(tmp_path, "db", "copy", "--to", new_url)
    assert copied.returncode == 0, copied.stderr
    rows = dict(line.split() for line in copied.stdout.splitlines()[1:])
    assert (rows["api_keys"], rows["key_usage"], rows["ledger"]) == ("2", "1", "3")
    assert f"{tmp_path}/pepper" in copied.stderr
    assert checked(tmp_path, new_url)[0] == 0
    again = calotype(tmp_path, "db", "copy", "--to", new_url)
    assert again.returncode == 1
    assert "The target is not empty" in again.stderr

    # Another machine: nothing of the old data directory but what the documentation says.
    new_dir = tmp_path / "elsewhere"
    new_dir.mkdir()
    (new_dir / "pepper").write_bytes((tmp_path / "pepper").read_bytes())
    (new_dir / "images").symlink_to(tmp_path / "images")
    new_settings = settings_for(site, new_url)
    with running_server(new_dir, is_first_start=False, **new_settings) as server:
        assert usage(server.client, key) == before
        replayed = ask(server, key, {"Idempotency-Key": "one"}, **body)
        assert (replayed.content, replayed.headers["X-Credits-Remaining"]) == (first.content, "98")
        assert ask(server, key, **body).headers["X-Credits-Remaining"] == "97"
        assert ask(server, first_key, **body).status_code == 200
        assert not [line for line in server.output if "shown this once" in line]
        assert checked(new_dir, new_url)[0] == 0  # beside a server


def test_jobs_that_waited_in_a_file_are_done_in_postgresql(
    site: Site, tmp_path: Path, postgres: PostgresCluster
) -> None:
    new_url = postgres.make_database()
    settings = settings_for(site) | {"JOBS__CONCURRENCY": "1", "SERVER__SHUTDOWN_GRACE_S": "0"}
    request = {"url": f"{site.url}/blocks.html", "viewport": {"width": 64, "height": 64}}
    with running_server(tmp_path, **settings) as server:
        headers = {"Authorization": f"Bearer {server.key}"}
        endless = {"url": f"{site.url}/forever.html", "render": {"timeout_ms": 60_000}}
        _, *waiting = [enqueue(server.client, headers, each) for each in (endless, request, request, request)]
        assert server.stop() == 0
    copied = calotype(tmp_path, "db", "copy", "--to", new_url)
    assert ["jobs", "4"] in [line.split() for line in copied.stdout.splitlines()], copied.stderr
    with running_server(tmp_path, is_first_start=False, **settings_for(site, new_url)) as server:
        for job_id in [*waiting, enqueue(server.client, headers, request)]:
            job = server.client.get(f"/v1/jobs/{job_id}", params={"wait": 60}, headers=headers).json()
            assert job["status"] == "done", job
    assert checked(tmp_path, new_url)[0] == 0


def enqueue(client: httpx.Client, headers: dict[str, str], request: dict[str, Any]) -> str:
    answer = client.post("/v1/jobs", json={"request": request}, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["job_id"]


def usage(client: httpx.Client, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/v1/usage", headers={"X-API-Key": key}).json()
    assert answer["credits"]["used"] == 2
    return {name: value for name, value in answer.items() if name != "request_id"}


def test_a_copy_killed_in_its_middle_leaves_nothing_and_can_be_done_again(
    tmp_path: Path, postgres: PostgresCluster
) -> None:
    assert calotype(tmp_path, "keys", "create", "--plan", "free").returncode == 0
    with transaction(driver_url(f"sqlite:///{tmp_path}/calotype.db")) as connection:
        key_id = connection.exec_driver_sql("SELECT id FROM api_keys").scalar_one()
        rows = [ledger_row(key_id, number) for number in range(100_000)]
        connection.execute(insert(ledger), rows)
    new_url = postgres.make_database()
    with subprocess.Popen(
        command("db", "copy", "--to", new_url),
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as copying:
        assert copying.stderr is not None
        while (line := copying.stderr.readline()) != "copying ledger\n":
            assert line, "it ended before"
        copying.kill()
    assert copying.returncode == -signal.SIGKILL
    assert tables(new_url) == []
    assert checked(tmp_path)[0] == 0
    copied = calotype(tmp_path, "db", "copy", "--to", new_url)
    assert copied.returncode == 0, copied.stderr
    assert ["ledger", "100000"] in [line.split() for line in copied.stdout.splitlines()]


def ledger_row(key_id: str, number: int) -> dict[str, Any]:
    return {
        **{"request_id": f"request-{number}", "key_id": key_id, "period_start": datetime(2030, 1, 1, tzinfo=UTC)},
        **{"state": "refunded", "reason": "page_crashed", "created_us": CREATED_US, "lease_us": CREATED_US + number},
    }


def test_an_older_postgresql_stops_everything_but_db_until_the_operator_upgrades(
    tmp_path: Path, postgres: PostgresCluster
) -> None:
    url = postgres.make_database()
    assert checked(tmp_path, url)[1]["problems"][0]["fix"] == "Run `calotype db upgrade`."
    assert calotype(tmp_path, "keys", "create", "--plan", "free", url=url).returncode == 0  # an empty one is set up
    to_an_older_revision(url)
    for arguments in (["serve", "--port", "0"], ["keys", "list"]):
        stopped = calotype(tmp_path, *arguments, url=url)
        assert stopped.returncode == 1
        assert stopped.stderr.splitlines()[-1] == (
            f"Error: The database is of revision {OLDER}, and this version of calotype needs {HEAD_REVISION}. "
            "Run `calotype db upgrade`."
        )
    assert "mend it: Run `calotype db upgrade`." in calotype(tmp_path, "doctor", url=url).stdout
    status, report = checked(tmp_path, url)
    assert (status, report["ok"], report["revision"], report["needed_revision"]) == (1, False, OLDER, HEAD_REVISION)

    upgrades = [
        subprocess.Popen(command("db", "upgrade"), env=environment(tmp_path, url), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(upgrade.communicate(timeout=60)[0] for upgrade in upgrades)
    assert [upgrade.returncode for upgrade in upgrades] == [0, 0]
    assert said == [
        f"The database is brought from revision {OLDER} to revision {HEAD_REVISION}.\n",
        f"The database is of revision {HEAD_REVISION} already: nothing to do.\n",
    ]
    assert checked(tmp_path, url) == (
        0,
        {"ok": True, "database": url, "revision": HEAD_REVISION, "needed_revision": HEAD_REVISION, "problems": []},
    )
    assert calotype(tmp_path, "keys", "list", url=url).returncode == 0


def test_a_file_is_made_and_brought_up_to_date_by_whoever_comes(tmp_path: Path) -> None:
    status, report = checked(tmp_path / "data")
    assert (status, report["ok"]) == (1, False)
    assert report["problems"][0]["problem"] == f"There is no database at {tmp_path}/data/calotype.db yet."
    assert not (tmp_path / "data").exists()
    made = calotype(tmp_path / "data", "db", "upgrade")
    assert made.stdout == f"The database is brought from nothing to revision {HEAD_REVISION}.\n"
    to_an_older_revision(f"sqlite:///{tmp_path}/data/calotype.db")
    assert checked(tmp_path / "data")[0] == 1
    assert calotype(tmp_path / "data", "keys", "list").returncode == 0
    sound = calotype(tmp_path / "data", "db", "check")
    assert sound.returncode == 0
    assert f"is up to date (revision {HEAD_REVISION}) and sound" in sound.stdout


def test_a_newer_database_stops_everything(tmp_path: Path) -> None:
    assert calotype(tmp_path, "db", "upgrade").returncode == 0
    with closing(sqlite3.connect(tmp_path / "calotype.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    others = (["db", "copy", "--to", f"sqlite:///{tmp_path}/other.db"], ["db", "check"], ["db", "upgrade"])
    for arguments in (["serve", "--port", "0"], ["keys", "list"], *others):
        stopped = calotype(tmp_path, *arguments)
        assert stopped.returncode == 1
        assert "Install the newer calotype" in stopped.stderr


def test_what_can_not_be_reached_or_read_is_one_sentence_with_its_fix(tmp_path: Path) -> None:
    nobody = "postgresql://calotype:hunter2@127.0.0.1:1/calotype?connect_timeout=2"
    for arguments in (["db", "check"], ["db", "upgrade"]):
        answer = calotype(tmp_path, *arguments, url=nobody)
        assert answer.returncode == 1
        assert len(answer.stderr.splitlines()) == 1
        assert "hunter2" not in answer.stdout + answer.stderr
    (tmp_path / "calotype.db").write_bytes(b"no database at all " * 100)
    [problem] = checked(tmp_path)[1]["problems"]
    assert "not a database" in problem["problem"]
    assert problem["fix"] == "Restore a backup."


def test_a_wrong_target_is_named_by_its_option(tmp_path: Path) -> None:
    assert calotype(tmp_path, "db", "upgrade").returncode == 0
    wrong = calotype(tmp_path, "db", "copy", "--to", "mysql://host/name")
    assert wrong.returncode == 1
    assert "--to: calotype has no mysql" in wrong.stderr
    unreachable = calotype(tmp_path, "db", "copy", "--to", "postgresql://me:hunter2@127.0.0.1:1/calotype")
    assert unreachable.returncode == 1
    assert "hunter2" not in unreachable.stderr
    assert checked(tmp_path)[0] == 0
