"""`/admin/v1/keys` and `/admin/v1/plans`."""

from __future__ import annotations

from datetime import timedelta

import structlog
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from calotype.errors import Detail, InvalidRequest
from calotype.http.admin.answers import (
    KeyAnswer,
    KeyDetailsAnswer,
    KeyListAnswer,
    KeyUsageAnswer,
    MadeKeyAnswer,
    PlanListAnswer,
    ReplacedKeyAnswer,
)
from calotype.http.admin.bodies import CreateKeyBody, RotateKeyBody, read_body
from calotype.http.admin.door import require_token
from calotype.http.record import record_of
from calotype.http.services import ServicesParameter

_log = structlog.get_logger(__name__)

router = APIRouter(prefix="/admin/v1", dependencies=[Depends(require_token)], include_in_schema=False)

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000


@router.post("/keys")
async def create_key(request: Request, services: ServicesParameter) -> Response:
    administration, max_bytes = services.administration, services.settings.server.max_body_bytes
    body = await read_body(request, CreateKeyBody, administration, max_bytes)
    made = await administration.create(body.plan, name=body.name, expires_at=body.expires_at, rules=body.rules)
    _log.info("key_created", key_id=made.key.id, plan=made.key.plan)
    return _answer(MadeKeyAnswer(api_key=made.text, key=made.key, request_id=_id(request)), 201)


@router.get("/keys")
async def list_keys(request: Request, services: ServicesParameter) -> Response:
    cursor = request.query_params.get("cursor")
    page = await services.administration.page(limit=_limit(request), cursor=cursor)
    return _answer(KeyListAnswer(keys=page.keys, next_cursor=page.next_cursor, request_id=_id(request)))


@router.get("/keys/{key_id}")
async def show_key(key_id: str, request: Request, services: ServicesParameter) -> Response:
    return _answer(KeyDetailsAnswer(key=await services.administration.show(key_id), request_id=_id(request)))


@router.get("/keys/{key_id}/usage")
async def key_usage(key_id: str, request: Request, services: ServicesParameter) -> Response:
    return _answer(KeyUsageAnswer(usage=await services.administration.usage(key_id), request_id=_id(request)))


@router.post("/keys/{key_id}/rotate")
async def rotate_key(key_id: str, request: Request, services: ServicesParameter) -> Response:
    administration, max_bytes = services.administration, services.settings.server.max_body_bytes
    body = await read_body(request, RotateKeyBody, administration, max_bytes, is_optional=True)
    grace = timedelta(seconds=body.grace_s)
    made = await administration.rotate(key_id, grace=grace, expires_at=body.expires_at)
    _log.info("key_replaced", key_id=made.old.id, by=made.key.id)
    answer = ReplacedKeyAnswer(api_key=made.text, key=made.key, old=made.old, request_id=_id(request))
    return _answer(answer, 201)


@router.delete("/keys/{key_id}")
async def revoke_key(key_id: str, request: Request, services: ServicesParameter) -> Response:
    key = await services.administration.revoke(key_id)
    _log.info("key_revoked", key_id=key.id)
    return _answer(KeyAnswer(key=key, request_id=_id(request)))


@router.get("/plans")
async def list_plans(request: Request, services: ServicesParameter) -> Response:
    return _answer(PlanListAnswer(plans=services.administration.plans(), request_id=_id(request)))


def _answer(answer: BaseModel, status: int = 200) -> Response:
    return JSONResponse(answer.model_dump(mode="json"), status, headers={"Cache-Control": "no-store"})


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(LIMIT_DEFAULT))
    if text.isascii() and text.isdigit() and len(text) <= len(str(LIMIT_MAX)) and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    detail: Detail = {"field": "limit", "message": f"must be a whole number from 1 to {LIMIT_MAX}"}
    raise InvalidRequest(f"`limit` {detail['message']}.", details=[detail])


def _id(request: Request) -> str:
    return record_of(request.scope).request_id
