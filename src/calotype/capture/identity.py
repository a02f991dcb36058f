"""Who the browser says it is: user agent, client hints, languages; to the page, to servers, and in every worker.

Chromium gives the override to documents and to the workers that belong to one. A shared or a service worker asks its
servers by it, but its own `navigator` has the browser's values: there a script sets them, before the worker's first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from calotype.capture.world import source
from calotype.request import CaptureRequest
from calotype.request.devices import DEVICES


@dataclass(frozen=True, slots=True)
class Identity:
    """What differs from the browser's own; all unset: nothing."""

    user_agent: str | None = None
    client_hints: dict[str, Any] | None = None
    locale: str | None = None

    @classmethod
    def of(cls, request: CaptureRequest, browser_version: str) -> Identity:
        """`browser_version` such as `156.0.8078.79` counts with a `device` only."""
        if request.device is None or request.user_agent is not None:
            return cls(request.user_agent, None, request.locale)
        device = DEVICES[request.device]
        return cls(device.user_agent(browser_version), device.client_hints(browser_version), request.locale)

    @property
    def is_own(self) -> bool:
        return self.user_agent is None and self.locale is None

    @property
    def languages(self) -> list[str]:
        """As a browser of that language lists them: `de-DE`, then `de`."""
        return list(dict.fromkeys([self.locale, self.locale.partition("-")[0]])) if self.locale else []

    def calls(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if not self.is_own:
            params: dict[str, Any] = {"userAgent": self.user_agent or ""}
            if self.locale is not None:
                params["acceptLanguage"] = ",".join(self.languages)
            if self.client_hints is not None:
                params["userAgentMetadata"] = self.client_hints
            yield "Emulation.setUserAgentOverride", params

    def headers(self) -> dict[str, str]:
        """For the one request that no override reaches: that for a service worker's own script."""
        headers: dict[str, str] = {}
        if self.user_agent is not None:
            headers["User-Agent"] = self.user_agent
        if self.locale is not None:
            headers["Accept-Language"] = ",".join(
                [self.languages[0], *(f"{each};q=0.9" for each in self.languages[1:])]
            )
        return headers

    def worker_script(self) -> str:
        """What to evaluate in a shared or service worker before it runs."""
        hints = self.client_hints or {"brands": [], "mobile": False, "platform": ""}
        arguments = (self.user_agent, self.languages, hints)
        return f"({source('worker_identity')})({', '.join(to_json(each).decode() for each in arguments)})"
