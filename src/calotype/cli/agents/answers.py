"""What the tools give: the picture, and what there is to say of it, once as text for models and once as data."""

from __future__ import annotations

import base64
from typing import Any

from mcp_types import ContentBlock, ImageContent, TextContent

from calotype.cli.capturing.engines import CaptureFailed
from calotype.cli.capturing.progress import notes
from calotype.client import Screenshot

Json = dict[str, Any]

TEXT_MAX_CHARS = 20_000
LINKS_MAX = 200


def told(page: str, screenshot: Screenshot) -> tuple[list[ContentBlock], Json]:
    """The picture with its text, and its data."""
    meta = screenshot.meta
    data = _data(page, meta)
    picture = ImageContent(data=base64.b64encode(screenshot.image).decode(), mime_type=screenshot.content_type)
    return [TextContent(text="\n".join(_lines(data))), picture], data


def failed(page: str, failure: CaptureFailed) -> tuple[list[ContentBlock], Json]:
    data: Json = {"page": page, "error": {"code": failure.code, "message": str(failure)}}
    return [TextContent(text=f"{page}: {failure} ({failure.code})")], data


def _data(page: str, meta: Json) -> Json:
    metadata: Json = meta.get("metadata") or {}
    data: Json = {
        "page": meta.get("final_url") or page,
        "title": meta["title"],
        "status_code": meta["status_code"],
        "picture": {"width": meta["width"], "height": meta["height"]},
        "notes": notes(meta),
    }
    if meta.get("actions"):
        data["actions"] = meta["actions"]
    if (elements := metadata.get("elements")) is not None:
        data["elements"] = elements
    if (links := metadata.get("links")) is not None:
        data["links"] = links[:LINKS_MAX]
    if (text := metadata.get("text")) is not None:
        data["text"] = text[:TEXT_MAX_CHARS]
        data["text_is_cut"] = len(text) > TEXT_MAX_CHARS
    return data


def _lines(data: Json) -> list[str]:
    size = data["picture"]
    status = f" (status {data['status_code']})" if data["status_code"] else ""
    lines = [f"{data['title'] or '(no title)'}", f"{data['page']}{status}"]
    lines.append(f"Picture: {size['width']}x{size['height']} px")
    lines += [f"Note: {note}" for note in data["notes"]]
    for step in data.get("actions", ()):
        lines.append(f"Action {step['index']}, {step['type']}: {'done' if step['ok'] else step['error']}")
    if "elements" in data:
        lines.append("Elements, with their boxes (x, y, width, height in pixels of the picture) and selectors:")
        lines += [_element(each) for each in data["elements"]] or ["none"]
    if "links" in data:
        lines += ["Links:", *(f"- {link['text'] or '(no text)'}: {link['url']}" for link in data["links"])]
    if "text" in data:
        cut = f" (the first {TEXT_MAX_CHARS:,} characters)" if data["text_is_cut"] else ""
        lines += [f"Text of the page{cut}:", data["text"]]
    return lines


def _element(element: Json) -> str:
    box = element["box"]
    value = f" = {element['value']!r}" if element.get("value") else ""
    place = f"({box['x']}, {box['y']}, {box['width']}, {box['height']})"
    return f"- {element['role']} {element['name']!r}{value} {place} {element['selector'] or '(no selector)'}"
