"""What `calotype doctor` concludes from a machine, and how it shows the settings."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from pydantic import SecretStr

from calotype.doctor import (
    FONTS,
    FontNeed,
    effective_settings,
    environment_lines,
    examine_browser,
    examine_data_dir,
    examine_database,
    examine_font,
    examine_sandbox,
)
from calotype.settings import BrowserSettings, DatabaseSettings, KeySettings, Settings


@pytest.fixture
def no_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "fonts.conf"
    configuration.write_text(
        f"<fontconfig><dir>{tmp_path}/none</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    monkeypatch.setenv("FONTCONFIG_FILE", str(configuration))


def test_the_installed_browser_is_named_with_its_version() -> None:
    finding = examine_browser(BrowserSettings())
    assert finding.state == "ok"
    assert "Chrom" in finding.found


def test_a_missing_browser_comes_with_the_command_that_installs_it(tmp_path: Path) -> None:
    finding = examine_browser(BrowserSettings(executable=tmp_path / "none"))
    assert finding.state == "missing"
    assert finding.fix is not None
    assert "apt-get install" in finding.fix


def test_a_browser_that_does_not_run_is_missing(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    finding = examine_browser(BrowserSettings(executable=broken))
    assert finding.state == "missing"
    assert "exit status 3" in finding.found


@pytest.mark.parametrize("need", FONTS, ids=lambda need: need.name)
def test_installed_fonts_are_found(need: FontNeed) -> None:
    assert examine_font(need).state == "ok"


@pytest.mark.usefixtures("no_fonts")
@pytest.mark.parametrize("need", FONTS, ids=lambda need: need.name)
def test_missing_fonts_come_with_their_package(need: FontNeed) -> None:
    finding = examine_font(need)
    assert finding.state == need.state_without
    assert finding.fix is not None
    assert need.package in finding.fix


def test_fonts_that_can_not_be_listed_are_only_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = examine_font(FONTS[0])
    assert finding.state == "warning"
    assert finding.fix == "apt-get install --no-install-recommends fontconfig"


def test_a_sandbox_turned_off_is_a_warning() -> None:
    assert examine_sandbox(BrowserSettings(sandbox="off")).state == "warning"


@pytest.mark.skipif(os.geteuid() != 0, reason="as root the sandbox is surely impossible")
@pytest.mark.parametrize(("setting", "state"), [("auto", "warning"), ("on", "missing")])
def test_an_impossible_sandbox_is_an_error_only_when_demanded(setting: str, state: str) -> None:
    finding = examine_sandbox(BrowserSettings.model_validate({"sandbox": setting}))
    assert (finding.state, finding.fix) == (state, "run calotype as an ordinary user")


def test_a_data_directory_that_can_be_made_is_well_and_is_not_made(tmp_path: Path) -> None:
    finding = examine_data_dir(tmp_path / "deep" / "data")
    assert finding.state == "ok"
    assert not (tmp_path / "deep").exists()


def test_a_file_in_place_of_the_data_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert examine_data_dir(tmp_path / "data").state == "missing"


async def test_a_database_not_made_yet_is_well_and_is_not_made(tmp_path: Path) -> None:
    finding = await examine_database(f"sqlite:///{tmp_path}/calotype.db")
    assert finding.state == "ok"
    assert not (tmp_path / "calotype.db").exists()


async def test_a_database_that_answers_is_well(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "calotype.db").executescript("CREATE TABLE things (id)").connection.close()
    assert (await examine_database(f"sqlite:///{tmp_path}/calotype.db")).state == "ok"


async def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "calotype.db").write_bytes(b"no database at all " * 100)
    finding = await examine_database(f"sqlite:///{tmp_path}/calotype.db")
    assert finding.state == "missing"
    assert "not a database" in finding.found


async def test_a_wrong_database_url_is_an_error_that_does_not_show_it() -> None:
    finding = await examine_database("hunter2")
    assert finding.state == "missing"
    assert finding.fix is not None
    assert "CALOTYPE_DATABASE__URL" in finding.fix
    assert "hunter2" not in finding.found


def test_secrets_are_masked_wherever_they_stand() -> None:
    settings = Settings(
        keys=KeySettings(pepper=SecretStr("hunter2")),
        database=DatabaseSettings(
            url="postgresql://me:hunter2@db.example/calotype?sslpassword=hunter2&sslmode=require"
        ),
    )
    tree = effective_settings(settings)
    assert "hunter2" not in str(tree)
    assert tree["database"]["url"] == "postgresql://me:***@db.example/calotype?sslpassword=***&sslmode=require"


def test_an_unset_secret_is_told_from_a_set_one() -> None:
    assert effective_settings(Settings())["keys"]["pepper"] is None


def test_settings_are_listed_under_the_names_the_environment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dict(environment_lines(effective_settings(Settings())))
    assert lines["CALOTYPE_SERVER__PORT"] == 8600
    monkeypatch.setenv("CALOTYPE_BROWSER__PAGES", "7")
    assert dict(environment_lines(effective_settings(Settings())))["CALOTYPE_BROWSER__PAGES"] == 7
