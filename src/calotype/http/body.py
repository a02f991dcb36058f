"""Reading a JSON object from a request body, within a size and a time.

The limit counts what arrives, whatever Content-Length says. An error raised before the body has been read to its end
is also a `BodyUnread`: the connection can't be used again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import from_json
from starlette.requests import Request
from starlette.types import Receive

from calotype.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType
from calotype.http.in_flight import ClientGone

_BODY_TIMEOUT_S = 60.0  # 8 MiB at 1.1 Mbit/s
_DISCARD_TIMEOUT_S = 5.0
_DISCARD_MAX_BYTES = 64 * 2**20
_JSON_TYPE = re.compile(r"application/(?:[\w.!#$&^-]+\+)?json")
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BodyUnread:
    """Marks an error raised while the client may still be sending."""


class _TooLargeUnread(BodyTooLarge, BodyUnread):
    pass


class _TooSlow(InvalidRequest, BodyUnread):
    pass


async def read_json_object(
    request: Request, max_bytes: int, *, empty: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Return the JSON object that the body is; `empty`, if given, for a body without content.

    Raises:
        UnsupportedMediaType: it is declared as something else.
        BodyTooLarge
        InvalidRequest: it is not JSON, no object, or does not arrive.
        ClientGone
    """
    _check_media_type(request)
    content = await _read(request, max_bytes)
    if not content and empty is not None:
        return empty
    if not content:
        raise InvalidRequest('The request body is empty. Send a JSON object such as {"url": "https://example.com"}.')
    try:
        parsed = from_json(content.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise InvalidRequest(f"The request body is not JSON: {error}.") from None
    if not isinstance(parsed, dict):
        raise InvalidRequest('The request body must be a JSON object such as {"url": "https://example.com"}.')
    return cast("dict[str, Any]", parsed)


async def discard_body(receive: Receive) -> None:
    """Read and forget what the client still sends: not for long and not without end."""
    seen = 0
    try:
        async with asyncio.timeout(_DISCARD_TIMEOUT_S):
            while seen < _DISCARD_MAX_BYTES:
                message = await receive()
                seen += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _check_media_type(request: Request) -> None:
    """Refuse what is declared as anything but JSON; without a declaration the content decides."""
    media_type, _, parameters = request.headers.get("content-type", "application/json").partition(";")
    media_type = media_type.strip().lower()
    if not _JSON_TYPE.fullmatch(media_type):
        shown = media_type[:64] if media_type.isascii() and media_type.isprintable() else "something else"
        raise UnsupportedMediaType(f"The request body must be application/json, not {shown or 'untyped'}.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _UTF8:
            raise UnsupportedMediaType("The request body must be in UTF-8.")
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("The request body must not be compressed.")


async def _read(request: Request, max_bytes: int) -> bytes:
    too_large = f"The request body is over this server's limit of {max_bytes} bytes."
    if _declared_bytes(request) > max_bytes:
        raise _TooLargeUnread(too_large)
    content = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                content += message.get("body", b"")
                more = message.get("more_body", False)
                if len(content) > max_bytes:
                    raise _TooLargeUnread(too_large) if more else BodyTooLarge(too_large)
                if not more:
                    return bytes(content)
    except TimeoutError:
        raise _TooSlow(f"The request body did not arrive within {_BODY_TIMEOUT_S:g} s.") from None


def _declared_bytes(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0
