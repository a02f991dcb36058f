"""`GET /v1/usage`: what the caller's plan allows, and what he has used of it."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from calotype.accounts.keys import Principal
from calotype.accounts.limits import Standing
from calotype.http.record import record_of
from calotype.http.screenshot import authenticated
from calotype.http.services import ServicesParameter

router = APIRouter()


class PlanUsage(BaseModel):
    """Null is no limit."""

    name: str
    requests_per_second: float | None
    burst: int | None = Field(description="Requests that may come at once.")
    monthly_credits: int | None
    max_concurrency: int | None = Field(description="Captures of the key at once.")
    max_priority: int


class CreditUsage(BaseModel):
    """Of the month that it is."""

    used: int = Field(description="Charged for delivered pictures.")
    reserved: int = Field(description="Held for captures that run.")
    remaining: int | None = Field(description="Null is no limit.")
    resets_at: datetime


class RateUsage(BaseModel):
    """Of this moment."""

    remaining: int | None = Field(description="Requests that would be admitted at once now; null is no limit.")
    retry_after_s: float = Field(description="Seconds until the next is admitted.")


class UsageAnswer(BaseModel):
    """Where a key stands."""

    ok: bool = True
    key_id: str
    key_name: str | None
    plan: PlanUsage
    credits: CreditUsage
    rate: RateUsage
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
    plan, is_limited = caller.plan, caller.plan.requests_per_second is not None
    return UsageAnswer(
        key_id=caller.key_id,
        key_name=caller.name,
        plan=PlanUsage(
            name=plan.name,
            requests_per_second=plan.requests_per_second,
            burst=standing.limits.burst if is_limited else None,
            monthly_credits=plan.monthly_credits,
            max_concurrency=plan.max_concurrency,
            max_priority=plan.max_priority,
        ),
        credits=CreditUsage(
            used=standing.settled,
            reserved=standing.reserved,
            remaining=standing.credits_remaining,
            resets_at=standing.resets_at,
        ),
        rate=RateUsage(remaining=standing.requests_remaining, retry_after_s=standing.retry_after_s),
        request_id=request_id,
    )
