"""What enqueueing takes, without a server: keys, priorities, webhooks, and where what is wrong is said to be."""

from __future__ import annotations

from typing import Any

import pytest

from calotype.errors import BlockedTarget, CalotypeError, InvalidRequest, InvalidUrl
from calotype.http.job_bodies import BATCH_MAX, ParsedJobs, keys_in, parse_batch, parse_job
from calotype.request import parse_body

PAGE = {"url": "https://example.com"}
HOOK = "https://example.com/hook"


def anywhere(url: str) -> None:
    """Every webhook may be called."""


def nowhere(url: str) -> None:
    raise BlockedTarget("no", details=[{"field": "webhook.url", "message": "no"}])


def job(body: Any, *, strict: bool = False, check: Any = anywhere) -> ParsedJobs:
    return parse_job(body, strict=strict, max_priority=10, check_webhook=check)


def batch(body: Any, *, strict: bool = False, check: Any = anywhere) -> ParsedJobs:
    return parse_batch(body, strict=strict, max_priority=10, check_webhook=check)


def refused(body: Any, **options: Any) -> tuple[type[CalotypeError], list[str]]:
    with pytest.raises(CalotypeError) as caught:
        (batch if "jobs" in body else job)(body, **options)
    return type(caught.value), [each["field"] for each in caught.value.details]


def test_a_job_is_kept_as_it_was_sent_without_its_key() -> None:
    parsed = job({"request": {**PAGE, "full_page": True, "api_key": "calo_x"}, "priority": 5, "api_key": "calo_x"})
    [wanted] = parsed.wanted
    assert (wanted.body, wanted.priority, wanted.webhook) == ({**PAGE, "full_page": True}, 5, None)
    assert parsed.warnings == []


def test_what_is_unknown_is_kept_by_name_for_its_warning_and_without_its_value() -> None:
    """It may be a key under the name that another service has for it."""
    parsed = job({"request": {**PAGE, "access_key": "calo_x", "width": 100}})
    assert parsed.wanted[0].body == {**PAGE, "access_key": None, "width": None}
    assert [each["field"] for each in parsed.warnings] == ["request.access_key", "request.width"]
    assert parse_body(parsed.wanted[0].body).warnings == parse_body({**PAGE, "access_key": "", "width": 1}).warnings


def test_of_a_webhook_only_what_is_known_is_kept() -> None:
    """What is unknown may be anything: a key that went astray, for instance."""
    [wanted] = job({"request": PAGE, "webhook": {"url": HOOK, "events": ["done"], "api_key": "calo_x"}}).wanted
    assert wanted.webhook == {"url": HOOK, "events": ["done"]}
    [wanted] = job({"request": PAGE, "webhook": {"url": HOOK, "events": ["done", "failed"] * 9_000}}).wanted
    assert wanted.webhook == {"url": HOOK, "events": ["done", "failed"]}
    [wanted] = job({"request": PAGE, "webhook": {"url": HOOK, "secret": "calo_x"}}).wanted
    assert wanted.webhook == {"url": HOOK}


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.com/a\0b", "https://example.com/a%00b"),
        ("  https://example.com/a\n", "https://example.com/a"),
        ("https://EXAMPLE.com", "https://example.com/"),
        ("https://bücher.example/ä?ö", "https://xn--bcher-kva.example/%C3%A4?%C3%B6"),
    ],
)
def test_a_webhooks_url_is_kept_as_browsers_write_it(url: str, kept: str) -> None:
    """PostgreSQL, for one, can't keep a NUL."""
    assert job({"request": PAGE, "webhook": {"url": url}}).wanted[0].webhook == {"url": kept}


@pytest.mark.parametrize("webhook", [None, {"url": HOOK}, {"url": HOOK, "events": None}])
def test_events_and_webhooks_may_be_left_out(webhook: Any) -> None:
    [wanted] = job({"request": PAGE, "webhook": webhook}).wanted
    assert wanted.webhook == (webhook and {"url": HOOK})


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({}, None),
        ({"api_key": "a"}, "a"),
        ({"request": {"api_key": "a"}}, "a"),
        ({"api_key": "a", "request": {"api_key": "a"}}, "a"),
        ({"api_key": "", "request": {"api_key": "a"}}, "a"),
        ({"api_key": None, "request": {"api_key": "a"}}, "a"),
        ({"jobs": [{"request": {}}, {"request": {"api_key": "a"}}, None, {"api_key": "a"}, 5]}, "a"),
        ({"jobs": {"api_key": "a"}}, None),
        ({"api_key": 5}, 5),
        ({"request": {"api_key": ["a"]}}, ["a"]),
    ],
    ids=str,
)
def test_where_a_key_may_stand(body: dict[str, Any], keys: object) -> None:
    assert keys_in(body) == keys


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "a", "request": {"api_key": "b"}},
        {"jobs": [{"api_key": "a"}, {"request": {"api_key": "b"}}]},
        {"api_key": "a", "jobs": [{"api_key": "b"}]},
        {"api_key": "a", "request": {"api_key": 5}},
    ],
    ids=str,
)
def test_two_keys_are_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        keys_in(body)
    assert [each["field"] for each in caught.value.details] == ["api_key"]


@pytest.mark.parametrize("priority", [0, 10, -(2**31), -5])
def test_priorities(priority: int) -> None:
    assert job({"request": PAGE, "priority": priority}).wanted[0].priority == priority


@pytest.mark.parametrize("priority", [11, -(2**31) - 1, 1.0, "1", True, False, None, [], {}], ids=repr)
def test_what_is_no_priority(priority: Any) -> None:
    assert refused({"request": PAGE, "priority": priority}) == (InvalidRequest, ["priority"])


def test_errors_say_which_job_and_which_field() -> None:
    jobs: list[Any] = [{"request": PAGE} for _ in range(20)]
    jobs[3] = {"request": {"url": "ftp://example.com"}}
    assert refused({"jobs": jobs}) == (InvalidUrl, ["jobs[3].request.url"])
    jobs[5] = {"request": {"url": "gopher://example.com"}}
    assert refused({"jobs": jobs}) == (InvalidRequest, ["jobs[3].request.url", "jobs[5].request.url"])
    jobs[3:6] = [{"request": PAGE, "priority": "x"}, 5, {"webhook": 1}]
    fields = ["jobs[3].priority", "jobs[4]", "jobs[5].webhook", "jobs[5].request"]
    assert refused({"jobs": jobs}) == (InvalidRequest, fields)


def test_messages_name_the_field_as_details_do() -> None:
    body = {"jobs": [{"request": {"url": "x", "width": "wide"}, "webhook": {"url": HOOK, "events": ["x"]}}, {}]}
    with pytest.raises(InvalidRequest) as caught:
        batch(body, check=nowhere)
    for each in caught.value.details:
        assert f"`{each['field']}`" in each["message"] or each["message"] == "no"


def test_a_webhook_that_is_not_called_is_refused() -> None:
    body = {"request": PAGE, "webhook": {"url": HOOK}}
    assert refused(body, check=nowhere) == (BlockedTarget, ["webhook.url"])
    assert refused({"jobs": [body]}, check=nowhere) == (BlockedTarget, ["jobs[0].webhook.url"])


def test_the_size_of_a_batch() -> None:
    assert len(batch({"jobs": [{"request": PAGE}] * BATCH_MAX}).wanted) == BATCH_MAX
    for jobs in ([], [{"request": PAGE}] * (BATCH_MAX + 1), None, {}, "x"):
        assert refused({"jobs": jobs}) == (InvalidRequest, ["jobs"])


def test_hostile_batches_have_short_answers() -> None:
    jobs = [{"request": {"url": "x" * 1000, "y" * 1000: 1}, "z" * 1000: 1, "priority": []}] * BATCH_MAX
    with pytest.raises(InvalidRequest) as caught:
        batch({"jobs": jobs}, strict=True)
    assert len(str(caught.value.details)) < 50_000
    assert len(caught.value.details) == 101
    good = batch({"jobs": [{"request": {**PAGE, "y" * 1000: 1}, "z" * 1000: 1}] * BATCH_MAX})
    assert len(str(good.warnings)) < 50_000
    assert good.warnings[-1]["code"] == "truncated"
