"""What is taken as a job, and what is not: bodies, batches, keys, credits, priorities, the same again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.site.server import Site

from .job_shop import (
    TINY,
    Shop,
    cancel_all,
    delivered,
    error_of,
    fields_of,
    key_on,
    running_shop,
    walk,
)


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_shop(site, tmp_path_factory.mktemp("jobs")) as shop:
        yield shop


def test_a_batch_is_queued_in_one_go(shop: Shop) -> None:
    """The most that one request may ask for, and all the credits of the plan."""
    key = key_on(shop, "thousand")
    with shop.busy():
        answer = shop.batch([{"request": {"html": f"{number}"}} for number in range(1_000)], key)
        assert answer.status_code == 202
        jobs = answer.json()["jobs"]
        assert len({job["job_id"] for job in jobs}) == 1_000
        assert {job["status"] for job in jobs} == {"queued"}
        assert all(job["status_url"] == f"/v1/jobs/{job['job_id']}" for job in jobs)
        places = [shop.see(jobs[number]["job_id"])["queue_position"] for number in (0, 1, 999)]
        assert places == [1, 2, 1_000]
        assert shop.credits_used(key) == (0, 1_000)
        assert error_of(shop.post({"html": "x"}, key)) == (422, "quota_reached")
        cancel_all(shop, key)
    assert shop.credits_used(key) == (0, 0)


def test_a_batch_with_one_wrong_job_queues_nothing(shop: Shop) -> None:
    key = key_on(shop, "thousand")
    jobs = [{"request": {"html": "x"}} for _ in range(20)]
    jobs[17] = {"request": {"url": "ftp://example.com"}}
    answer = shop.batch(jobs, key)
    assert error_of(answer) == (400, "invalid_url")
    assert fields_of(answer) == {"jobs[17].request.url"}
    assert "`jobs[17].request.url`" in answer.json()["error"]["message"]
    for wrong in ([], [{"request": {"html": "x"}}] * 1_001, {}, None, "jobs"):
        assert fields_of(shop.batch(wrong, key)) == {"jobs"}
    assert fields_of(shop.batch([None, 5, {"request": {"html": "x"}}], key)) == {"jobs[0]", "jobs[1]"}
    assert shop.call("GET", "/v1/jobs", key).json()["jobs"] == []
    assert shop.credits_used(key) == (0, 0)


def test_a_batch_over_the_credits_queues_nothing(shop: Shop) -> None:
    key = key_on(shop, "five")
    answer = shop.batch([{"request": {"html": "x"}}] * 6, key)
    assert error_of(answer) == (422, "quota_reached")
    assert answer.headers["X-Credits-Remaining"] == "5"
    assert shop.call("GET", "/v1/jobs", key).json()["jobs"] == []
    done = [{"request": shop.colour("00ff00")}] * 3
    failing = [{"request": {"url": "http://127.0.0.1:1/"}}] * 2
    answer = shop.batch(done + failing, key)
    assert (answer.status_code, answer.headers["X-Credits-Remaining"]) == (202, "0")
    ended = Counter(shop.ended(job["job_id"])["status"] for job in answer.json()["jobs"])
    assert ended == {"done": 3, "failed": 2}
    assert shop.credits_used(key) == (3, 0)


def test_enqueues_count_against_the_rate_and_reads_do_not(shop: Shop) -> None:
    key = key_on(shop, "slow")
    job_id = shop.job_id(shop.colour("ff0000"), key)
    for answer in (shop.post({"html": "x"}, key), shop.batch([{"request": {"html": "x"}}], key)):
        assert error_of(answer) == (429, "rate_limited")
        assert int(answer.headers["Retry-After"]) > 1
    shop.ended(job_id)
    for _ in range(3):
        assert shop.call("GET", f"/v1/jobs/{job_id}", key).status_code == 200
        assert len(shop.call("GET", "/v1/jobs", key).json()["jobs"]) == 1


def test_the_key_may_stand_in_any_of_its_places(shop: Shop) -> None:
    key, request = key_on(shop, "thousand"), {"html": "x", "viewport": TINY}
    other = key_on(shop, "thousand")
    post = shop.server.client.post
    accepted = [
        post("/v1/jobs", json={"request": {**request, "api_key": key}}),
        post("/v1/jobs", json={"request": request, "api_key": key}),
        post("/v1/jobs", json={"request": {**request, "api_key": key}, "api_key": key}, headers={"X-API-Key": key}),
        post("/v1/jobs", json={"request": request}, headers={"Authorization": f"Bearer {key}"}),
        post("/v1/jobs/batch", json={"jobs": [{"request": {**request, "api_key": key}}]}),
        post("/v1/jobs/batch", json={"jobs": [{"request": request}], "api_key": key}),
        post("/v1/jobs/batch", json={"jobs": [{"request": request, "api_key": key}, {"request": request}]}),
    ]
    assert [answer.status_code for answer in accepted] == [202] * 7
    assert [answer.json()["warnings"] for answer in accepted] == [[]] * 7
    assert len(list(walk(shop, key, 100))) == 8
    refused = [
        post("/v1/jobs", json={"request": {**request, "api_key": key}, "api_key": other}),
        post("/v1/jobs", json={"request": {**request, "api_key": key}}, headers={"X-API-Key": other}),
        post("/v1/jobs/batch", json={"jobs": [{"request": {**request, "api_key": each}} for each in (key, other)]}),
        post("/v1/jobs", json={"request": {**request, "api_key": 5}}),
        post("/v1/jobs", json={"request": request, "api_key": [key]}),
    ]
    for answer in refused:
        assert fields_of(answer) == {"api_key"}
        assert key not in answer.text
        assert other not in answer.text
    for path, body in (("/v1/jobs", {"request": request}), ("/v1/jobs/batch", {"jobs": [{"request": request}]})):
        assert error_of(post(path, json=body)) == (401, "api_key_missing")
        assert error_of(post(path, json=body, headers={"X-API-Key": f"{key}x"})) == (401, "api_key_invalid")
    for job_id in walk(shop, key, 100):
        shop.ended(job_id)


def test_priorities_have_types_and_bounds(shop: Shop) -> None:
    key, request = key_on(shop, "five"), shop.colour("ff0000")
    for wrong in (11, 2**31, -(2**31) - 1, 10**30, "1", 1.5, True, None, [1]):
        assert fields_of(shop.post(request, key, priority=wrong)) == {"priority"}, wrong
    for wrong in (2**31, -(2**31) - 1):
        assert fields_of(shop.post(request, priority=wrong)) == {"priority"}
    with shop.busy():
        low = shop.job_id(request, priority=-(2**31))
        default, ten = shop.job_id(request, key), shop.job_id(request, key, priority=10)
        high = shop.job_id(request, priority=2**31 - 1)
        places = [shop.see(job_id)["queue_position"] for job_id in (high, ten, default, low)]
        assert places == [1, 2, 3, 4]
    for job_id in (low, default, ten, high):
        shop.ended(job_id)


def test_idempotency(shop: Shop) -> None:
    key, header = key_on(shop, "five"), {"Idempotency-Key": "one"}
    first = shop.post(shop.colour("ff0000"), key, header)
    again = shop.post(shop.colour("ff0000"), key, header)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    for other in (
        shop.post(shop.colour("00ff00"), key, header),
        shop.post(shop.colour("ff0000"), key, header, priority=1),
        shop.batch([{"request": shop.colour("ff0000")}] * 2, key, header),
        shop.call("POST", "/v1/screenshot", key, json=shop.colour("ff0000"), headers=header),
    ):
        assert error_of(other) == (409, "idempotency_conflict")
    assert len(list(walk(shop, key, 100))) == 1
    wrong = shop.post(shop.colour("ff0000"), key, {"Idempotency-Key": "x" * 256})
    assert fields_of(wrong) == {"Idempotency-Key"}
    job = shop.ended(first.json()["job_id"])
    assert job["status"] == "done"
    assert shop.post(shop.colour("ff0000"), key, header).json()["job_id"] == job["job_id"]
    assert shop.credits_used(key) == (1, 0)


def test_the_same_request_many_times_at_once_is_one_job(shop: Shop) -> None:
    key, header = key_on(shop, "thousand"), {"Idempotency-Key": "two"}
    jobs = [{"request": shop.colour("ff0000")}] * 2
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: shop.batch(jobs, key, header), range(8)))
    assert Counter(answer.headers.get("Idempotency-Replayed") for answer in answers) == {None: 1, "true": 7}
    assert len({answer.text for answer in answers}) == 1
    job_ids = list(walk(shop, key, 100))
    assert [shop.ended(job_id)["status"] for job_id in job_ids] == ["done"] * 2
    assert shop.credits_used(key) == (2, 0)


def test_unknown_fields_are_warned_of_or_refused(shop: Shop) -> None:
    body = {
        "request": {**shop.colour("ff0000"), "selecter": "p"},
        "prioritie": 1,
        "webhook": {"url": f"http://127.0.0.1:{shop.receiver.port}/unknown", "event": "done"},
    }
    fields = ["prioritie", "webhook.event", "request.selecter"]
    answer = shop.call("POST", "/v1/jobs", json=body)
    assert answer.status_code == 202
    assert [(each["code"], each["field"]) for each in answer.json()["warnings"]] == [
        ("unknown_field", field) for field in fields
    ]
    assert "Preference-Applied" not in answer.headers
    shop.ended(answer.json()["job_id"])
    strict = {"Prefer": "handling=strict"}
    refused = shop.call("POST", "/v1/jobs", json=body, headers=strict)
    assert fields_of(refused) == set(fields)
    in_batch = shop.batch([{"request": {"html": "x"}}, body], headers=strict)
    assert fields_of(in_batch) == {f"jobs[1].{field}" for field in fields}
    good = shop.post(shop.colour("ff0000"), headers=strict)
    assert (good.status_code, good.headers["Preference-Applied"]) == (202, "handling=strict")
    top = shop.call("POST", "/v1/jobs/batch", json={"jobs": [{"request": {"html": "x"}}], "priority": 1})
    assert [each["field"] for each in top.json()["warnings"]] == ["priority"]
    top = shop.call(
        "POST", "/v1/jobs/batch", json={"jobs": [{"request": {"html": "x"}}], "priority": 1}, headers=strict
    )
    assert fields_of(top) == {"priority"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "request"),
        ({"request": None}, "request"),
        ({"request": []}, "request"),
        ({"request": {}}, "request.url"),
        ({"request": {"html": "x"}, "webhook": "http://example.com"}, "webhook"),
        ({"request": {"html": "x"}, "webhook": False}, "webhook"),
        ({"request": {"html": "x"}, "webhook": {}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": 5}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": "ftp://example.com"}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": "http://10.0.0.1/"}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": "https://example.com", "events": []}}, "webhook.events"),
        ({"request": {"html": "x"}, "webhook": {"url": "https://example.com", "events": ["all"]}}, "webhook.events"),
        ({"request": {"html": "x"}, "webhook": {"url": "https://example.com", "events": "done"}}, "webhook.events"),
    ],
    ids=str,
)
def test_a_job_that_is_none_is_refused(shop: Shop, body: dict[str, Any], field: str) -> None:
    answer = shop.call("POST", "/v1/jobs", json=body)
    assert fields_of(answer) == {field}
    assert f"`{field}`" in answer.json()["error"]["message"] or field == "webhook.url"


def test_keys_are_in_no_row_and_no_log_line(shop: Shop) -> None:
    """Sent in every place in which a key may stand, and in some where it may not."""
    key = key_on(shop, "thousand")
    secret = key.rpartition("_")[2].encode()
    hook = {"url": f"http://127.0.0.1:{shop.receiver.port}/secret", "api_key": key}
    job = {"request": {**shop.colour("ff0000"), "api_key": key}, "api_key": key, "webhook": hook}
    header = {"Idempotency-Key": "secret"}

    def files() -> bytes:
        paths = [path for path in shop.server.data_dir.rglob("*") if path.is_file()]
        assert {"calotype.db", "calotype.db-wal"} <= {path.name for path in paths}
        return b"".join(path.read_bytes() for path in paths)

    with shop.busy():
        answers = [
            shop.call("POST", "/v1/jobs", key, json=job, headers=header),
            shop.call("POST", "/v1/jobs/batch", key, json={"jobs": [job], "api_key": key}),
            shop.call("POST", "/v1/jobs", key, json={**job, "key": key, "request": {**job["request"], "token": key}}),
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 202]
        job_ids = list(walk(shop, key, 9))
        assert len(job_ids) == 3
        assert all(job_id.encode() in files() for job_id in job_ids)
        assert secret not in files()
    for job_id in job_ids:
        shop.ended(job_id)
        delivered(shop, job_id)
    assert secret not in files()
    assert secret.decode() not in "".join(shop.server.output)
    assert not any(secret in message.body for message in shop.receiver.received)
