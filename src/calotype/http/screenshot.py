"""`POST` and `GET /v1/screenshot`: one capture while the caller waits.

The order is the contract's: syntax, then the key, then the fields, so that a stranger learns nothing about fields and
a typing error does not look like a wrong key.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import Response

from calotype.accounts.keys import Principal
from calotype.capture.result import CaptureResult
from calotype.http.body import read_json_object
from calotype.http.credentials import key_in_request
from calotype.http.in_flight import InFlight
from calotype.http.picture import PictureInJson, raw_picture
from calotype.http.record import record_of
from calotype.http.services import InFlightParameter, Services, ServicesParameter
from calotype.request import ParsedRequest, parse_body, parse_query

router = APIRouter()


@router.post("/v1/screenshot")
async def post_screenshot(request: Request, services: ServicesParameter, in_flight: InFlightParameter) -> Response:
    body = await read_json_object(request, services.settings.server.max_body_bytes)
    caller = await authenticated(request, services, body.get("api_key"))
    parsed = parse_body(body, strict=is_strict(request))
    result = await _capture(request, services, in_flight, parsed, caller)
    return PictureInJson(result, _applied(request))


@router.get("/v1/screenshot")
@router.get("/v1/", include_in_schema=False)
@router.get("/v1", include_in_schema=False)
async def get_screenshot(request: Request, services: ServicesParameter, in_flight: InFlightParameter) -> Response:
    query = parse_qsl(request.scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
    caller = await authenticated(request, services, next((value for name, value in query if name == "api_key"), None))
    parsed = parse_query(query, strict=is_strict(request))
    result = await _capture(request, services, in_flight, parsed, caller)
    form = PictureInJson if parsed.response == "json" else raw_picture
    return form(result, _applied(request))


async def authenticated(request: Request, services: Services, key_elsewhere: object) -> Principal:
    """Return the caller, and note the key's id for the log line. Raises ApiKeyMissing, ApiKeyInvalid."""
    caller = await services.keys.authenticate(key_in_request(request.headers, key_elsewhere))
    record_of(request.scope).key_id = caller.key_id
    return caller


async def _capture(
    request: Request, services: Services, in_flight: InFlight, parsed: ParsedRequest, caller: Principal
) -> CaptureResult:
    request_id = record_of(request.scope).request_id
    return await in_flight.run(
        lambda: services.capturer.capture(
            parsed.request, request_id=request_id, rules=caller.rules, warnings=parsed.warnings
        ),
        request.receive,
    )


def is_strict(request: Request) -> bool:
    """Whether `Prefer` (RFC 7240) has `handling=strict`; of two `handling` the first counts."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "strict"
    return False


def _applied(request: Request) -> dict[str, str]:
    return {"Preference-Applied": "handling=strict"} if is_strict(request) else {}
