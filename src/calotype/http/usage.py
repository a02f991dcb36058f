"""`GET /v1/usage`: what the caller's plan allows, and what he has used of it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from calotype.accounts.described import PlanDescription, UsageDescription, credits_of, rate_of
from calotype.accounts.keys import Principal
from calotype.accounts.limits import Standing
from calotype.http.record import record_of
from calotype.http.screenshot import authenticated
from calotype.http.services import ServicesParameter

router = APIRouter()


class UsageAnswer(UsageDescription):
    """Where a key stands."""

    ok: bool = True
    key_id: str
    key_name: str | None
    plan: PlanDescription
    request_id: str


@router.get("/v1/usage")
async def usage(request: Request, services: ServicesParameter) -> Response:
    caller = await authenticated(request, services, request.query_params.get("api_key"))
    record = record_of(request.scope)
    standing = await services.desk.standing(caller)
    record.note(standing)
    answer = usage_of(caller, standing, record.request_id)
    return JSONResponse(answer.model_dump(mode="json"), headers={"Cache-Control": "no-store"})


def usage_of(caller: Principal, standing: Standing, request_id: str) -> UsageAnswer:
    """The answer for a caller who stands there."""
    return UsageAnswer(
        key_id=caller.key_id,
        key_name=caller.name,
        plan=PlanDescription.of(caller.plan),
        credits=credits_of(standing),
        rate=rate_of(standing),
        request_id=request_id,
    )
