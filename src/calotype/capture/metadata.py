"""What the caller wants to know of the page beside the picture (`metadata`)."""

from __future__ import annotations

import asyncio
from typing import Any

from calotype.browser.page import Page
from calotype.capture.area import Area
from calotype.capture.result import ConsoleEntry, NetworkEntry, PageMetadata
from calotype.capture.world import World
from calotype.request import CaptureRequest

_CONSOLE_MAX_ENTRIES = 200
_NETWORK_MAX_ENTRIES = 1_000
_TEXT_MAX_CHARS = 2_000
_FROM_EVENTS = frozenset({"headers", "console", "network"})


class Metadata:
    """Attach before navigating, so that console and network are known from the first; listens to what is asked for."""

    def __init__(self, page: Page, request: CaptureRequest) -> None:
        self._page = page
        self._asked = frozenset(request.metadata) - ({"elements"} if request.format == "pdf" else set())
        self._scale = request.viewport.scale
        self._console: list[ConsoleEntry] = []
        self._network: dict[str, NetworkEntry] = {}
        self._began: dict[str, float] = {}
        self._headers: dict[str, dict[str, str]] = {}
        session = page.session
        if "console" in self._asked:
            session.on("Runtime.consoleAPICalled", self._on_console)
            session.on("Runtime.exceptionThrown", self._on_exception)
            session.post("Runtime.enable")
        if "network" in self._asked:
            session.on("Network.requestWillBeSent", self._on_request)
            session.on("Network.dataReceived", self._on_data)
            session.on("Network.loadingFinished", self._on_end)
            session.on("Network.loadingFailed", self._on_end)
        if self._asked & {"network", "headers"}:
            session.on("Network.responseReceived", self._on_response)

    async def collect(self, world: World, loader_id: str, area: Area | None) -> PageMetadata | None:
        """What was asked for, of the document with that loader id; None if nothing was.

        Args:
            area: what the picture shows; None: the viewport.
        """
        if not self._asked:
            return None
        values: dict[str, Any] = {}
        if "elements" in self._asked:
            where = area.as_dict() if area else None
            values["elements"] = await world.run("elements", where, self._scale)
        if of_page := sorted(self._asked - _FROM_EVENTS - {"elements"}):
            values |= await world.run("metadata", of_page)
        if "headers" in self._asked:
            values["headers"] = self._headers.get(loader_id, {})
        if "console" in self._asked:
            values["console"] = self._console
        if "network" in self._asked:
            values["network"] = list(self._network.values())
        return PageMetadata(**values)

    def _on_console(self, event: dict[str, Any]) -> None:
        frames = event.get("stackTrace", {}).get("callFrames", [])
        text = " ".join(_text_of(argument) for argument in event["args"])
        self._note(event["type"], text, frames[0] if frames else {})

    def _on_exception(self, event: dict[str, Any]) -> None:
        details = event["exceptionDetails"]
        text = details.get("exception", {}).get("description") or details["text"]
        self._note("exception", text, details)

    def _note(self, level: str, text: str, place: dict[str, Any]) -> None:
        if len(self._console) < _CONSOLE_MAX_ENTRIES:
            line = place.get("lineNumber")
            self._console.append(
                ConsoleEntry(
                    level=level,
                    text=text[:_TEXT_MAX_CHARS],
                    url=str(place.get("url", ""))[:_TEXT_MAX_CHARS] or None,
                    line=None if line is None else line + 1,
                )
            )

    def _on_request(self, event: dict[str, Any]) -> None:
        request_id, request = event["requestId"], event["request"]
        if request["url"].startswith(("data:", "blob:")):
            return
        if request_id in self._network and (redirect := event.get("redirectResponse")):
            self._network[f"{request_id} {len(self._network)}"] = entry = self._network.pop(request_id)
            entry.status = redirect["status"]
            entry.ms = self._elapsed_ms(request_id)
        if len(self._network) < _NETWORK_MAX_ENTRIES:
            self._began[request_id] = _now()
            self._network[request_id] = NetworkEntry(
                url=request["url"][:_TEXT_MAX_CHARS], method=request["method"], type=event.get("type", "Other")
            )

    def _on_response(self, event: dict[str, Any]) -> None:
        response = event["response"]
        if event["requestId"] == event.get("loaderId"):
            self._headers[event["loaderId"]] = {name.lower(): value for name, value in response["headers"].items()}
        if (entry := self._network.get(event["requestId"])) is not None:
            entry.status = response["status"]

    def _on_data(self, event: dict[str, Any]) -> None:
        if (entry := self._network.get(event["requestId"])) is not None:
            entry.bytes += event["dataLength"]

    def _on_end(self, event: dict[str, Any]) -> None:
        if (entry := self._network.get(event["requestId"])) is not None:
            entry.ms = self._elapsed_ms(event["requestId"])
            entry.error = event.get("errorText") or None

    def _elapsed_ms(self, request_id: str) -> int:
        return round((_now() - self._began[request_id]) * 1000)


def _text_of(argument: dict[str, Any]) -> str:
    if "value" in argument:
        return str(argument["value"])
    return str(argument.get("unserializableValue") or argument.get("description") or argument["type"])


def _now() -> float:
    return asyncio.get_running_loop().time()
