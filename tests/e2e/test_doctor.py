"""`calotype doctor` as an operator runs it: a real process, its output and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .server_process import server_environment


def _doctor(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "calotype", "doctor", *arguments],
        env=server_environment(data_dir, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _report(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert answer.stdout, answer.stderr
    report: dict[str, Any] = json.loads(answer.stdout)
    return report


def _finding(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(finding for finding in report["findings"] if finding["name"] == name)


def test_a_machine_that_has_everything_is_healthy(tmp_path: Path) -> None:
    answer = _doctor(tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for name in ("browser", "sandbox", "fonts, cjk", "fonts, emoji", "data directory", "database"):
        assert f" {name} " in answer.stdout
    assert f"CALOTYPE_DATA_DIR={tmp_path}\n" in answer.stdout
    assert "CALOTYPE_SERVER__PORT=8600\n" in answer.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_admin_token_is_masked(tmp_path: Path) -> None:
    token = "hunter2-hunter2-hunter2-hunter2-hunter2"
    for arguments in ([], ["--json"]):
        answer = _doctor(tmp_path, *arguments, CALOTYPE_ADMIN__TOKEN=token)
        assert "**********" in answer.stdout
        assert "hunter2" not in answer.stdout + answer.stderr


def test_the_report_as_json_says_the_same(tmp_path: Path) -> None:
    report = _report(_doctor(tmp_path, "--json"))
    assert report["ok"] is True
    assert report["settings"]["server"]["port"] == 8600
    assert _finding(report, "browser")["state"] == "ok"
    jail = _finding(report, "jail")
    assert jail["state"] == ("ok" if jail["found"].startswith("full by ") else "warning")


def test_a_jail_that_is_off_is_a_warning_and_fails_where_one_is_required(tmp_path: Path) -> None:
    off = _doctor(tmp_path, "--json", CALOTYPE_GUARD__JAIL="off")
    assert off.returncode == 0
    assert _finding(_report(off), "jail")["state"] == "warning"
    assert _finding(_report(off), "jail")["fix"] == "set CALOTYPE_GUARD__JAIL=auto"
    required = _doctor(tmp_path, "--json", CALOTYPE_GUARD__JAIL="off", CALOTYPE_GUARD__REQUIRE="full")
    assert required.returncode == 1
    assert _finding(_report(required), "jail")["state"] == "missing"


def test_a_missing_browser_fails_and_says_what_to_type(tmp_path: Path) -> None:
    answer = _doctor(tmp_path, CALOTYPE_BROWSER__EXECUTABLE=str(tmp_path / "none"))
    assert answer.returncode == 1
    assert "apt-get install --no-install-recommends chromium-headless-shell" in answer.stdout


def test_missing_fonts_fail_and_name_their_packages(tmp_path: Path) -> None:
    configuration = tmp_path / "fonts.conf"
    configuration.write_text(
        f"<fontconfig><dir>{tmp_path}/none</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    answer = _doctor(tmp_path / "data", "--json", FONTCONFIG_FILE=str(configuration))
    assert answer.returncode == 1
    assert _finding(_report(answer), "fonts, cjk")["fix"].endswith(" fonts-noto-cjk")
    assert _finding(_report(answer), "fonts, emoji")["fix"].endswith(" fonts-noto-color-emoji")


def test_a_database_that_is_none_fails(tmp_path: Path) -> None:
    (tmp_path / "calotype.db").write_bytes(b"no database at all " * 100)
    answer = _doctor(tmp_path, "--json")
    assert answer.returncode == 1
    assert _finding(_report(answer), "database")["state"] == "missing"


def test_a_configuration_file_is_read_and_secrets_are_masked(tmp_path: Path) -> None:
    configuration = tmp_path / "calotype.toml"
    configuration.write_text('[server]\nport = 9123\n[keys]\npepper = "hunter2"\n')
    arguments = [sys.executable, "-m", "calotype", "--config", str(configuration), "doctor"]
    answer = subprocess.run(
        arguments, env=server_environment(tmp_path), capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "CALOTYPE_SERVER__PORT=9123\n" in answer.stdout
    assert "CALOTYPE_KEYS__PEPPER=*" in answer.stdout
    assert "hunter2" not in answer.stdout + answer.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    answer = _doctor(tmp_path, CALOTYPE_SERVER__PORT="eighty")
    assert answer.returncode != 0
    assert "CALOTYPE_SERVER__PORT" in answer.stderr
    assert "Traceback" not in answer.stderr
