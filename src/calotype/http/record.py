"""What is known of a request besides itself: its id, its caller, what became of it. Kept in the ASGI scope."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import structlog

from calotype.accounts.limits import Standing

_log = structlog.get_logger(__name__)
_STATE_KEY = "calotype.record"
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


@dataclass(slots=True)
class RequestRecord:
    """The id is always ours: credits are settled per id, so no caller may choose it."""

    client_request_id: str | None = None
    """The caller's own `X-Request-Id`, for the log only."""
    request_id: str = field(default_factory=lambda: uuid4().hex)
    key_id: str | None = None
    error_code: str | None = None
    standing: Standing | None = None
    """Of the caller, the latest that is known."""
    ask_standing: Callable[[], Awaitable[Standing]] | None = None
    """Of a caller who is known. Most answers need not ask: what was done for him has told."""

    is_embeddable: bool = False
    """Pages of any site may show the answer."""

    def note(self, standing: Standing) -> None:
        self.standing = standing

    async def caller_standing(self) -> Standing | None:
        """Where the caller stands; None if there is no caller, or no asking."""
        if self.standing is None and self.ask_standing is not None:
            try:
                self.standing = await self.ask_standing()
            except Exception as error:  # an answer is better than none
                _log.error("standing_unknown", exc_info=error)
        return self.standing


def open_record(scope: MutableMapping[str, Any]) -> RequestRecord:
    """Make the record of a request that has just come in."""
    record = RequestRecord(_client_request_id(scope))
    scope.setdefault("state", {})[_STATE_KEY] = record
    return record


def record_of(scope: MutableMapping[str, Any]) -> RequestRecord:
    return cast("RequestRecord", scope["state"][_STATE_KEY])


def _client_request_id(scope: MutableMapping[str, Any]) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _CLIENT_ID.fullmatch(text) else None
    return None
