"""`POST /v1/url-check`: would the page be visited, and if not, why? Nothing is captured or charged.

The body is a screenshot request, so that one at hand can be sent as it is. What is asked is the guard, with DNS;
a page that may be visited can still be down, or lead elsewhere.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from calotype.errors import CalotypeError, InvalidRequest, InvalidUrl, TargetError
from calotype.http.body import read_json_object
from calotype.http.record import record_of
from calotype.http.screenshot import authenticated, is_strict
from calotype.http.services import ServicesParameter
from calotype.request import parse_body

router = APIRouter()


class UrlCheckError(BaseModel):
    """The error that a capture would answer."""

    code: str = Field(description="As in a capture's failure, e.g. `blocked_target`.")
    message: str


class UrlCheckAnswer(BaseModel):
    """The guard's word on a page's URL."""

    ok: bool = Field(default=True, description="The question was answered, whatever the answer.")
    url: str | None = Field(description="The URL as the browser would ask for it; null if it can't be parsed.")
    allowed: bool
    reason: str = Field(
        description="`public`, `allow_list`; of a refusal, the rule it breaks: `private`, `loopback`, `deny_list`, …"
    )
    error: UrlCheckError | None = Field(description="Null when allowed.")
    request_id: str


@router.post("/v1/url-check")
async def url_check(request: Request, services: ServicesParameter) -> Response:
    body = await read_json_object(request, services.settings.server.max_body_bytes)
    caller = await authenticated(request, services, body.get("api_key"))
    url: str | None = None
    try:
        url = parse_body(body, strict=is_strict(request)).request.url
        if url is None:
            raise InvalidRequest(
                "There is no URL to check.", details=[{"field": "url", "message": "is required; `html` needs no check"}]
            )
        reason, refusal = await services.guard.permit(url, caller.rules), None
    except (TargetError, InvalidUrl) as error:
        reason, refusal = _reason(error), UrlCheckError(code=error.code, message=error.message)
    request_id = record_of(request.scope).request_id
    answer = UrlCheckAnswer(url=url, allowed=refusal is None, reason=reason, error=refusal, request_id=request_id)
    return JSONResponse(answer.model_dump(), headers={"Cache-Control": "no-store"})


def _reason(error: CalotypeError) -> str:
    details: list[dict[str, Any]] = list(error.details)
    return str(next((detail["reason"] for detail in details if "reason" in detail), error.code))
