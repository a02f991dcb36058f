"""The one shape of every failure (contract, section 4) and the one place that makes it from an exception.

A row of the error table decides status and code. What was not raised on purpose becomes `internal_error`: its message
is the table's, its cause goes to the log only, once.
"""

from __future__ import annotations

import math
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from calotype.errors import (
    BodyTooLarge,
    CalotypeError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    UnsupportedMediaType,
)
from calotype.http.body import BodyUnread, discard_body
from calotype.http.in_flight import ClientGone
from calotype.http.record import record_of

_log = structlog.get_logger(__name__)

CLIENT_GONE_STATUS = 499  # for the log; nobody reads the answer
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

_WAITING_STATUSES = (429, 503)
_RETRY_AFTER_DEFAULT_S = 1.0
_BY_STATUS: dict[int, type[CalotypeError]] = {
    400: InvalidRequest,
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every exception of a handler, and the router's own, in the envelope."""
    app.add_exception_handler(CalotypeError, _on_calotype_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientGone, _on_client_gone)


def envelope(error: CalotypeError, request_id: str) -> bytes:
    """The body of a failure."""
    message = error.spec.when if isinstance(error, InternalError) else error.message
    shown = {"code": error.code, "message": message, "details": error.details, "request_id": request_id}
    return to_json({"ok": False, "error": shown}, serialize_unknown=True)


def error_headers(error: CalotypeError) -> dict[str, str]:
    """The headers that a failure carries beside its body."""
    headers = {"Cache-Control": "no-store"}
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.spec.status in _WAITING_STATUSES:
        retry_after_s = _RETRY_AFTER_DEFAULT_S
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if error.spec.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="calotype"'
    return headers


def error_response(error: CalotypeError, scope: Scope, headers: dict[str, str] | None = None) -> Response:
    """Answer a request with an error, and note it in the request's record."""
    record = record_of(scope)
    record.error_code = error.code
    headers = {**error_headers(error), **(headers or {})}
    kind = Response
    if isinstance(error, BodyUnread):
        kind = _ClosingResponse
        headers["Connection"] = "close"
    return kind(envelope(error, record.request_id), error.spec.status, headers, media_type="application/json")


def crash_response(crash: Exception, scope: Scope) -> Response:
    """Answer what nobody expected. The log line is the only place that says what it was."""
    _log.error("request_crashed", exc_info=crash)
    return error_response(InternalError(), scope)


class _ClosingResponse(Response):
    """An answer given while the client is still sending: the connection ends with it.

    Closing at once would reset the connection, and the answer would be lost on its way (RFC 9112, section 9.6), so what
    the client sends is read and thrown away for a while first.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_open_ended(message: Message) -> None:
            is_body = message["type"] == "http.response.body"
            await send({**message, "more_body": True} if is_body else message)

        await super().__call__(scope, receive, send_open_ended)
        await discard_body(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _on_calotype_error(request: Request, error: Exception) -> Response:
    error = cast("CalotypeError", error)
    if isinstance(error, InternalError):
        _log.error("request_crashed", exc_info=error)
    return error_response(error, request.scope)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    raised = cast("HTTPException", error)
    kind = _BY_STATUS.get(raised.status_code, InvalidRequest if raised.status_code < 500 else InternalError)
    if kind is InternalError:
        return crash_response(raised, request.scope)
    if kind is MethodNotAllowed:
        allowed = ", ".join(_methods_of(request))
        message = f"{request.method} is not possible here; use {allowed}."
        return error_response(MethodNotAllowed(message), request.scope, {"Allow": allowed})
    return error_response(kind(), request.scope)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    raised = cast("RequestValidationError", error)
    found = cast("list[dict[str, Any]]", raised.errors())
    details = [{"field": ".".join(map(str, each["loc"][1:])), "message": each["msg"]} for each in found]
    return error_response(InvalidRequest(details=details), request.scope)


async def _on_client_gone(request: Request, error: Exception) -> Response:
    record_of(request.scope).error_code = "client_gone"
    return Response(status_code=CLIENT_GONE_STATUS)


def _methods_of(request: Request) -> list[str]:
    """Every method that some route has for this path; a single route only knows its own."""
    routes = request.app.router.routes
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    return [name for name, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)]
