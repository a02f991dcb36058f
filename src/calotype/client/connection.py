"""What both clients need to know of the server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from calotype.client.flows import Call

DEFAULT_SERVER = "http://127.0.0.1:8600"
KEY_VARIABLE = "CALOTYPE_KEY"
DEFAULT_TIMEOUT_S = 180.0
"""Of one call with its retries: a capture may take 120 s, and wait for its turn before."""
DEFAULT_RETRIES = 4
_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and who asks."""

    url: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, url: str, api_key: str | None) -> Server:
        """Raises ValueError: not an http or https URL."""
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"The server must be an http or https URL such as {DEFAULT_SERVER}, not {url!r}.")
        key = api_key if api_key is not None else os.environ.get(KEY_VARIABLE)
        return cls(url.rstrip("/"), {"Authorization": f"Bearer {key}"} if key else {})

    def request(self, call: Call) -> dict[str, Any]:
        """The keywords of httpx's `request`."""
        return {
            "method": call.method,
            "url": self.url + call.path,
            "params": call.params or None,
            "json": call.body,
            "headers": {**self.headers, **call.headers},
            "timeout": httpx.Timeout(call.timeout_s, connect=min(_CONNECT_TIMEOUT_S, call.timeout_s)),
        }


def capture_of(page: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a request."""
    return {**({} if page is None else {"url": page}), **fields}


def job_order(page: str | None, fields: Mapping[str, Any], *, priority: int, webhook: str | None) -> dict[str, Any]:
    """The JSON of a job."""
    order: dict[str, Any] = {"request": capture_of(page, fields), "priority": priority}
    return order if webhook is None else {**order, "webhook": {"url": webhook}}
