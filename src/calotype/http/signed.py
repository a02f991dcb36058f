"""Signed links at the door: `GET /v1/screenshot` with `key_id`, `expires` and `signature` in place of a key."""

from __future__ import annotations

from fastapi import Request

from calotype.accounts.keys import Principal
from calotype.errors import Detail, InvalidRequest
from calotype.http.credentials import key_in_request
from calotype.http.record import record_of
from calotype.http.services import Services
from calotype.signing import PARAMETERS, SIGNATURE, Query, is_signed

__all__ = ["capture_query", "is_signed", "link_caller"]


async def link_caller(request: Request, services: Services, query: Query) -> Principal:
    """Return whose link this is, and let any site show the answer.

    Raises:
        InvalidRequest: there is a key beside the signature.
        ApiKeyInvalid
    """
    if key_in_request(request.headers, next((value for name, value in query if name == "api_key"), None)) is not None:
        message = "The request carries both an API key and a signed link's parameters; send one of them."
        detail: Detail = {"field": SIGNATURE, "message": message, "type": "contradiction"}
        raise InvalidRequest(message, details=[detail])
    caller = await services.keys.authenticate_link(query)
    record_of(request.scope).is_embeddable = True
    return caller


def capture_query(query: Query) -> list[tuple[str, str]]:
    """The parameters that are about the capture."""
    return [(name, value) for name, value in query if name not in PARAMETERS]
