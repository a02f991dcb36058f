"""What the page asked for and did not get, as warnings."""

from __future__ import annotations

from typing import Any

from calotype.browser.page import Channel


def dropped(channel: Channel) -> list[dict[str, Any]]:
    """A warning for each place that the guard kept the page from, as the page named it, and for each limit reached."""
    blocked = [
        {
            "code": "blocked_request",
            "field": "url",
            "message": f"A request to {each.host}:{each.port} was dropped; this server does not go there.",
            "host": each.host,
            "reason": each.reason,
        }
        for each in channel.blocked()
    ]
    limits = [
        {
            "code": "limit_reached",
            "field": "url",
            "message": f"Further requests were dropped: the page reached {limit}, this server's limit for a capture.",
            "reason": limit,
        }
        for limit in channel.limits_reached()
    ]
    return [*blocked, *limits]
