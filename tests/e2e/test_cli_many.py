"""`calotype capture` for many pages, as a shell sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from calotype.client import Calotype
from tests.site import blocks
from tests.site.pictures import assert_pixels, opened, pixel
from tests.site.server import Site

from .server_process import ServerProcess, server_environment
from .test_resilience import until


def command(directory: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "calotype", "capture", *arguments],
        env={**server_environment(directory / "data"), **environment},
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hears_interrupts,
    )


def _hears_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's jobs in the background do not


def run(directory: Path, *arguments: str, given: str = "", **environment: str) -> tuple[int, str, str]:
    process = command(directory, *arguments, **environment)
    out, err = process.communicate(given)
    assert "Traceback" not in err
    return process.returncode, out, err


@pytest.mark.parametrize("engine", ["here", "server"])
def test_a_list_is_captured_and_goes_on(site: Site, server: ServerProcess, tmp_path: Path, engine: str) -> None:
    """All good but one; made again when its file is missing; the sheet shows what is to be looked at."""
    where = ("--server", server.url) if engine == "server" else ("--allow", site.netloc)
    pages = [
        f"{site.url}/blocks.html",
        {"url": f"{site.url}/blocks.html", "selector": "#card", "file": "card.png"},
        "http://10.0.0.1/",
        {"html": "<title><script>alert(1)</script></title><body style='background: #00ff00'>", "file": "own.png"},
    ]
    lines = "\n".join(page if isinstance(page, str) else json.dumps(page) for page in pages)
    arguments = ("-", "-o", "shots/{n:02}-{path}.png", *where, "--sheet", "sheet.html", "--json", "--resume")
    status, out, err = run(tmp_path, *arguments, given=lines, CALOTYPE_KEY=server.key)
    assert status == 1, err
    told = {Path(each["file"] or "").name: each for each in map(json.loads, out.splitlines())}
    assert told[""]["error"]["code"] == "blocked_target"
    assert {name: each["state"] for name, each in told.items() if name} == {
        "01-blocks.html.png": "made",
        "card.png": "made",
        "own.png": "made",
    }
    assert_pixels(opened((tmp_path / "shots/01-blocks.html.png").read_bytes()), dict(blocks.VIEWPORT))
    assert_pixels(opened((tmp_path / "card.png").read_bytes()), blocks.CARD)
    assert "4 pictures: 3 made, 1 failed" in err

    sheet = (tmp_path / "sheet.html").read_text()
    assert "&lt;script&gt;alert(1)" in sheet
    assert sheet.count("<article") == 4
    assert sheet.count("<img") == 3
    assert sheet.index("http://10.0.0.1/") < sheet.index("blocks.html")  # what failed comes first
    assert 'href="shots/01-blocks.html.png"' in sheet

    (tmp_path / "own.png").unlink()
    status, out, _ = run(tmp_path, *arguments, given=lines, CALOTYPE_KEY=server.key)
    assert [json.loads(line)["state"] for line in out.splitlines()].count("kept") == 2
    assert pixel(opened((tmp_path / "own.png").read_bytes()), 600, 600) == blocks.GREEN
    assert not list(tmp_path.rglob("*.part"))


def test_an_interrupted_run_leaves_nothing_half_done(site: Site, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{site.url}/blocks.html\n{site.url}/forever.html\n")
    process = command(tmp_path, "--from", "list", "-o", "{n}.png", "--allow", site.netloc, "--parallel", "1")
    until(lambda: (tmp_path / "1.png").exists() and bool(site.seen("/hang")), "the second capture runs")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "--resume" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.png", "list"]
    session = [pid for pid in os.listdir("/proc") if pid.isdigit() and session_of(pid) == process.pid]
    assert session == []


def session_of(pid: str) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("example.com", "example.org", "-o", "x.png"), "placeholder"),
        (("example.com", "example.org", "-o", "-"), "one picture"),
        (("example.com", "-o", "x.png", "--server", "example.com"), "http or https"),
        (("example.com", "-o", "x.png", "--server", "http://127.0.0.1:1", "--allow", "x"), "its own rules"),
    ],
)
def test_wrong_usage_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    status, _, err = run(tmp_path, *arguments)
    assert status == 2
    assert said in err


def test_where_nothing_can_be_written_it_says_so(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ("x.html", "-o", "file/x.png", "--server", server.url)
    (tmp_path / "x.html").write_text("<p>x")
    status, _, err = run(tmp_path, *arguments, CALOTYPE_KEY=server.key)
    assert status == 1
    assert "Can't write file/x.png" in err
    with Calotype(server.url, server.key) as client:
        assert client.usage()["ok"] is True
