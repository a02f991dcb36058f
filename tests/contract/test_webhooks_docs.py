"""The worked example of docs/webhooks.md is right, and each of its programs verifies what the server signs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calotype.accounts.key_text import read_key
from calotype.signing import link_secret, webhook_secret
from calotype.webhooks.schedule import PAUSES_S
from calotype.webhooks.sender import TRY_TIMEOUT_S
from calotype.webhooks.signature import secret_text, sign

PAGE = (Path(__file__).resolve().parents[2] / "docs/webhooks.md").read_text()
SECRET = bytes(range(32))
BODY = b'{"type":"job.done","title":"caff\xc3\xa8 \\"%s\\" $x `"}\n'
_COMMANDS = {"python": (sys.executable,), "javascript": ("node",), "bash": ("bash", "openssl")}
LANGUAGES = [
    pytest.param(
        language, marks=pytest.mark.skipif(not all(map(shutil.which, needs)), reason=f"needs {' and '.join(needs)}")
    )
    for language, needs in _COMMANDS.items()
]


def test_the_worked_example_is_right() -> None:
    [text] = re.findall(r"Of the key `(\w+)`", PAGE)
    key = read_key(text)
    assert key is not None
    secret = webhook_secret(link_secret(key.secret))
    shown = [
        line.strip()
        for line in PAGE.splitlines()
        if line.startswith("    ") and line.strip().startswith(("v1,", "whsec_"))
    ]
    assert shown == [secret_text(secret), sign("msg_1", 1893456000, b'{"type":"job.done"}', secret)]


def test_the_table_of_tries_is_the_schedule() -> None:
    [row] = re.findall(r"^\| after the last \| at once \| (.*) \|$", PAGE, re.MULTILINE)
    units = {"s": 1, "min": 60, "h": 3600}
    assert tuple(int(number) * units[unit] for number, unit in map(str.split, row.split(" | "))) == PAUSES_S
    assert f"within {TRY_TIMEOUT_S:.0f} seconds" in PAGE


def run_program(
    language: str, tmp_path: Path, *, message_id: str = "msg_1", timestamp: str, signatures: str, body: bytes = BODY
) -> subprocess.CompletedProcess[bytes]:
    [program] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    file = tmp_path / "program"
    file.write_text(program)
    return subprocess.run(
        [_COMMANDS[language][0], file, message_id, timestamp, signatures],
        input=body,
        env={**os.environ, "WEBHOOK_SECRET": secret_text(SECRET)},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_program_takes_what_was_signed(language: str, tmp_path: Path) -> None:
    now_s = int(time.time())
    right = sign("msg_1", now_s, BODY, SECRET)
    for signatures in (right, f"v1a,AAAA {sign('msg_1', now_s, BODY, b'old')} {right}"):
        ran = run_program(language, tmp_path, timestamp=str(now_s), signatures=signatures)
        assert (ran.returncode, ran.stdout) == (0, b"msg_1\n"), ran.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_program_takes_what_is_wrong_or_old(language: str, tmp_path: Path) -> None:
    now_s = int(time.time())
    right = sign("msg_1", now_s, BODY, SECRET)
    fresh = {"timestamp": str(now_s), "signatures": right}
    runs = [
        run_program(language, tmp_path, body=BODY[:-1], **fresh),
        run_program(language, tmp_path, message_id="msg_2", **fresh),
        run_program(language, tmp_path, timestamp=str(now_s + 1), signatures=right),
        run_program(language, tmp_path, timestamp=str(now_s), signatures=sign("msg_1", now_s, BODY, b"another")),
        run_program(language, tmp_path, timestamp=str(now_s), signatures=""),
        *(
            run_program(language, tmp_path, timestamp=str(at_s), signatures=sign("msg_1", at_s, BODY, SECRET))
            for at_s in (now_s - 400, now_s + 400)
        ),
    ]
    assert [(ran.returncode, ran.stdout) for ran in runs] == [(1, b"")] * 7
