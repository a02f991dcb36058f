"""`calotype webhooks` as it is typed: real processes, what they print where, and how they end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from calotype.accounts.key_text import random_key
from calotype.accounts.opening import open_accounts
from calotype.schema import webhook_deliveries
from calotype.settings import Settings
from calotype.signing import link_secret, webhook_secret
from calotype.webhooks import table
from calotype.webhooks.schedule import Outcome
from calotype.webhooks.signature import read_secret
from calotype.webhooks.table import DeliveryInfo, Lanes, Message

from .server_process import server_environment


def calotype_webhooks(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "calotype", "webhooks", *arguments],
        env=server_environment(data_dir, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def ids(tmp_path: Path) -> list[str]:
    """Deliveries of the jobs `one` and `two`: failed a moment ago, failed long ago."""

    def fail(connection: Connection, key_id: str) -> list[str]:
        messages = [Message(job_id, key_id, "https://example.com/", "{}") for job_id in ("one", "two")]
        posted = table.post(connection, messages)
        for each in table.claim_due(connection, 2, lease_s=60, under_way=[], lanes=Lanes(9, 9)).deliveries:
            table.record(connection, each, Outcome(410), spread=0)
        connection.execute(update(webhook_deliveries).where(webhook_deliveries.c.id == posted[1]).values(ended_us=1))
        return posted

    async def prepare() -> list[str]:
        async with open_accounts(Settings(data_dir=tmp_path)) as (database, keys):
            new = await keys.create("free")
            return await database.write(lambda connection: fail(connection, new.key_id))

    return asyncio.run(prepare())


def of_job(data_dir: Path, job_id: str) -> DeliveryInfo:
    async def read() -> DeliveryInfo:
        async with open_accounts(Settings(data_dir=data_dir)) as (database, _):
            [info] = await database.read(lambda connection: table.of_job(connection, job_id))
            return info

    return asyncio.run(read())


def test_the_secret_is_printed_alone_and_needs_nothing_but_the_key(tmp_path: Path) -> None:
    key = random_key()
    ran = calotype_webhooks(tmp_path / "none", "secret", CALOTYPE_KEY=key.whole)
    assert ran.returncode == 0, ran.stderr
    assert read_secret(ran.stdout) == webhook_secret(link_secret(key.secret))
    assert ran.stdout.count("\n") == 1
    assert key.secret not in ran.stdout + ran.stderr
    assert not (tmp_path / "none").exists()


def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path) -> None:
    ran = calotype_webhooks(tmp_path, "secret", CALOTYPE_KEY="calo_cut_short")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "calo_cut_short" not in ran.stderr


def test_one_message_is_sent_again(tmp_path: Path, ids: list[str]) -> None:
    ran = calotype_webhooks(tmp_path, "redeliver", ids[1])
    assert (ran.returncode, ran.stdout) == (0, f"{ids[1]}\n"), ran.stderr
    assert [of_job(tmp_path, job_id).status for job_id in ("one", "two")] == ["failed", "pending"]


def test_a_jobs_messages_are_sent_again(tmp_path: Path, ids: list[str]) -> None:
    ran = calotype_webhooks(tmp_path, "redeliver", "--job", "two")
    assert (ran.returncode, ran.stdout) == (0, f"{ids[1]}\n"), ran.stderr


def test_what_failed_lately_is_sent_again(tmp_path: Path, ids: list[str]) -> None:
    for expected in (f"{ids[0]}\n", ""):
        ran = calotype_webhooks(tmp_path, "redeliver", "--failed-since", "24h")
        assert (ran.returncode, ran.stdout) == (0, expected), ran.stderr
    assert [of_job(tmp_path, job_id).status for job_id in ("one", "two")] == ["pending", "failed"]


@pytest.mark.parametrize("arguments", [("msg_none",), ("--job", "three")], ids=str)
def test_nothing_of_that_name_is_an_error(tmp_path: Path, ids: list[str], arguments: tuple[str, ...]) -> None:
    ran = calotype_webhooks(tmp_path, "redeliver", *arguments)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no such message" in ran.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("msg_1", "--job", "one"), ("--job", "one", "--failed-since", "1h"), ("--failed-since", "soon")]
)
def test_what_is_meant_must_be_clear(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert calotype_webhooks(tmp_path, "redeliver", *arguments).returncode == 2
