"""The programs of docs/signed-links.md, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs/signed-links.md").read_text()

_COMMANDS = {"python": [sys.executable, "-"], "javascript": ["node", "-"], "bash": ["bash", "-s", "--"]}
_NEEDS = {"python": (), "javascript": ("node",), "bash": ("bash", "openssl")}
LANGUAGES = [
    pytest.param(
        language, marks=pytest.mark.skipif(not all(map(shutil.which, needs)), reason=f"needs {' and '.join(needs)}")
    )
    for language, needs in _NEEDS.items()
]


def run_program(language: str, parameters: list[tuple[str, str]], *, key: str, server: str | None = None) -> str:
    """The link that the page's program in this language prints."""
    [program] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    environment = {**os.environ, "CALOTYPE_KEY": key, **({"SERVER": server} if server else {})}
    ran = subprocess.run(
        [*_COMMANDS[language], *(f"{name}={value}" for name, value in parameters)],
        input=program,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()
