"""The fields of a request by what they are for, in the order in which they are shown to people."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    "Page": ("url", "html", "base_url"),
    "Picture": ("format", "quality", "full_page", "max_height", "selector", "padding", "clip", "transparent", "resize"),
    "Screen": ("device", "viewport", "media"),
    "Waiting": ("render",),
    "Actions": ("actions",),
    "Who asks": ("cookies", "headers", "basic_auth", "user_agent", "locale", "timezone", "geolocation"),
    "Changes to the page": ("css", "js", "hide", "remove", "mask", "block"),
    "Checks": ("fail_on_status", "retry_on_verdict", "cache"),
    "Facts": ("metadata",),
}
