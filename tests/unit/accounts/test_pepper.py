"""The pepper is made once, is nobody else's to read, and is never an empty one."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from calotype.accounts.pepper import PepperUnusable, load_pepper
from calotype.settings import KeySettings, Settings


def test_it_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    pepper = load_pepper(settings)
    assert len(pepper) >= 32
    assert load_pepper(settings) == pepper
    assert stat.S_IMODE((tmp_path / "data" / "pepper").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["pepper"]


def test_many_that_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    for turn in range(20):
        settings = Settings(data_dir=tmp_path / str(turn))
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(load_pepper, [settings] * 8))) == 1


def test_the_setting_wins_and_no_file_is_made(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, keys=KeySettings(pepper=SecretStr("from the settings")))
    assert load_pepper(settings) == b"from the settings"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_setting_is_refused_by_name(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, keys=KeySettings(pepper=SecretStr("")))
    with pytest.raises(PepperUnusable, match="CALOTYPE_KEYS__PEPPER is empty"):
        load_pepper(settings)


def test_an_empty_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_text("\n")
    with pytest.raises(PepperUnusable, match="pepper is empty"):
        load_pepper(Settings(data_dir=tmp_path))
