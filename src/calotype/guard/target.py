"""What a request to a proxy is for (RFC 9112 section 3.2): `CONNECT host:port`, or a method and an absolute URL.

Also the key that the records file it under. Hosts are spelled by the URL parser; paths stay as the browser wrote them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import ada_url

from calotype.guard.hostname import DEFAULT_PORTS
from calotype.guard.http1 import BadMessage, RequestHead

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/?#@\\]+):([0-9]{1,5})")
_HTTP_URL = re.compile(r"http://([^/?#@\\]+)([/?][^#]*)?", re.IGNORECASE)
_HOST_MAX_CHARS = 256
"""Of a longer host only its beginning is kept: still too long to be one (RFC 1035 section 2.3.4), and refused."""
_USER_INFO = re.compile(r"(?<=^http://)[^/?#\\]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    """As the URL parser spells it, IPv6 in brackets."""
    port: int
    key: str
    """What the records know it by."""
    host_field: bytes = b""
    path: bytes = b""
    """With the query."""


class _Origin(NamedTuple):
    hostname: str
    port: int
    host: str


def target_of(request: RequestHead) -> Target:
    """
    Raises:
        BadMessage: not a request that a browser makes to a proxy.
    """
    try:
        return _tunnel(request) if request.method == b"CONNECT" else _resource(request)
    except ValueError as error:
        raise BadMessage("target") from error


def record_key(url: str) -> str:
    """Return what requests for a URL are filed under: itself for http; host:port where the proxy sees only a tunnel.

    Raises:
        ValueError: it is no URL that the proxy is asked for.
    """
    # A redirect may lead to a URL with a name and a password, which the browser keeps from the proxy.
    if resource := _HTTP_URL.match(_USER_INFO.sub("", url)):
        return _resource_key(_http_origin(resource[1]), _path(resource[2]))
    parsed = ada_url.URL(url)
    if not parsed.hostname:
        raise ValueError("no host")
    return _tunnel_key(str(parsed.hostname), int(parsed.port or DEFAULT_PORTS.get(parsed.protocol, 0)))


def _tunnel(request: RequestHead) -> Target:
    authority = _AUTHORITY.fullmatch(request.target)
    if authority is None or request.body.kind != "none":
        raise BadMessage("target")
    host, port = _http_origin(authority[1]).hostname, int(authority[2])
    if not 0 < port < 65536:
        raise BadMessage("port")
    return Target(host, port, _tunnel_key(host, port))


def _resource(request: RequestHead) -> Target:
    url = _HTTP_URL.fullmatch(request.target)
    if url is None:
        raise BadMessage("target")
    origin, path = _http_origin(url[1]), _path(url[2])
    return Target(origin.hostname, origin.port, _resource_key(origin, path), origin.host.encode(), path.encode())


def _http_origin(authority: str) -> _Origin:
    return _parsed(authority) if len(authority) <= _HOST_MAX_CHARS else _parsed.__wrapped__(authority)


@lru_cache(maxsize=1024)
def _parsed(authority: str) -> _Origin:
    parsed = ada_url.URL(f"http://{authority}/")
    port = int(parsed.port or DEFAULT_PORTS["http:"])
    return _Origin(str(parsed.hostname)[:_HOST_MAX_CHARS], port, str(parsed.host))


def _path(text: str | None) -> str:
    if not text:
        return "/"
    return text if text.startswith("/") else f"/{text}"


def _resource_key(origin: _Origin, path: str) -> str:
    return f"http://{origin.host}{path}"


def _tunnel_key(host: str, port: int) -> str:
    return f"{host}:{port}"
