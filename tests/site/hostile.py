"""Pages and servers that mean harm: each takes one resource, or one turn, that a picture does not need.

`ROUTES` are under `/hostile/`: the documents in `pages/hostile`, green where nothing else is said, and answers made
here.
`RAW` are answers that no HTTP library would send, from a server of their own (`running_raw_site`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import struct
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

GREEN = (0, 255, 0)
_FILES = Path(__file__).with_name("pages") / "hostile"
_SVG_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
_HEAD = "<!doctype html><meta charset=utf-8><title>hostile</title><style>html{background:#00ff00}</style>"


def _css_bomb() -> str:
    """Ten to the power of twenty words in one custom property."""
    rules = "".join(f".a{n}{{--v{n}:{f'var(--v{n + 1})' * 10}}}" for n in range(20))
    names = " ".join(f"a{n}" for n in range(20))
    return f"{_HEAD}<style>{rules}</style><div class='{names}' style='--v20:x;width:var(--v0)'>"


def _filters() -> str:
    blurred = "<div style='position:absolute;top:0;left:0;width:99px;height:99px;backdrop-filter:blur(90px)'>"
    return _HEAD + blurred * 40 + "</div>" * 40


MADE_PAGES = {
    "huge_title": f"{_HEAD}<title>{'t' * 2_000_000}</title>",
    "css_bomb": _css_bomb(),
    "filters": _filters(),
}


def _bomb_png(width: int, height: int) -> bytes:
    """A one-colour picture of few bytes and many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def bomb_png() -> bytes:
    return _bomb_png(30_000, 30_000)


@cache
def _gzip_bomb() -> bytes:
    """1 GiB of spaces in 1 MB, behind a page."""
    packer = zlib.compressobj(9, wbits=31)
    blank = b" " * 2**20
    packed = [packer.compress(_HEAD.encode())] + [packer.compress(blank) for _ in range(1024)]
    return b"".join(packed) + packer.flush()


def _laughs(depth: int = 12, wide: int = 10) -> str:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * wide}">' for n in range(1, depth))
    kinds = f'<!DOCTYPE svg [<!ENTITY l0 "lol">{entities}]>'
    return f"{kinds}<svg {_SVG_NAMESPACE}><text>&l{depth - 1};</text></svg>"


def _uses(depth: int = 12, wide: int = 10) -> str:
    groups = "".join(f'<g id="g{n}">{f"""<use href="#g{n - 1}"/>""" * wide}</g>' for n in range(1, depth))
    defs = f'<defs><rect id="g0" width="9" height="9"/>{groups}</defs>'
    return f'<svg {_SVG_NAMESPACE}>{defs}<use href="#g{depth - 1}"/></svg>'


_SVG = f'<svg {_SVG_NAMESPACE} width="1280" height="720"><rect width="1280" height="720" fill="#00ff00"/></svg>'
_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


async def _page(request: Request) -> Response:
    name = request.path_params["name"]
    if (made := MADE_PAGES.get(name)) is not None:
        return HTMLResponse(made)
    file = _FILES / f"{name}.html"
    return FileResponse(file, headers={"Cache-Control": "no-store"}) if file.is_file() else PlainTextResponse("", 404)


def _typed(content: str | bytes, media_type: str, **headers: str) -> Callable[[Request], Response]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(content, media_type=media_type, headers=given)


async def _endless(chunk: bytes, pause_s: float) -> AsyncIterator[bytes]:
    yield _HEAD.encode()
    while True:
        yield chunk
        await asyncio.sleep(pause_s)


def _stream(chunk: bytes, pause_s: float, media_type: str, **headers: str) -> Callable[[Request], Response]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: StreamingResponse(_endless(chunk, pause_s), media_type=media_type, headers=given)


async def _auth(_: Request) -> Response:
    return HTMLResponse(_HEAD, 401, {"WWW-Authenticate": 'Basic realm="x"'})


async def _redirect_grows(request: Request) -> Response:
    return RedirectResponse(f"/hostile/redirect_grows?{request.url.query}{'x' * 50}")


async def _cookie_redirect(_: Request) -> Response:
    return RedirectResponse("/hostile/redirect_self", headers={"Set-Cookie": "a=b"})


ROUTES = [
    Route("/hostile/endless_body", _stream(b"<p>more" * 2000, 0.005, "text/html")),
    Route("/hostile/slow_drip", _stream(b" ", 0.2, "text/html")),
    Route("/hostile/ten_gigabytes", _stream(b"\0" * 65536, 0.002, "text/html", Content_Length="10000000000")),
    Route("/hostile/endless_text", _stream(b"more\n" * 4000, 0.005, "text/plain")),
    Route("/hostile/endless_image", _stream(b"\0" * 65536, 0.005, "image/png")),
    Route("/hostile/endless_video", _stream(b"\0" * 65536, 0.005, "video/webm")),
    Route("/hostile/endless_download", _stream(b"\0" * 65536, 0.005, "application/zip")),
    Route(
        "/hostile/endless_multipart",
        _stream(b"--x\r\nContent-Type: text/html\r\n\r\n<p>part\r\n", 0.02, "multipart/x-mixed-replace; boundary=x"),
    ),
    Route(
        "/hostile/gzip_bomb",
        lambda _: Response(_gzip_bomb(), media_type="text/html", headers={"Content-Encoding": "gzip"}),
    ),
    Route("/hostile/auth", _auth),
    Route("/hostile/redirect_grows", _redirect_grows),
    Route("/hostile/redirect_self", _cookie_redirect),
    Route("/hostile/spin.js", _typed("for (;;);", "text/javascript")),
    Route("/hostile/service.js", _typed("for (;;);", "text/javascript", Service_Worker_Allowed="/")),
    Route("/hostile/bomb.png", lambda _: Response(bomb_png(), media_type="image/png")),
    Route("/hostile/laughs.svg", _typed(_laughs(), "image/svg+xml")),
    Route("/hostile/uses.svg", _typed(_uses(), "image/svg+xml")),
    Route("/hostile/laughs.xml", _typed(_laughs(), "application/xml")),
    Route("/hostile/picture.svg", _typed(_SVG, "image/svg+xml")),
    Route("/hostile/document.pdf", _typed(_PDF, "application/pdf")),
    Route("/hostile/text.txt", _typed("plain text", "text/plain")),
    Route("/hostile/data.json", _typed('{"a": [1, 2]}', "application/json")),
    Route("/hostile/tree.xml", _typed("<a><b>text</b></a>", "application/xml")),
    Route("/hostile/broken.xhtml", _typed("<html><p>", "application/xhtml+xml")),
    Route("/hostile/video.webm", _typed(b"\x1a\x45\xdf\xa3" + b"\0" * 99, "video/webm")),
    Route("/hostile/nothing", _typed(b"", "text/html")),
    Route("/hostile/unknown_type", _typed(b"\0\1\2\3", "application/x-unknown")),
    Route("/hostile/bad_gzip", _typed(b"\x1f\x8b\x08\0" + b"\xff" * 99, "text/html", Content_Encoding="gzip")),
    Route("/hostile/cut_gzip", _typed(gzip.compress(_HEAD.encode() * 1000)[:60], "text/html", Content_Encoding="gzip")),
    Route("/hostile/bad_brotli", _typed(b"\xff" * 99, "text/html", Content_Encoding="br")),
    Route("/hostile/many_encodings", _typed(b"x", "text/html", Content_Encoding=", ".join(["gzip"] * 50))),
    Route("/hostile/bad_charset", _typed(_HEAD.encode("utf-16"), "text/html; charset=x-none")),
    Route("/hostile/refresh_header", _typed(_HEAD, "text/html", Refresh="0")),
    Route("/hostile/{name}", _page),
]

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
_BODY = _HEAD.encode()

RAW: dict[str, bytes] = {
    "content_length_too_long": _OK + b"Content-Length: 99999\r\n\r\n" + _BODY,
    "content_length_too_short": _OK
    + b"Content-Length: %d\r\n\r\n" % len(_BODY)
    + _BODY
    + b"HTTP/1.1 200 OK\r\n\r\nmore" * 99,
    "content_length_twice": _OK + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\n" + _BODY,
    "content_length_negative": _OK + b"Content-Length: -5\r\n\r\n" + _BODY,
    "content_length_huge": _OK + b"Content-Length: 99999999999999999999999\r\n\r\n" + _BODY,
    "chunked_garbage": _OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + _BODY,
    "chunked_huge": _OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + _BODY,
    "chunked_cut": _OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + _BODY,
    "http_0_9": _BODY,
    "no_headers_end": _OK,
    "big_header": _OK + b"X-Big: " + b"h" * 262_144 + b"\r\n\r\n" + _BODY,
    "many_headers": _OK + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n" + _BODY,
    "null_header": _OK + b"X-\0: \0\r\n\r\n" + _BODY,
    "status_999": b"HTTP/1.1 999 \r\nContent-Type: text/html\r\n\r\n" + _BODY,
    "status_words": b"HTTP/1.1 abc def\r\n\r\n" + _BODY,
    "early_hints": b"HTTP/1.1 103 Early Hints\r\nLink: </hang>; rel=preload; as=style\r\n\r\n" * 100
    + _OK
    + b"\r\n"
    + _BODY,
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + _BODY,
    "closed": b"",
}
_ENDLESS_RAW: dict[str, tuple[bytes, bytes]] = {
    "endless_header": (_OK + b"X: ", b"y" * 4096),
    "endless_headers": (_OK, b"X: y\r\n" * 500),
    "endless_continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
    "endless_status": (b"HTTP/1.1 200 ", b"O" * 4096),
    "drip_header": (_OK, b"X"),
}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = await reader.readuntil(b"\r\n\r\n")
        name = head.split(b" ", 2)[1].decode().lstrip("/")
        start, more = _ENDLESS_RAW.get(name, (RAW.get(name, b""), b""))
        writer.write(start)
        while more:
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0.01)
        await writer.drain()
    writer.close()


@contextmanager
def running_raw_site() -> Iterator[str]:
    """Serve `RAW` and the endless ones on a free loopback port until the block ends; gives `host:port`."""
    loop = asyncio.new_event_loop()
    started: list[asyncio.Server] = []

    async def serve() -> None:
        started.append(await asyncio.start_server(_answer, "127.0.0.1", 0))

    loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, name="raw-site", daemon=True)
    thread.start()
    host, port = started[0].sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(_stop(started[0]), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    tasks: list[asyncio.Task[object]] = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
