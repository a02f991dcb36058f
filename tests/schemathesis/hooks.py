"""Hooks of schemathesis: random captures of one small local page, and a check of what 5xx means."""

from __future__ import annotations

import os
from typing import Any

import schemathesis

_PAGE = os.environ.get("CALOTYPE_TEST_PAGE", "")
_KEY_ID = os.environ.get("CALOTYPE_TEST_KEY", "__").split("_")[1]
_SOON = {
    "wait_for": "h1",
    "wait_for_function": "true",
    "actions": '[{"type": "wait", "ms": 1}]',
    "render": '{"wait_until": "load"}',
    "delay_ms": 50,
    "delay": 0.05,
}
"""What queries wait for instead of what never comes on our page: the examples do, and are sent again and again."""
_WAIT_MAX = 30_000
_OF_THE_PAGE = {"capture_timeout", "target_unreachable"}
_TIMEOUT_MS = 1_000
_TIMEOUT_MAX_MS = 120_000
_URL_MAX_CHARS = 2_048


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Lead what would load a page to ours, and not for long. What is wrong stays as it is: it must be refused."""
    for request in _requests(body):
        if _may_load(request.get("url")):
            request["url"] = _PAGE
        render = request.get("render", {})
        if isinstance(render, dict) and _is_timeout(render.get("timeout_ms", _TIMEOUT_MS)):
            request["render"] = {**render, "timeout_ms": _TIMEOUT_MS}
    return body


@schemathesis.hook
def map_query(context: schemathesis.HookContext, query: Any) -> Any:
    if not isinstance(query, dict) or not {"url", "html"} & set(query):
        return query
    if _may_load(query.get("url")):
        query["url"] = _PAGE
    if _is_timeout(query.get("timeout_ms", _TIMEOUT_MS)):
        query["timeout_ms"] = _TIMEOUT_MS
    for name, soon in _SOON.items():
        if _is_wait(name, query.get(name)):
            query[name] = soon
    return query


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Leave the key that asks alone: the list of keys leads to it, and all the rest would be 401."""
    if case.method != "GET" and case.path_parameters.get("key_id") == _KEY_ID:
        case.path_parameters["key_id"] = "00000000"


@schemathesis.check
def failure_is_not_ours(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """A 5xx says that the page is at fault, never the server."""
    if response.status_code >= 500:
        code = response.json()["error"]["code"]
        assert code in _OF_THE_PAGE, f"{response.status_code} {code}"


def _may_load(url: Any) -> bool:
    return isinstance(url, str) and len(url) <= _URL_MAX_CHARS


def _is_timeout(value: Any) -> bool:
    return isinstance(value, int) and _TIMEOUT_MS <= value <= _TIMEOUT_MAX_MS


def _is_wait(name: str, value: Any) -> bool:
    """Whether it may make a capture wait. What is wrong does not."""
    if name in ("actions", "render"):
        return isinstance(value, str) and value.startswith(("[", "{"))
    if name in ("wait_for", "wait_for_function"):
        return isinstance(value, str) and 0 < len(value) <= _URL_MAX_CHARS
    of_kind = isinstance(value, int) or (name == "delay" and isinstance(value, float))
    return of_kind and not isinstance(value, bool) and 0 <= value <= _WAIT_MAX


def _requests(body: Any) -> list[dict[str, Any]]:
    """The capture requests in a body: itself, a job's, a batch's."""
    if not isinstance(body, dict):
        return []
    jobs = body.get("jobs")
    items = [body, *(jobs if isinstance(jobs, list) else [])]
    found = [each.get("request") for each in items if isinstance(each, dict)]
    if "request" not in body and "jobs" not in body:
        found.append(body)
    return [each for each in found if isinstance(each, dict)]
