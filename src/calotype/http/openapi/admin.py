"""The operator's API, `/admin/v1`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from calotype.accounts.described import (
    CreditUsage,
    KeyDescription,
    KeyDetails,
    KeyUsage,
    PlanDescription,
    RateUsage,
)
from calotype.http.admin.answers import (
    KeyAnswer,
    KeyDetailsAnswer,
    KeyListAnswer,
    KeyUsageAnswer,
    MadeKeyAnswer,
    PlanListAnswer,
    ReplacedKeyAnswer,
)
from calotype.http.admin.bodies import CreateKeyBody, RotateKeyBody
from calotype.http.admin.routes import LIMIT_DEFAULT, LIMIT_MAX
from calotype.http.openapi.parts import (
    BODY_CODES,
    EXAMPLE_ID,
    REF,
    Area,
    Json,
    failures,
    json_answer,
    model_schemas,
    with_definitions,
)
from calotype.settings import BUILT_IN_PLANS

_TAG = {"name": "admin", "description": "For the operator: keys and plans. Only where `CALOTYPE_ADMIN__TOKEN` is set."}
_SCHEME = {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`, `CALOTYPE_ADMIN__TOKEN`"}
_ANSWERS = (
    MadeKeyAnswer,
    ReplacedKeyAnswer,
    KeyAnswer,
    KeyDetailsAnswer,
    KeyListAnswer,
    KeyUsageAnswer,
    PlanListAnswer,
)
_CODES = ("api_key_missing", "api_key_invalid", "internal_error", "shutting_down")

_DESCRIPTIONS = {
    "createKey": "The text of the key is in this answer and nowhere else, so `Idempotency-Key` is not heeded: each "
    "request makes another key.",
    "listKeys": "Page by page; revoked and expired keys too. No answer has the text of a key.",
    "showKey": "Its plan, rules, state and usage.",
    "revokeKey": "Can't be taken back. Revoking a revoked key changes nothing.",
    "rotateKey": "The old key works for `grace_s` more seconds. Only this answer has the text of the new one."
    " `Idempotency-Key` is not heeded.",
    "keyUsage": "As the key itself sees it with `GET /v1/usage`.",
    "listPlans": "The built-in plans and those of the settings.",
}
_KEY_ID: Json = {
    "name": "key_id",
    "in": "path",
    "required": True,
    "description": "Id of a key.",
    "example": "V1StGXR8",
    "schema": {"type": "string"},
}
_MADE_AT = datetime(2030, 1, 7, tzinfo=UTC)
_TEXT = "calo_V1StGXR8_…"
_KEY = KeyDescription(
    id="V1StGXR8",
    name="Ada",
    plan="free",
    state="active",
    allow=("10.1.0.0/16",),
    deny=(),
    created_at=_MADE_AT,
    expires_at=None,
    revoked_at=None,
    account_id="V1StGXR8",
    replaced_by=None,
)
_USAGE = KeyUsage(
    key_id=_KEY.id,
    key_name=_KEY.name,
    plan=PlanDescription.of(BUILT_IN_PLANS[0]),
    credits=CreditUsage(used=41, reserved=1, remaining=58, resets_at=datetime(2030, 2, 1, tzinfo=UTC)),
    rate=RateUsage(remaining=1, retry_after_s=0),
)


def admin() -> Area:
    paths = {
        "/admin/v1/keys": {"post": _create(), "get": _list()},
        "/admin/v1/keys/{key_id}": {"get": _show(), "delete": _revoke()},
        "/admin/v1/keys/{key_id}/rotate": {"post": _rotate()},
        "/admin/v1/keys/{key_id}/usage": {"get": _usage()},
        "/admin/v1/plans": {"get": _plans()},
    }
    bodies = {
        name: schema
        for kind in (CreateKeyBody, RotateKeyBody)
        for name, schema in with_definitions(kind.model_json_schema(ref_template=REF + "{model}")).items()
    }
    return Area(paths, {**model_schemas(*_ANSWERS), **bodies}, (_TAG,), {"admin": _SCHEME})


def _create() -> Json:
    answer = MadeKeyAnswer(api_key=_TEXT, key=_KEY, request_id=EXAMPLE_ID)
    example = {"plan": "free", "name": "Ada", "expires_at": "2030-12-31T00:00:00Z", "allow": ["10.1.0.0/16"]}
    return _operation(
        "createKey",
        "Make a key",
        answer,
        status=201,
        body=CreateKeyBody,
        example=example,
        more_codes=["invalid_request", *BODY_CODES],
    )


def _list() -> Json:
    answer = KeyListAnswer(keys=[_KEY], next_cursor=_KEY.id, request_id=EXAMPLE_ID)
    limit = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
    parameters = [
        {"name": "limit", "in": "query", "description": "Keys at most.", "schema": limit, "example": 100},
        {
            "name": "cursor",
            "in": "query",
            "description": "`next_cursor` of a page.",
            "schema": {"type": "string"},
            "example": _KEY.id,
        },
    ]
    return _operation(
        "listKeys", "Every key ever made, oldest first", answer, parameters=parameters, more_codes=["invalid_request"]
    )


def _show() -> Json:
    answer = KeyDetailsAnswer(key=KeyDetails(**dict(_KEY), usage=_USAGE), request_id=EXAMPLE_ID)
    return _operation("showKey", "All that may be known of a key", answer, of_a_key=True)


def _revoke() -> Json:
    revoked = _KEY.model_copy(update={"state": "revoked", "revoked_at": _MADE_AT})
    answer = KeyAnswer(key=revoked, request_id=EXAMPLE_ID)
    return _operation("revokeKey", "End a key: servers refuse it within 5 seconds", answer, of_a_key=True)


def _rotate() -> Json:
    old = _KEY.model_copy(update={"expires_at": datetime(2030, 1, 8, tzinfo=UTC), "replaced_by": "Ab3dEf9h"})
    new = _KEY.model_copy(update={"id": "Ab3dEf9h"})
    answer = ReplacedKeyAnswer(api_key="calo_Ab3dEf9h_…", key=new, old=old, request_id=EXAMPLE_ID)
    return _operation(
        "rotateKey",
        "Put a new key in the place of another: plan, name, rules and usage go on",
        answer,
        status=201,
        body=RotateKeyBody,
        example={"grace_s": 86400},
        of_a_key=True,
        more_codes=["invalid_request", *BODY_CODES],
    )


def _usage() -> Json:
    answer = KeyUsageAnswer(usage=_USAGE, request_id=EXAMPLE_ID)
    return _operation("keyUsage", "What is used of a key's plan", answer, of_a_key=True)


def _plans() -> Json:
    plans = [PlanDescription.of(plan) for plan in BUILT_IN_PLANS]
    return _operation("listPlans", "The plans that keys can be on", PlanListAnswer(plans=plans, request_id=EXAMPLE_ID))


def _operation(
    operation_id: str,
    summary: str,
    answer: BaseModel,
    *,
    status: int = 200,
    body: type[BaseModel] | None = None,
    example: Json | None = None,
    parameters: Sequence[Json] = (),
    of_a_key: bool = False,
    more_codes: Sequence[str] = (),
) -> Json:
    """`of_a_key`: the path names one, and there may be no such key."""
    codes = [*more_codes, *_CODES, *(["not_found"] if of_a_key else [])]
    dumped: dict[str, Any] = answer.model_dump(mode="json")
    operation: Json = {
        "operationId": operation_id,
        "tags": ["admin"],
        "summary": summary,
        "description": _DESCRIPTIONS[operation_id],
        "security": [{"admin": []}],
        "parameters": [*([_KEY_ID] if of_a_key else []), *parameters],
        "responses": {
            str(status): json_answer(f"{type(answer).__doc__}", type(answer).__name__, dumped, ["X-Request-Id"]),
            **failures(codes),
        },
    }
    if body is not None:
        examples = {"one": {"summary": summary, "value": example}}
        content = {"schema": {"$ref": f"{REF}{body.__name__}"}, "examples": examples}
        operation["requestBody"] = {"required": body is CreateKeyBody, "content": {"application/json": content}}
    return operation
