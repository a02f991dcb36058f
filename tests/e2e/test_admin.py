"""The operator's API on a real server, on each kind of database: a key's life without the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.postgres import PostgresCluster
from tests.site.server import Site

from .server_process import ServerProcess, running_server, server_environment

TOKEN = "an-admin-token-that-nobody-guesses-0123"
PLANS = [{"name": "dozen", "monthly_credits": 12}]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresCluster]:
    from tests.postgres import running_postgres

    with running_postgres() as cluster:
        yield cluster


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, site: Site) -> dict[str, str]:
    settings = {"GUARD__ALLOW": json.dumps([site.netloc]), "PLANS": json.dumps(PLANS), "ADMIN__TOKEN": TOKEN}
    if request.param == "postgresql":
        settings["DATABASE__URL"] = request.getfixturevalue("postgres").make_database()
    return settings


@pytest.fixture(scope="module")
def shop(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("shop"), LOG__LEVEL="debug", **settings) as server:
        yield server


def admin(server: ServerProcess, method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return server.client.request(method, f"/admin/v1{path}", headers=headers, **options)


def made(server: ServerProcess, **body: Any) -> tuple[str, str]:
    """A new key: its id and its text."""
    answer = admin(server, "POST", "/keys", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["key"]["id"], answer.json()["api_key"]


def capture(server: ServerProcess, key: str, **body: Any) -> httpx.Response:
    return server.client.post("/v1/screenshot", json=body, headers={"Authorization": f"Bearer {key}"})


def test_keys_made_here_work_at_once_and_revoked_ones_no_more(shop: ServerProcess, site: Site) -> None:
    key_id, key = made(shop, plan="dozen", name="Ada")
    answer = capture(shop, key, url=f"{site.url}/blocks.html")
    assert (answer.status_code, answer.headers["X-Credits-Remaining"]) == (200, "11")
    usage = admin(shop, "GET", f"/keys/{key_id}/usage").json()["usage"]
    own = shop.client.get("/v1/usage", headers={"X-API-Key": key}).json()
    assert usage["credits"] == own["credits"]
    assert usage["plan"] == own["plan"]
    assert usage["credits"]["used"] == 1
    assert admin(shop, "DELETE", f"/keys/{key_id}").json()["key"]["state"] == "revoked"
    assert capture(shop, key, url=f"{site.url}/blocks.html").json()["error"]["code"] == "api_key_invalid"


def test_the_command_line_shows_the_same(shop: ServerProcess, settings: dict[str, str]) -> None:
    key_id, _ = made(shop, plan="dozen", name="Ada", allow=["10.0.0.0/8"])
    environment = {f"CALOTYPE_{name}": value for name, value in settings.items()}

    def calotype(*arguments: str) -> Any:
        command = [sys.executable, "-m", "calotype", *arguments, "--json"]
        environ = server_environment(shop.data_dir, **environment)
        return json.loads(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout)

    assert calotype("keys", "show", key_id) == admin(shop, "GET", f"/keys/{key_id}").json()["key"]
    assert calotype("keys", "list") == admin(shop, "GET", "/keys").json()["keys"]
    assert calotype("plans", "list") == admin(shop, "GET", "/plans").json()["plans"]
    assert calotype("usage", "--key", key_id) == admin(shop, "GET", f"/keys/{key_id}/usage").json()["usage"]


def test_rotating_while_captures_run_doubles_no_quota(shop: ServerProcess) -> None:
    """30 captures on 12 credits, by whichever key is the newest, while it is replaced five times."""
    key_id, key = made(shop, plan="dozen")
    newest = [key]
    counts: Counter[str] = Counter()

    def ask(number: int) -> None:
        body = {"html": f"<p>{number}", "viewport": {"width": 64, "height": 64}}
        while True:
            answer = capture(shop, newest[-1], **body)
            code = "ok" if answer.status_code == 200 else answer.json()["error"]["code"]
            if code != "api_key_invalid":  # replaced in the meantime, at once: the newest is tried
                counts[code] += 1
                return

    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(ask, number) for number in range(30)]
        for grace_s in (0, 60, 0, 60, 0):
            answer = admin(shop, "POST", f"/keys/{key_id}/rotate", json={"grace_s": grace_s})
            assert answer.status_code == 201, answer.text
            key_id = answer.json()["key"]["id"]
            newest.append(answer.json()["api_key"])
        for each in asked:
            each.result()
    assert counts == {"ok": 12, "quota_reached": 18}
    credits = admin(shop, "GET", f"/keys/{key_id}/usage").json()["usage"]["credits"]
    assert (credits["used"], credits["reserved"], credits["remaining"]) == (12, 0, 0)


def test_a_picture_in_flight_is_delivered_and_paid_for_once(shop: ServerProcess, site: Site) -> None:
    key_id, key = made(shop, plan="dozen")
    body = {"url": f"{site.url}/blocks.html", "render": {"delay_ms": 1500}}
    with ThreadPoolExecutor(1) as clients:
        running = clients.submit(capture, shop, key, **body)
        while not admin(shop, "GET", f"/keys/{key_id}/usage").json()["usage"]["credits"]["reserved"]:
            assert not running.done()
        new = admin(shop, "POST", f"/keys/{key_id}/rotate").json()
        path = f"/keys/{new['key']['id']}/usage"
        assert admin(shop, "GET", path).json()["usage"]["credits"]["reserved"] == 1
        assert running.result().status_code == 200
    credits = admin(shop, "GET", path).json()["usage"]["credits"]
    assert (credits["used"], credits["reserved"], credits["remaining"]) == (1, 0, 11)
    assert capture(shop, key, **body).status_code == 401


def test_an_answer_kept_for_the_old_key_is_given_to_the_new_one(shop: ServerProcess, site: Site) -> None:
    key_id, key = made(shop, plan="dozen")
    body = {"url": f"{site.url}/echo?rotation", "cache": {"ttl_s": 60}}
    first = capture(shop, key, **body)
    new = admin(shop, "POST", f"/keys/{key_id}/rotate").json()["api_key"]
    again = capture(shop, new, **body)
    assert again.headers["X-Cache"] == "HIT"
    assert again.json()["image_base64"] == first.json()["image_base64"]


def test_of_two_rotations_at_once_one_wins(shop: ServerProcess) -> None:
    key_id, _ = made(shop, plan="dozen")
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda _: admin(shop, "POST", f"/keys/{key_id}/rotate"), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400, 400, 400]


@pytest.mark.parametrize("name", ["a\x00", "\x7f", "x" * 201])
def test_a_name_that_a_database_or_a_terminal_would_not_take_is_refused(shop: ServerProcess, name: str) -> None:
    answer = admin(shop, "POST", "/keys", json={"plan": "dozen", "name": name})
    assert answer.json()["error"]["details"][0]["field"] == "name"
    assert admin(shop, "GET", "/keys/%00").status_code == 404


def test_neither_token_nor_keys_are_in_logs_metrics_errors_or_database(
    shop: ServerProcess, settings: dict[str, str]
) -> None:
    key_id, key = made(shop, plan="dozen")
    new = admin(shop, "POST", f"/keys/{key_id}/rotate").json()["api_key"]
    answers = [
        shop.client.get("/metrics"),
        shop.client.get("/admin/v1/keys", headers={"Authorization": f"Bearer {TOKEN}x"}),
        shop.client.get("/v1/usage", headers={"Authorization": f"Bearer {TOKEN}"}),
        shop.client.get(f"/admin/v1/keys/{new}", headers={"Authorization": "Bearer x"}),
        admin(shop, "GET", f"/keys/{new}"),
        admin(shop, "POST", "/keys", json={"plan": new, "name": TOKEN, "expires_at": TOKEN}),
    ]
    secrets = [TOKEN, key.rpartition("_")[2], new.rpartition("_")[2]]
    told = "".join([*(answer.text for answer in answers), *shop.output])
    assert "key_created" in told
    assert "key_replaced" in told
    stored = b"".join(path.read_bytes() for path in shop.data_dir.iterdir() if path.is_file())
    if url := settings.get("DATABASE__URL"):
        with psycopg.connect(url) as connection:
            stored += repr(connection.execute("SELECT * FROM api_keys").fetchall()).encode()
    assert key_id.encode() in stored
    for secret in secrets:
        assert secret not in told
        assert secret.encode() not in stored


def test_it_is_off_unless_there_is_a_token(server: ServerProcess) -> None:
    answer = admin(server, "GET", "/keys")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_server_does_not_start_with_a_token_that_can_be_guessed(tmp_path: Path) -> None:
    environment = server_environment(tmp_path, CALOTYPE_ADMIN__TOKEN="hunter2")
    command = [sys.executable, "-m", "calotype", "serve", "--port", "0"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "CALOTYPE_ADMIN__TOKEN" in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout
