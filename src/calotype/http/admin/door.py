"""Who may use `/admin/v1`: whoever has the token. An API key opens nothing here, and the token is no API key."""

from __future__ import annotations

from fastapi import Request

from calotype.errors import ApiKeyInvalid, ApiKeyMissing
from calotype.http.body import BodyUnread
from calotype.http.credentials import bearer_token, is_same_secret
from calotype.http.services import ServicesParameter


class _Missing(ApiKeyMissing, BodyUnread):
    pass


class _Wrong(ApiKeyInvalid, BodyUnread):
    pass


async def require_token(request: Request, services: ServicesParameter) -> None:
    """Refuse strangers before anything of their request's body is read.

    Raises:
        ApiKeyMissing, ApiKeyInvalid
    """
    given = bearer_token(request.headers)
    if not given:
        raise _Missing("The request carries no admin token. Send it as `Authorization: Bearer TOKEN`.")
    token = services.settings.admin.token
    if token is None or not is_same_secret(given, token.get_secret_value()):
        raise _Wrong("The admin token is wrong.")
