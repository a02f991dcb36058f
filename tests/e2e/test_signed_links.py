"""Signed links against a real server: the picture for whoever has the link, 401 for whoever changes it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

import httpx
import pytest

from calotype.accounts.key_text import read_key
from calotype.signing import link_secret, sign
from tests.signing_programs import LANGUAGES, run_program
from tests.site.pictures import opened
from tests.site.server import Site

from .server_process import ServerProcess, running_server, server_environment

_SMALL = [("format", "png"), ("width", "320"), ("height", "200")]


def calotype_sign(*arguments: str, data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "calotype", "sign", *arguments],
        env=server_environment(data_dir, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def signed(server: ServerProcess, query: list[tuple[str, str]], *, lasts_s: int = 600) -> list[tuple[str, str]]:
    key = read_key(server.key)
    assert key is not None
    expires_s = int(time.time()) + lasts_s
    signed_query = sign(query, key_id=key.key_id, secret=link_secret(key.secret), expires_s=expires_s)
    return parse_qsl(signed_query, keep_blank_values=True)


def asked(server: ServerProcess, query: list[tuple[str, str]]) -> httpx.Response:
    return server.client.get(f"/v1/screenshot?{urlencode(query, quote_via=quote)}")


def assert_is_the_picture(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert opened(answer.content).size == (320, 200)


def test_the_command_signs_without_a_server_and_the_server_answers_the_picture(
    server: ServerProcess, site: Site, tmp_path: Path
) -> None:
    data_dir = tmp_path / "none"
    options = [argument for name, value in _SMALL for argument in ("--option", f"{name}={value}")]
    page = f"{site.url}/blocks.html?q=caffè+latte&x=1"
    ran = calotype_sign(page, "--server", server.url, *options, data_dir=data_dir, CALOTYPE_KEY=server.key)
    assert ran.returncode == 0, ran.stderr
    [link] = ran.stdout.splitlines()
    assert not data_dir.exists()
    assert server.key not in ran.stdout + ran.stderr
    assert server.key.rpartition("_")[2] not in link
    answer = httpx.get(link, timeout=150)
    assert_is_the_picture(answer)
    assert "caff%C3%A8+latte&x=1" in answer.headers["x-calotype-url"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_programs_of_the_manual_sign_too(server: ServerProcess, site: Site, language: str) -> None:
    query = [("url", f"{site.url}/blocks.html"), *_SMALL, ("expires", str(int(time.time()) + 600))]
    assert_is_the_picture(httpx.get(run_program(language, query, key=server.key, server=server.url), timeout=150))


@pytest.mark.parametrize("path", ["/v1/screenshot", "/v1/", "/v1"])
def test_a_link_holds_on_every_path_of_the_get_form(server: ServerProcess, path: str) -> None:
    query = signed(server, [("html", "<p>x"), *_SMALL])
    assert_is_the_picture(server.client.get(path, params=query))


def test_every_tampering_is_401_with_one_message(server: ServerProcess) -> None:
    query = signed(server, [("html", "<p>x"), *_SMALL])
    tampered = {f"without {name}": [pair for pair in query if pair[0] != name] for name, _ in query}
    tampered |= {f"{name} twice": [*query, (name, value)] for name, value in query}
    for at, (name, value) in enumerate(query):
        tampered[f"another {name}"] = [*query[:at], (name, f"{value}1"), *query[at + 1 :]]
        tampered[f"another name for {name}"] = [*query[:at], (f"{name}s", value), *query[at + 1 :]]
    tampered["more"] = [*query, ("full_page", "true")]
    tampered["unknown more"] = [*query, ("utm_source", "mail")]
    tampered["empty more"] = [*query, ("", "")]
    messages: set[str] = set()
    for how, each in tampered.items():
        answer = asked(server, each)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (401, "api_key_invalid"), how
        messages.add(error["message"])
    assert len(messages) == 1


def test_a_link_whose_time_is_over_says_so(server: ServerProcess) -> None:
    error = asked(server, signed(server, [("html", "<p>x")], lasts_s=-1)).json()["error"]
    assert error["code"] == "api_key_invalid"
    assert "has expired" in error["message"]


def test_a_key_beside_a_signature_is_400(server: ServerProcess) -> None:
    query = signed(server, [("html", "<p>x")])
    answer = server.client.get("/v1/screenshot", params=query, headers={"X-API-Key": server.key})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_a_revoked_key_ends_its_links(server: ServerProcess, tmp_path: Path) -> None:
    def keys(*arguments: str) -> str:
        command = [sys.executable, "-m", "calotype", "keys", *arguments]
        environment = server_environment(server.data_dir)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout

    key = keys("create", "--plan", "unlimited").strip()
    ran = calotype_sign("https://example.com", "--server", server.url, data_dir=tmp_path, CALOTYPE_KEY=key)
    link = ran.stdout.strip()
    keys("revoke", key)
    assert httpx.get(link, timeout=150).json()["error"]["code"] == "api_key_invalid"


def test_links_are_in_no_log_line(tmp_path: Path) -> None:
    with running_server(tmp_path, LOG__LEVEL="debug") as server:
        query = signed(server, [("html", "<p>x"), *_SMALL])
        answers = [asked(server, query), asked(server, [*query, ("full_page", "true")])]
    assert [answer.status_code for answer in answers] == [200, 401]
    log = "".join(server.output)  # whole: the server has ended
    assert all(answer.headers["x-request-id"] in log for answer in answers)
    assert dict(query)["signature"] not in log


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["https://example.com", "--option", "width=1", "--option", "colour=red"], 1, ["width", "colour"]),
        (["https://example.com", "--option", "url=https://example.org"], 1, ["url", "once"]),
        (["ftp://example.com"], 1, ["http"]),
        (["https://example.com", "--option", "expires=5"], 1, ["expires"]),
        (["https://example.com", "--option", "api_key=x"], 2, ["--key"]),
        (["https://example.com", "--option", "width"], 2, ["name=value"]),
        (["https://example.com", "--server", "shots.example.com"], 2, ["--server", "https://"]),
        (["https://example.com", "--server", "https://shots.example.com/?a=b"], 2, ["--server"]),
        (["https://example.com", "--expires", "2001-01-01"], 2, ["in the past"]),
        (["https://example.com", "--key", "calo_Ab3dEf9h_tooshort"], 2, ["--key"]),
        ([], 2, ["URL"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_can_not_work_is_not_signed(tmp_path: Path, arguments: list[str], status: int, said: list[str]) -> None:
    ran = calotype_sign(*arguments, data_dir=tmp_path, CALOTYPE_KEY=f"calo_Ab3dEf9h_{'A' * 43}")
    assert (ran.returncode, ran.stdout) == (status, "")
    for word in said:
        assert word in ran.stderr
    assert "tooshort" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_a_key_it_says_where_it_looks(tmp_path: Path) -> None:
    ran = calotype_sign("https://example.com", data_dir=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "CALOTYPE_KEY" in ran.stderr
