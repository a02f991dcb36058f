"""The two forms of a finished capture: JSON with the picture in base64, and the picture with its facts in headers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from calotype.capture.result import CaptureMeta, CaptureResult

_SLICE_BYTES = 3 * 2**18  # a multiple of 3, so that the base64 of slices can be joined
_HEADER_VALUE_MAX_CHARS = 2_048  # proxies give up at 4 to 8 KiB for all headers
_PRINTABLE_ASCII = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_SUFFIXES = {"image/jpeg": "jpg", "application/pdf": "pdf"}
NO_STORE = {"Cache-Control": "no-store"}


class _Sliced(Response):
    """Sends the next slice when the client has taken the one before: the picture is in memory once, however many are
    slow to take it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for chunk in self._chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _chunks(self) -> Iterator[bytes | memoryview]:
        raise NotImplementedError


class JsonWithPicture(_Sliced):
    """JSON with a picture in base64 between two parts of it. The base64 is made slice by slice while it is sent, so
    that it never exists as a whole."""

    def __init__(self, before: bytes, image: bytes | memoryview, after: bytes, headers: dict[str, str]) -> None:
        self._before, self._image, self._after = before, _view(image), after
        length = len(before) + 4 * -(-len(image) // 3) + len(after)
        super().__init__(
            None, 200, {**NO_STORE, **headers, "Content-Length": str(length)}, media_type="application/json"
        )

    def _chunks(self) -> Iterator[bytes | memoryview]:
        total = len(self._image)
        if total <= _SLICE_BYTES:
            yield b"".join((self._before, base64.b64encode(self._image), self._after))
            return
        yield self._before
        for start in range(0, total, _SLICE_BYTES):
            yield base64.b64encode(self._image[start : start + _SLICE_BYTES])
        yield self._after


class RawPicture(_Sliced):
    """The picture itself, its facts in headers."""

    def __init__(
        self, image: bytes | memoryview, content_type: str, meta: CaptureMeta, headers: dict[str, str]
    ) -> None:
        self._image = _view(image)
        disposition = f'inline; filename="{_filename(meta, content_type)}"'
        all_headers = {**NO_STORE, **fact_headers(meta), **headers, "Content-Disposition": disposition}
        length = {"Content-Length": str(len(self._image))}
        super().__init__(None, 200, {**all_headers, **length}, media_type=content_type)

    def _chunks(self) -> Iterator[bytes | memoryview]:
        for start in range(0, len(self._image), _SLICE_BYTES):
            yield self._image[start : start + _SLICE_BYTES]


def picture_in_json(result: CaptureResult, headers: dict[str, str]) -> Response:
    """The picture and its facts (contract, section 4)."""
    facts = to_json({"content_type": result.content_type, "meta": result.meta}, exclude_none=False)
    return JsonWithPicture(b'{"ok":true,"image_base64":"', result.image, b'",' + facts[1:], headers)


def raw_picture(result: CaptureResult, headers: dict[str, str]) -> Response:
    """The picture itself."""
    return RawPicture(result.image, result.content_type, result.meta, headers)


def fact_headers(meta: CaptureMeta) -> dict[str, str]:
    """`meta` as headers: `final_url` is `X-Calotype-Final-Url`. Text is percent-encoded UTF-8, lists are JSON."""
    facts = meta.model_dump(mode="json", include=set(CaptureMeta.model_fields))
    headers = {_header_name(name): _header_value(name, value) for name, value in facts.items() if value is not None}
    steps = (f"{name.removesuffix('_ms')};dur={value}" for name, value in facts["timings"].items())
    return {**headers, "Server-Timing": ", ".join(steps)}


def _header_name(name: str) -> str:
    return f"X-Calotype-{name.replace('_', '-').title()}"


def _header_value(name: str, value: Any) -> str:
    if isinstance(value, list):
        return _json_that_fits(value)  # pyright: ignore[reportUnknownArgumentType] - of dicts, both of them
    if isinstance(value, dict):
        return _object_that_fits(value)  # pyright: ignore[reportUnknownArgumentType] - of texts, all of them
    if isinstance(value, str):
        # A URL is percent-encoded already; encoding its `%` again would make it another one.
        safe = f"{_PRINTABLE_ASCII}%" if name in {"url", "final_url"} else _PRINTABLE_ASCII
        return _cut(quote(value, safe=safe, errors="replace").strip())
    return str(value).lower()


def _object_that_fits(values: dict[str, Any]) -> str:
    """The object as ASCII JSON, without what is null, nor the longest entries if it is too long."""
    entries = {name: json.dumps(value, separators=(",", ":")) for name, value in values.items() if value is not None}
    while sum(len(name) + len(text) + 4 for name, text in entries.items()) > _HEADER_VALUE_MAX_CHARS:
        del entries[max(entries, key=lambda name: len(entries[name]))]
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in entries.items())}}}".replace("\x7f", "\\u007f")


def _json_that_fits(entries: list[Any]) -> str:
    """The list as ASCII JSON, without the last entries if it is too long; all of them are in the JSON form."""
    for count in range(len(entries), 0, -1):
        text = json.dumps(entries[:count], separators=(",", ":")).replace("\x7f", "\\u007f")
        if len(text) <= _HEADER_VALUE_MAX_CHARS:
            return text
    return "[]"


def _cut(text: str) -> str:
    """Shorten an encoded text without cutting a `%XX` in two."""
    return text if len(text) <= _HEADER_VALUE_MAX_CHARS else re.sub("%.?$", "", text[:_HEADER_VALUE_MAX_CHARS])


def _view(image: bytes | memoryview) -> memoryview:
    return image if isinstance(image, memoryview) else memoryview(image)  # the same one: it may be shared


def _filename(meta: CaptureMeta, content_type: str) -> str:
    host = urlsplit(meta.url).hostname if meta.url else None
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", host or "").strip(".-") or "screenshot"
    return f"{name}.{_SUFFIXES.get(content_type) or content_type.rpartition('/')[2]}"
