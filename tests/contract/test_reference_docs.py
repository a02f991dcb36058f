"""The pages of docs/ that come from the code say what the code says; the lists kept in two places agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from calotype.doctor import FONTS

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts/generate_reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("need", FONTS, ids=lambda need: need.name)
def test_what_doctor_asks_for_is_what_the_scripts_install(need) -> None:
    assert f"need_font {need.language} {need.package}\n" in (ROOT / "scripts/install-browser").read_text()
    assert need.package in (ROOT / "deploy/Containerfile").read_text()


@pytest.mark.parametrize("name", ["run", "dev", "bench", "lock"])
def test_locked_requirements_are_exact_hashed_and_name_no_index(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    requirements = [
        line for line in re.sub(r"\\\n", "", text).splitlines() if line and not line.lstrip().startswith("#")
    ]
    assert requirements
    assert all(re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:", line) for line in requirements)
    assert "://" not in text
    assert "--index-url" not in text


def test_every_dependency_has_its_reason() -> None:
    declared = re.search(
        r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    assert declared is not None
    names = re.findall(r'^  "([a-z0-9-]+)', declared[1], re.MULTILINE)
    table = (ROOT / "docs/adr/0005-dependencies.md").read_text()
    assert [name for name in names if not re.search(rf"^\|.*\b{name}\b.*\|", table, re.MULTILINE)] == []
