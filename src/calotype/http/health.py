"""What load balancers and supervisors ask a server or a worker: is it alive, is it ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from calotype import __version__
from calotype.errors import Detail, Overloaded, ShuttingDown
from calotype.http.services import InFlightParameter, Operated, OperatedParameter

_log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)

_GET = ["GET", "HEAD"]
_ANSWER_TIMEOUT_S = 2.0
_RETRY_AFTER_S = 2.0
_NO_STORE = {"Cache-Control": "no-store"}


@router.api_route("/healthz", methods=_GET)
async def healthz() -> Response:
    """The process answers; it says nothing about what it depends on."""
    return JSONResponse({"ok": True, "version": __version__}, headers=_NO_STORE)


@router.api_route("/readyz", methods=_GET)
async def readyz(services: OperatedParameter, in_flight: InFlightParameter) -> Response:
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


async def _missing(services: Operated) -> list[Detail]:
    missing: list[Detail] = []
    if not services.pool.is_ready:
        missing.append({"field": "browser", "message": "No browser is running."})
    elif services.pool.is_full:
        missing.append({"field": "queue", "message": "As many captures wait as may."})
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
