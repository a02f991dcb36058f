"""What operators and browsers ask a server besides pictures: is it alive, is it ready, what is it, how is it used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from calotype import __version__
from calotype.errors import Detail, Overloaded, ShuttingDown
from calotype.http.reference import reference_page
from calotype.http.services import InFlightParameter, Services, ServicesParameter

_log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)

_GET = ["GET", "HEAD"]
_ANSWER_TIMEOUT_S = 2.0
_RETRY_AFTER_S = 2.0
_NO_STORE = {"Cache-Control": "no-store"}
# Nothing but our own style sheet: no script, no other host, no framing.
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@router.api_route("/healthz", methods=_GET)
async def healthz() -> Response:
    """The process answers; it says nothing about what it depends on."""
    return JSONResponse({"ok": True, "version": __version__}, headers=_NO_STORE)


@router.api_route("/readyz", methods=_GET)
async def readyz(services: ServicesParameter, in_flight: InFlightParameter) -> Response:
    """Captures can be made here now."""
    if in_flight.is_stopping:
        raise ShuttingDown(retry_after_s=_RETRY_AFTER_S)
    if missing := await _missing(services):
        names = " and ".join(str(detail["field"]) for detail in missing)
        raise Overloaded(f"Not ready: {names}.", details=missing, retry_after_s=_RETRY_AFTER_S)
    state = {
        "ok": True,
        "checks": {"browser": "ready", "database": "ready", "storage": "ready", "queue": "ready"},
        "guard": {"jail": services.jail.level, "by": services.jail.means},
    }
    return JSONResponse(state, headers=_NO_STORE)


@router.api_route("/openapi.json", methods=_GET)
async def openapi_json(request: Request) -> Response:
    return JSONResponse(await _document(request), headers={"Cache-Control": "no-cache"})


@router.api_route("/docs", methods=_GET)
async def docs(request: Request) -> Response:
    return Response(reference_page(await _document(request)), headers=_PAGE_HEADERS, media_type="text/html")


@router.api_route("/", methods=_GET)
async def home() -> Response:
    return Response(_static("home.html"), headers=_PAGE_HEADERS, media_type="text/html")


@router.api_route("/static/page.css", methods=_GET)
async def page_css() -> Response:
    return Response(_static("page.css"), headers={"Cache-Control": "no-cache"}, media_type="text/css")


async def _missing(services: Services) -> list[Detail]:
    missing: list[Detail] = []
    if not services.pool.is_ready:
        missing.append({"field": "browser", "message": "No browser is running."})
    if services.jail.is_broken:
        missing.append({"field": "guard", "message": "The browser's network is gone. Restart the server."})
    if services.runner is not None and not services.runner.is_ready:
        missing.append({"field": "queue", "message": "Jobs are not run any more. Restart the server."})
    missing += await asyncio.gather(
        _silent("database", services.database.ping), _silent("storage", services.storage.ping)
    )
    return [each for each in missing if each]


async def _silent(name: str, ping: Callable[[], Awaitable[None]]) -> Detail:
    """What to say if it does not answer; empty if it does."""
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            await ping()
    except Exception as error:  # whatever a driver raises
        _log.warning(f"{name}_unreachable", error=repr(error))
        return {"field": name, "message": f"The {name} does not answer."}
    return {}


async def _document(request: Request) -> dict[str, Any]:
    return await asyncio.to_thread(request.app.openapi)  # 0.1 s when it is first asked for


def _static(name: str) -> bytes:
    return files("calotype.http").joinpath("static", name).read_bytes()
