"""`GET /metrics`: counts and figures of this process in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from calotype.errors import ApiKeyInvalid, ApiKeyMissing
from calotype.http.credentials import bearer_token, is_same_secret
from calotype.http.services import Operated, OperatedParameter
from calotype.telemetry.figures import Everything, Figures

router = APIRouter(include_in_schema=False)


@router.api_route("/metrics", methods=["GET", "HEAD"])
async def metrics(request: Request, services: OperatedParameter) -> Response:
    _require_token(request, services)
    figures = Figures(services, await services.backlog.look())
    encode, content_type = _encoder(request.headers.get("accept", ""))
    body = encode(Everything(services.telemetry.metrics, figures))
    return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def _require_token(request: Request, services: Operated) -> None:
    """
    Raises:
        ApiKeyMissing, ApiKeyInvalid: `server.metrics_token` is set, and not given.
    """
    token = services.settings.server.metrics_token
    if token is None:
        return
    given = bearer_token(request.headers)
    if not given:
        raise ApiKeyMissing("The metrics need their token. Send it as `Authorization: Bearer TOKEN`.")
    if not is_same_secret(given, token.get_secret_value()):
        raise ApiKeyInvalid("The metrics token is wrong.")


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # prometheus-client 0.26 compares a version that is no number with one
        return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
