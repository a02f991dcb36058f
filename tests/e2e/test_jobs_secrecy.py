"""What jobs carry: a key is in no byte that is kept, and a request is in none once its job has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.site.server import Site

from .job_calls import TINY, ask, job, occupied, settings_for
from .server_process import running_server
from .test_accounts import make_key

PRIVATE = {**TINY, "html": "<p>the-callers-own-words"}
WORDS = b"the-callers-own-words"


def test_keys_are_never_kept_and_requests_until_the_end(site: Site, tmp_path: Path) -> None:
    """In no byte of the data directory, no log line and no answer; a key sent where it does not belong included."""
    settings = settings_for(site, LOG__LEVEL="debug")
    with running_server(tmp_path / "data", **settings) as server:
        keys = [make_key(server.data_dir, settings, "unlimited") for _ in range(2)]
        key, other = keys
        answers: list[httpx.Response] = []

        def send(path: str, body: Any, **headers: str) -> None:
            answers.append(ask(server, "POST", path, key="", body=body, **headers))

        with occupied(server, site):
            send("/v1/jobs", {"request": {**PRIVATE, "api_key": key}})
            send("/v1/jobs", {"request": PRIVATE, "api_key": key}, Idempotency_Key="once")
            send("/v1/jobs", {"request": PRIVATE, "api_key": key}, Idempotency_Key="once")
            send("/v1/jobs/batch", {"jobs": [{"request": {**PRIVATE, "api_key": key}}, {"request": PRIVATE}]})
            send("/v1/jobs/batch", {"api_key": key, "jobs": [{"request": PRIVATE}]}, X_API_Key=key)
            accepted = len(answers)
            send("/v1/jobs", {"request": {**PRIVATE, "api_key": key}, "api_key": other})
            send("/v1/jobs", {"request": {**PRIVATE, "api_key": key}, "priority": "high"}, Prefer="handling=strict")
            send("/v1/jobs", {"request": {**PRIVATE, "api_key": [key]}})
            send("/v1/jobs", {"request": {**PRIVATE, "api_key": f"{key}x"}})
            send("/v1/jobs", {"request": PRIVATE, "api_key": {"key": key}})
            assert {answer.status_code for answer in answers[:accepted]} == {202}
            assert {answer.status_code for answer in answers[accepted:]} == {400, 401}
            assert WORDS in everything_in(server.data_dir)
        for listed in ask(server, "GET", "/v1/jobs", key=key).json()["jobs"]:
            assert job(server, listed["job_id"], "?wait=60")["status"] == "done"
        while_open = everything_in(server.data_dir)
        server.stop()
    said = "".join(server.output)
    assert len(server.output) > 20
    for secret in (text.rpartition("_")[2] for text in keys):
        for content in (while_open, everything_in(server.data_dir), said.encode()):
            assert secret.encode() not in content
        assert not any(secret in answer.text for answer in answers)
    assert WORDS not in everything_in(server.data_dir)
    assert WORDS.decode() not in said


def everything_in(directory: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
