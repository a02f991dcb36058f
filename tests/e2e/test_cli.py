"""The command line as an operator uses it, beside a running server or without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site import blocks
from tests.site.pictures import assert_pixels, opened
from tests.site.server import Site

from .server_process import ServerProcess, server_environment


def calotype(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "calotype", *arguments],
        env=server_environment(data_dir, **environment),
        capture_output=True,
        check=False,
        timeout=90,
    )


def test_create_prints_the_key_alone(tmp_path: Path) -> None:
    answer = calotype(tmp_path, "keys", "create", "--plan", "free", "--name", "Ada", "--expires", "90d")
    assert answer.returncode == 0
    key = answer.stdout.decode().strip()
    assert key.startswith("calo_")
    assert "\n" not in key
    [listed] = json.loads(calotype(tmp_path, "keys", "list", "--json").stdout)
    assert (listed["name"], listed["plan"], listed["state"]) == ("Ada", "free", "active")
    assert key.rsplit("_", 1)[1] not in json.dumps(listed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--plan", "gold"), "free, unlimited"),
        (("--plan", "free", "--expires", "soon"), "90d"),
        (("--plan", "free", "--expires", "2001-01-01"), "past"),
        (("--plan", "free", "--allow", "not a host"), "--allow"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_create_names_the_fix_of_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    answer = calotype(tmp_path, "keys", "create", *arguments)
    assert answer.returncode in (1, 2)
    assert answer.stdout == b""
    assert said in answer.stderr.decode()
    assert b"Traceback" not in answer.stderr


def test_keys_of_a_running_server_are_made_and_revoked_beside_it(server: ServerProcess) -> None:
    key = calotype(server.data_dir, "keys", "create", "--plan", "unlimited").stdout.decode().strip()
    headers = {"X-API-Key": key}
    html = {"html": "<p>x"}
    assert server.client.post("/v1/screenshot", json=html, headers=headers).status_code == 200
    key_id = key.split("_")[1]
    assert calotype(server.data_dir, "keys", "revoke", key_id).returncode == 0
    for _ in range(100):
        answer = server.client.post("/v1/screenshot", json=html, headers=headers)
        if answer.status_code == 401:
            break
    assert answer.json()["error"]["code"] == "api_key_invalid"
    assert calotype(server.data_dir, "keys", "revoke", "nothing").returncode == 1


def test_a_wrong_plan_in_the_settings_is_named(tmp_path: Path) -> None:
    plans = json.dumps([{"name": "team", "requests_per_second": -1}])
    answer = calotype(tmp_path, "keys", "list", CALOTYPE_PLANS=plans)
    assert answer.returncode == 2
    assert b"CALOTYPE_PLANS" in answer.stderr
    assert b"Traceback" not in answer.stderr


def test_capture_writes_the_picture_in_the_format_of_its_suffix(site: Site, tmp_path: Path) -> None:
    for suffix in ("png", "jpg"):
        target = tmp_path / f"page.{suffix}"
        answer = calotype(tmp_path, "capture", f"{site.url}/blocks.html", "-o", str(target), "--allow", site.netloc)
        assert answer.returncode == 0, answer.stderr
        image = opened(target.read_bytes())
        assert image.format == {"png": "PNG", "jpg": "JPEG"}[suffix]
        assert_pixels(image, blocks.VIEWPORT)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page.jpg", "page.png"]


def test_capture_takes_the_fields_of_the_request_as_options(site: Site, tmp_path: Path) -> None:
    options = ("--selector", "#card", "--scale", "2", "--format", "png", "--allow", site.netloc, "--json")
    answer = calotype(tmp_path, "capture", f"{site.url}/blocks.html", "-o", "-", *options)
    assert answer.returncode == 0, answer.stderr
    assert_pixels(opened(answer.stdout), blocks.CARD, scale=2)
    assert json.loads(answer.stderr[answer.stderr.index(b"{\n") :])["width"] == 600


def test_capture_of_markup_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<title>Own</title><body style='background:#00ff00'>")
    target = tmp_path / "page.png"
    answer = calotype(tmp_path, "capture", "--html", str(tmp_path / "page.html"), "-o", str(target))
    assert answer.returncode == 0, answer.stderr
    assert_pixels(opened(target.read_bytes()), {(600, 600): blocks.GREEN})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("http://127.0.0.1:1/", "-o", "x.png"), "does not visit"),
        (("https://example.com", "-o", "x.png", "--width", "5"), "16"),
        (("https://example.com",), "-o"),
        ((), "-o"),
        (("https://example.com", "-o", "x.png", "--allow", "not a host"), "--allow"),
    ],
    ids=["private", "bounds", "no output", "nothing", "allow"],
)
def test_capture_says_what_is_wrong_in_a_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    answer = calotype(tmp_path, "capture", *arguments)
    assert answer.returncode in (1, 2)
    assert said in answer.stderr.decode()
    assert b"Traceback" not in answer.stderr
