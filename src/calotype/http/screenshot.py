"""`POST` and `GET /v1/screenshot`: one capture while the caller waits.

The order is the contract's: syntax, then the key, then the fields, so that a stranger learns nothing about fields and
a typing error does not look like a wrong key.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import Response

from calotype.accounts.keys import Principal
from calotype.delivery.desk import Delivery
from calotype.errors import InvalidRequest
from calotype.http.body import read_json_object
from calotype.http.credentials import key_in_request
from calotype.http.in_flight import InFlight
from calotype.http.picture import picture_in_json, raw_picture
from calotype.http.record import record_of
from calotype.http.services import InFlightParameter, Services, ServicesParameter
from calotype.http.signed import capture_query, is_signed, link_caller
from calotype.request import ParsedRequest, parse_body, parse_query

router = APIRouter()

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@router.post("/v1/screenshot")
async def post_screenshot(request: Request, services: ServicesParameter, in_flight: InFlightParameter) -> Response:
    body = await read_json_object(request, services.settings.server.max_body_bytes)
    caller = await authenticated(request, services, body.get("api_key"))
    parsed = parse_body(body, strict=is_strict(request))
    delivery = await _deliver(request, services, in_flight, parsed, caller, idempotency_key(request))
    return picture_in_json(delivery.result, _headers(request, parsed, delivery))


@router.get("/v1/screenshot")
@router.get("/v1/", include_in_schema=False)
@router.get("/v1", include_in_schema=False)
async def get_screenshot(request: Request, services: ServicesParameter, in_flight: InFlightParameter) -> Response:
    query = parse_qsl(request.scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
    if is_signed(query):
        caller = _noted(request, services, await link_caller(request, services, query))
        query = capture_query(query)
    else:
        key = next((value for name, value in query if name == "api_key"), None)
        caller = await authenticated(request, services, key)
    parsed = parse_query(query, strict=is_strict(request))
    delivery = await _deliver(request, services, in_flight, parsed, caller)
    form = picture_in_json if parsed.response == "json" else raw_picture
    return form(delivery.result, _headers(request, parsed, delivery))


async def authenticated(request: Request, services: Services, key_elsewhere: object) -> Principal:
    """Return the caller; note the key's id for the log line, and where to ask for his standing for the headers.

    Raises:
        ApiKeyMissing, ApiKeyInvalid
    """
    caller = await services.keys.authenticate(key_in_request(request.headers, key_elsewhere))
    return _noted(request, services, caller)


def _noted(request: Request, services: Services, caller: Principal) -> Principal:
    record = record_of(request.scope)
    record.key_id = caller.key_id
    record.ask_standing = lambda: services.desk.standing(caller)
    return caller


def idempotency_key(request: Request) -> str | None:
    """
    Raises:
        InvalidRequest: it is empty, too long, or not of visible ASCII characters.
    """
    value = request.headers.get("idempotency-key")
    if value is None or _IDEMPOTENCY_KEY.fullmatch(value):
        return value
    message = "must be 1 to 255 visible ASCII characters, a UUID for instance"
    raise InvalidRequest(f"Idempotency-Key {message}.", details=[{"field": "Idempotency-Key", "message": message}])


async def _deliver(
    request: Request,
    services: Services,
    in_flight: InFlight,
    parsed: ParsedRequest,
    caller: Principal,
    key: str | None = None,
) -> Delivery:
    record = record_of(request.scope)
    delivery = await in_flight.run(
        lambda: services.desk.deliver(
            parsed, caller, request_id=record.request_id, idempotency_key=key, note=record.note
        ),
        request.receive,
    )
    if delivery.is_hit or delivery.is_replay:
        outcome = "cached" if delivery.is_hit else "replayed"
        services.telemetry.metrics.captures.labels("sync", outcome).inc()
    return delivery


def is_strict(request: Request) -> bool:
    """Whether `Prefer` (RFC 7240) has `handling=strict`; of two `handling` the first counts."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "strict"
    return False


def _headers(request: Request, parsed: ParsedRequest, delivery: Delivery) -> dict[str, str]:
    headers: dict[str, str] = {}
    if is_strict(request):
        headers["Preference-Applied"] = "handling=strict"
    if parsed.request.cache.ttl_s:
        headers["X-Cache"] = "HIT" if delivery.is_hit else "MISS"
    if delivery.is_replay:
        headers["Idempotency-Replayed"] = "true"
    return headers
