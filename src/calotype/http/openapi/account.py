"""What a key may do: `POST /v1/url-check`, `GET /v1/usage`."""

from __future__ import annotations

from datetime import UTC, datetime

from calotype.accounts.keys import Principal
from calotype.accounts.limits import Limits, Standing
from calotype.errors import ERRORS
from calotype.http.openapi.parts import (
    BODY_CODES,
    EXAMPLE_ID,
    OF_A_KEY,
    REF,
    Area,
    Json,
    failures,
    json_answer,
    model_schemas,
    prefer,
)
from calotype.http.url_check import UrlCheckAnswer, UrlCheckError
from calotype.http.usage import UsageAnswer, usage_of
from calotype.settings import BUILT_IN_PLANS, TargetRules


def account() -> Area:
    paths = {"/v1/url-check": {"post": _post_url_check()}, "/v1/usage": {"get": _get_usage()}}
    return Area(paths, model_schemas(UsageAnswer, UrlCheckAnswer))


def _post_url_check() -> Json:
    answer = UrlCheckAnswer(
        url="http://10.0.0.1/",
        allowed=False,
        reason="private",
        error=UrlCheckError(code="blocked_target", message=ERRORS["blocked_target"].when),
        request_id=EXAMPLE_ID,
    )
    example = {"summary": "A page", "value": {"url": "http://10.0.0.1/"}}
    body = {"schema": {"$ref": f"{REF}ScreenshotRequest"}, "examples": {"url": example}}
    codes = ["invalid_request", "api_key_missing", "api_key_invalid", *BODY_CODES, "internal_error", "shutting_down"]
    return {
        "operationId": "postUrlCheck",
        "tags": ["screenshot"],
        "summary": "Would this page be visited, and if not, why",
        "description": "Asks the guard, DNS included. Nothing is captured and nothing is charged.",
        "security": [{"bearer": []}, {"header": []}, {}],
        "parameters": [prefer()],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": json_answer("The guard's word.", "UrlCheckAnswer", answer.model_dump(), OF_A_KEY),
            **failures(codes, of_a_key=True),
        },
    }


def _get_usage() -> Json:
    resets_at = datetime(2030, 2, 1, tzinfo=UTC)
    caller = Principal("V1StGXR8", "Ada", BUILT_IN_PLANS[0], TargetRules(), "V1StGXR8", resets_at)
    standing = Standing(Limits.of(caller.plan), 0, 0, 1, 41, resets_at)
    example = usage_of(caller, standing, EXAMPLE_ID).model_dump(mode="json")
    codes = ["api_key_missing", "api_key_invalid", "internal_error", "shutting_down"]
    return {
        "operationId": "getUsage",
        "tags": ["screenshot"],
        "summary": "What the key's plan allows, and what is used of it",
        "description": "Asking costs nothing: neither a credit nor a request of the rate.",
        "security": [{"bearer": []}, {"header": []}, {"query": []}],
        "responses": {
            "200": json_answer("Where the key stands.", "UsageAnswer", example, OF_A_KEY),
            **failures(codes, of_a_key=True),
        },
    }
