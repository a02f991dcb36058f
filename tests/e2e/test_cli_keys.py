"""`calotype keys` as an operator types it: real processes, what they print where, and how they end."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .server_process import server_environment

_KEY = re.compile(r"calo_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}\n")


def _calotype(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "calotype", *arguments],
        env=server_environment(data_dir, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _create(data_dir: Path, *arguments: str) -> str:
    answer = _calotype(data_dir, "keys", "create", *arguments)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def _listed(data_dir: Path) -> list[dict[str, Any]]:
    answer = _calotype(data_dir, "keys", "list", "--json")
    assert answer.returncode == 0, answer.stderr
    listed: list[dict[str, Any]] = json.loads(answer.stdout)
    return listed


def test_create_prints_the_key_alone_and_the_rest_elsewhere(tmp_path: Path) -> None:
    answer = _calotype(tmp_path / "data", "keys", "create", "--plan", "free")
    assert answer.returncode == 0, answer.stderr
    assert _KEY.fullmatch(answer.stdout)
    key_id = answer.stdout.split("_")[1]
    assert key_id in answer.stderr
    assert answer.stdout.strip() not in answer.stderr


def test_a_key_leads_its_life_through_the_command_line(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    text = _create(tmp_path, "--plan", "free", "--name", "Ann", "--expires", "90d", "--allow", "wiki.example.com:8080")
    key_id = text.split("_")[1]
    [entry] = _listed(tmp_path)
    assert (entry["id"], entry["name"], entry["plan"], entry["state"]) == (key_id, "Ann", "free", "active")
    assert entry["allow"] == ["wiki.example.com:8080"]
    age = timedelta(days=90)
    assert before + age <= datetime.fromisoformat(entry["expires_at"]) <= datetime.now(UTC) + age

    revoked = _calotype(tmp_path, "keys", "revoke", key_id)
    assert revoked.returncode == 0
    assert key_id in revoked.stderr
    assert _listed(tmp_path)[0]["state"] == "revoked"

    table = _calotype(tmp_path, "keys", "list")
    assert table.stdout.splitlines()[0].split()[:3] == ["ID", "PLAN", "STATE"]
    assert table.stdout.splitlines()[1].split()[:3] == [key_id, "free", "revoked"]
    assert text.strip().rpartition("_")[2] not in table.stdout + json.dumps(_listed(tmp_path))


def test_a_leaked_key_is_revoked_by_its_text(tmp_path: Path) -> None:
    text = _create(tmp_path, "--plan", "free").strip()
    answer = _calotype(tmp_path, "keys", "revoke", text)
    assert answer.returncode == 0
    assert text not in answer.stdout + answer.stderr
    assert _listed(tmp_path)[0]["state"] == "revoked"


def test_a_key_is_shown_with_all_that_may_be_known(tmp_path: Path) -> None:
    plans = {"CALOTYPE_PLANS": '[{"name": "team", "requests_per_second": 20, "burst": 40, "monthly_credits": 5000}]'}
    made = _calotype(tmp_path, "keys", "create", "--plan", "team", "--name", "Ann", "--deny", "x.example.com", **plans)
    key = made.stdout.strip()
    key_id = key.split("_")[1]
    shown = _calotype(tmp_path, "keys", "show", key_id, "--json", **plans)
    assert shown.returncode == 0, shown.stderr
    details = json.loads(shown.stdout)
    usage = details.pop("usage")
    assert details == _listed(tmp_path)[0]
    assert usage["plan"]["monthly_credits"] == 5000
    assert (usage["credits"]["used"], usage["credits"]["remaining"]) == (0, 5000)
    words = _calotype(tmp_path, "keys", "show", key, **plans)  # a key pasted whole
    for fact in (key_id, "Ann", "active", "x.example.com", "5000 credits a month", "0 used, 0 reserved, 5000 left"):
        assert fact in words.stdout
    assert key not in words.stdout + words.stderr

    used = json.loads(_calotype(tmp_path, "usage", "--key", key, "--json", **plans).stdout)
    assert used == usage
    assert "5000 left" in _calotype(tmp_path, "usage", "--key", key_id, **plans).stdout
    gone = json.loads(_calotype(tmp_path, "usage", "--key", key_id, "--json").stdout)  # the plan, from the settings
    assert (gone["plan"], gone["credits"]["remaining"]) == (None, 0)


def test_a_key_is_replaced_at_once_or_after_a_grace_time(tmp_path: Path) -> None:
    text = _create(tmp_path, "--plan", "free", "--name", "Ann", "--allow", "10.0.0.0/8")
    for grace, state in (("24h", "active"), (None, "revoked")):
        key_id = text.split("_")[1]
        before = datetime.now(UTC)
        rotated = _calotype(tmp_path, "keys", "rotate", key_id, *(["--grace", grace] if grace else []))
        assert rotated.returncode == 0, rotated.stderr
        assert _KEY.fullmatch(rotated.stdout)
        assert key_id in rotated.stderr
        assert rotated.stdout.strip() not in rotated.stderr
        by_id = {entry["id"]: entry for entry in _listed(tmp_path)}
        new, old = by_id[rotated.stdout.split("_")[1]], by_id[key_id]
        assert (old["state"], old["replaced_by"]) == (state, new["id"])
        assert (new["plan"], new["name"], new["allow"], new["expires_at"]) == ("free", "Ann", ["10.0.0.0/8"], None)
        if grace:
            ends_at, day = datetime.fromisoformat(old["expires_at"]), timedelta(hours=24)
            assert before + day <= ends_at <= datetime.now(UTC) + day
        text = rotated.stdout


def test_what_can_not_be_replaced_stays_as_it_is(tmp_path: Path) -> None:
    key_id = _create(tmp_path, "--plan", "free").split("_")[1]
    for arguments, status, said in (
        ([key_id, "--grace", "tomorrow"], 2, "24h"),
        ([key_id, "--expires", "2001-01-01"], 2, "in the past"),
        (["nobody00"], 1, "no such key"),
    ):
        answer = _calotype(tmp_path, "keys", "rotate", *arguments)
        assert (answer.returncode, answer.stdout) == (status, "")
        assert said in answer.stderr
    assert [entry["state"] for entry in _listed(tmp_path)] == ["active"]
    _calotype(tmp_path, "keys", "revoke", key_id)
    answer = _calotype(tmp_path, "keys", "rotate", key_id)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "is revoked" in answer.stderr


def test_plans_are_listed_with_all_their_fields(tmp_path: Path) -> None:
    plans = {"CALOTYPE_PLANS": '[{"name": "team", "requests_per_second": 2.5, "monthly_credits": 5000}]'}
    listed = json.loads(_calotype(tmp_path, "plans", "list", "--json", **plans).stdout)
    assert [plan["name"] for plan in listed] == ["free", "unlimited", "team"]
    assert listed[2] == {
        **{"name": "team", "requests_per_second": 2.5, "burst": 2, "monthly_credits": 5000},
        **{"max_concurrency": None, "max_priority": 2**31 - 1},
    }
    head, _, unlimited, team = _calotype(tmp_path, "plans", "list", **plans).stdout.splitlines()
    assert [name.lower() for name in head.split()] == list(listed[0])
    assert unlimited.split()[:2] == ["unlimited", "unlimited"]
    assert team.split()[:4] == ["team", "2.5", "2", "5000"]
    assert list(tmp_path.iterdir()) == []  # nothing was made


@pytest.mark.parametrize("command", [["keys", "show"], ["usage", "--key"]])
@pytest.mark.parametrize("key_id", ["nobody00", "no key at all"])
def test_of_a_key_that_does_not_exist_nothing_is_known(tmp_path: Path, command: list[str], key_id: str) -> None:
    answer = _calotype(tmp_path, *command, key_id)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "no such key" in answer.stderr


def test_a_key_that_does_not_exist_can_not_be_revoked(tmp_path: Path) -> None:
    answer = _calotype(tmp_path, "keys", "revoke", "nobody00")
    assert answer.returncode == 1
    assert "no such key" in answer.stderr


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        ("2999-12-31", "2999-12-31T00:00:00Z"),
        ("2999-12-31T12:00:00+02:00", "2999-12-31T10:00:00Z"),
        ("2999-12-31T12:00Z", "2999-12-31T12:00:00Z"),
    ],
)
def test_a_date_or_time_is_taken_as_utc_unless_it_says_otherwise(tmp_path: Path, expiry: str, expected: str) -> None:
    _create(tmp_path, "--plan", "unlimited", "--expires", expiry)
    assert _listed(tmp_path)[0]["expires_at"] == expected


@pytest.mark.parametrize(("expiry", "age"), [("30m", timedelta(minutes=30)), ("12h", timedelta(hours=12))])
def test_an_age_counts_from_now(tmp_path: Path, expiry: str, age: timedelta) -> None:
    before = datetime.now(UTC)
    _create(tmp_path, "--plan", "free", "--expires", expiry)
    expires_at = datetime.fromisoformat(_listed(tmp_path)[0]["expires_at"])
    assert before + age <= expires_at <= datetime.now(UTC) + age


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plan", "gold"], "free, unlimited, team"),
        ([], "--plan"),
        (["--plan", "free", "--expires", "soon"], "90d"),
        (["--plan", "free", "--expires", "99999999d"], "90d"),
        (["--plan", "free", "--expires", "0d"], "in the past"),
        (["--plan", "free", "--expires", "2001-01-01"], "in the past"),
        (["--plan", "free", "--allow", "http://wiki.example.com/"], "--allow"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_2_says_what_is_right_and_makes_no_key(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    plans = {"CALOTYPE_PLANS": '[{"name": "team", "requests_per_second": 20}]'}
    answer = _calotype(tmp_path, "keys", "create", *arguments, **plans)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert _listed(tmp_path) == []


def test_a_too_long_name_ends_with_1_and_makes_no_key(tmp_path: Path) -> None:
    answer = _calotype(tmp_path, "keys", "create", "--plan", "free", "--name", "x" * 201)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "200 characters" in answer.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CALOTYPE_SERVER__PORT", "eighty", "CALOTYPE_SERVER__PORT"),
        ("CALOTYPE_SERVER__PROT", "1", "Did you mean CALOTYPE_SERVER__PORT?"),
        ("CALOTYPE_GUARD__ALLOW", "127.0.0.1", "CALOTYPE_GUARD__ALLOW"),
        ("CALOTYPE_PLANS", '[{"name": "Team"}]', "CALOTYPE_PLANS[0].name"),
        ("CALOTYPE_KEYS", '{"pepper": ["hunter2"]}', "CALOTYPE_KEYS__PEPPER"),
        ("CALOTYPE_ADMIN__TOKEN", "hunter2", "CALOTYPE_ADMIN__TOKEN: must be at least 32"),
        ("CALOTYPE_ADMIN__TOKEN", "", "CALOTYPE_ADMIN__TOKEN: must be at least 32"),
        ("CALOTYPE_ADMIN__TOKEN", "hunter2 " * 8, "CALOTYPE_ADMIN__TOKEN"),
        ("CALOTYPE_ADMIN__TOKEN", f"calo_V1StGXR8_{'hunter2' * 7}", "CALOTYPE_ADMIN__TOKEN"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_is_named(tmp_path: Path, variable: str, value: str, said: str) -> None:
    answer = _calotype(tmp_path, "keys", "list", **{variable: value})
    assert (answer.returncode, answer.stdout) == (2, "")
    assert said in answer.stderr
    assert "hunter2" not in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_unreadable_configuration_file_ends_with_2(tmp_path: Path) -> None:
    configuration = tmp_path / "calotype.toml"
    configuration.write_text("[server\n")
    answer = _calotype(tmp_path, "--config", str(configuration), "keys", "list")
    assert answer.returncode == 2
    assert str(configuration) in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"CALOTYPE_DATABASE__URL": "mysql://me:hunter2@127.0.0.1/calotype"},
        {"CALOTYPE_DATABASE__URL": "sqlite:////dev/null/calotype.db"},
        {"CALOTYPE_KEYS__PEPPER": ""},
    ],
    ids=["unknown database", "no directory", "empty pepper"],
)
def test_keys_that_can_not_be_reached_end_with_1_and_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    answer = _calotype(tmp_path, "keys", "list", **environment)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert len(answer.stderr.splitlines()) == 1
    assert "hunter2" not in answer.stderr


def test_what_is_stored_is_not_the_key(tmp_path: Path) -> None:
    secret = _create(tmp_path, "--plan", "free").strip().rpartition("_")[2]
    for path in tmp_path.iterdir():
        assert secret.encode() not in path.read_bytes()
    with closing(sqlite3.connect(tmp_path / "calotype.db")) as database:
        [(stored,)] = database.execute("SELECT secret_hash FROM api_keys")
    assert len(stored) == 32


def test_the_list_of_commands_says_what_each_command_says_of_itself() -> None:
    from calotype.cli import _SUBCOMMANDS, main  # pyright: ignore[reportPrivateUsage]

    context = main.make_context("calotype", ["keys"])
    for name, help_ in _SUBCOMMANDS.items():
        command = main.get_command(context, name)
        assert command is not None
        assert command.short_help == help_


def test_help_imports_no_command(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "calotype", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "keys" in answer.stdout
    for module in ("pydantic", "sqlalchemy", "fastapi", "alembic"):
        assert not re.search(rf"\| +{module}\n", answer.stderr)
