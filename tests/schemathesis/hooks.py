"""Hooks of schemathesis: random captures of one small local page, and a check of what 5xx means."""

from __future__ import annotations

import os
from typing import Any

import schemathesis

_PAGE = os.environ.get("CALOTYPE_TEST_PAGE", "")
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
    return query


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
