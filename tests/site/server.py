"""The fixture site: pages with known contents, and routes that misbehave on purpose.

Runs in a thread of its own on a free loopback port, so that tests with and without an event loop can use it. What was
asked of it is kept in `requests`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .hostile import ROUTES as HOSTILE_ROUTES
from .pictures import solid_png
from .verdicts import ROUTES as VERDICT_ROUTES

PAGES = Path(__file__).with_name("pages")


@dataclass(frozen=True)
class SeenRequest:
    path: str
    headers: dict[str, str]


@dataclass
class Site:
    """A running fixture site."""

    url: str
    host: str
    port: int
    requests: list[SeenRequest] = field(default_factory=list)
    left: list[SeenRequest] = field(default_factory=list)
    """Of `/hang`: those whose client has gone."""

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}"

    def seen(self, path: str) -> list[SeenRequest]:
        return [request for request in self.requests if request.path == path]


async def _status(request: Request) -> Response:
    status = int(request.path_params["status"])
    body = "" if "empty" in request.query_params else f"<title>{status}</title><h1>Status {status}</h1>"
    return HTMLResponse(body, status)


async def _redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], int(request.query_params.get("status", "302")))


async def _redirect_for_ever(request: Request) -> Response:
    return RedirectResponse(f"/redirect-for-ever?{len(request.url.query)}{request.url.query}")


async def _slow(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params.get("s", "1")))
    return Response(solid_png("#00ff00", 100, 100), media_type="image/png")


async def _colour(request: Request) -> Response:
    width, height = (int(request.query_params.get(name, "100")) for name in ("w", "h"))
    return Response(solid_png(f"#{request.path_params['hex']}", width, height), media_type="image/png")


async def _echo(request: Request) -> Response:
    """A page whose text is the request's headers, one a line."""
    lines = "".join(f"<li>{name}: {value}</li>" for name, value in request.headers.items())
    return HTMLResponse(f"<title>echo</title><ul>{lines}</ul>")


async def _private(request: Request) -> Response:
    """A green page for who sends `user` and `pass word`, and a red one for who does not."""
    expected = "Basic " + base64.b64encode(b"user:pass word").decode()
    if request.headers.get("authorization") == expected:
        return HTMLResponse("<title>private</title><body style='background:#00ff00'><img src='/private.png'>")
    challenge = {"WWW-Authenticate": 'Basic realm="private"'}
    return HTMLResponse("<title>refused</title><body style='background:#ff0000'>", 401, challenge)


async def _data(_: Request) -> Response:
    await asyncio.sleep(0.15)
    return JSONResponse({"colour": "#ff0000", "image": "/colour/0000ff?w=200&h=100"})


def _system_font() -> bytes:
    """A monospaced font of this machine."""
    found = subprocess.run(["fc-match", "-f", "%{file}", "Liberation Mono"], capture_output=True, check=True, text=True)
    return Path(found.stdout).read_bytes()


async def _font(_: Request) -> Response:
    """A web font that comes a little late."""
    await asyncio.sleep(0.3)
    return Response(await asyncio.to_thread(_system_font), media_type="font/ttf")


async def _icon_font(_: Request) -> Response:
    """The same shapes for characters of the private use area alone."""
    font = await asyncio.to_thread(_system_font)
    glyphs = {0xE9A1: 40, 0xEA42: 50}
    groups = b"".join(struct.pack(">III", code, code, glyph) for code, glyph in glyphs.items())
    table = (
        struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(glyphs)) + groups
    )
    (count,) = struct.unpack_from(">H", font, 4)
    entry = next(at for at in range(12, 12 + 16 * count, 16) if font[at : at + 4] == b"cmap")
    place = struct.pack(">II", len(font), len(table))  # OpenType, table directory: offset and length
    return Response(font[: entry + 8] + place + font[entry + 16 :] + table, media_type="font/ttf")


async def _download(_: Request) -> Response:
    return Response(b"PK", headers={"Content-Disposition": "attachment; filename=a.zip"}, media_type="application/zip")


async def _hang(request: Request) -> Response:
    """Answers nothing until whoever asks has gone."""
    with contextlib.suppress(asyncio.CancelledError):  # when the site is stopped
        while (await request.receive())["type"] != "http.disconnect":
            pass
        request.scope["note_left"]()
    return PlainTextResponse("")


async def _hang_once(request: Request) -> Response:
    """Hangs when a query is asked for the first time; then a red page."""
    asked: set[str] = request.app.state.hung
    if request.url.query not in asked:
        asked.add(request.url.query)
        return await _hang(request)
    return HTMLResponse("<title>again</title><body style='background:#ff0000'>")


_ROUTES = [
    Route("/status/{status}", _status),
    Route("/redirect", _redirect, methods=["GET", "POST"]),
    Route("/redirect-for-ever", _redirect_for_ever),
    Route("/slow.png", _slow),
    Route("/colour/{hex}", _colour),
    Route("/echo", _echo, methods=["GET", "POST"]),
    Route("/data.json", _data),
    Route("/private", _private, methods=["GET", "POST"]),
    Route("/private.png", _private),
    Route("/font.ttf", _font),
    Route("/download", _download),
    Route("/no-content", lambda _: Response(status_code=204)),
    Route("/hang", _hang),
    Route("/hang-once", _hang_once),
    *HOSTILE_ROUTES,
    *VERDICT_ROUTES,
    Route("/icons.ttf", _icon_font),
    Mount("/", StaticFiles(directory=PAGES, html=True)),
]


class _Recorder:
    """Notes each request before the application answers it."""

    def __init__(self, app: Starlette, seen: list[SeenRequest], left: list[SeenRequest]) -> None:
        self._app = app
        self._seen = seen
        self._left = left

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            request = SeenRequest(scope["path"], headers)
            self._seen.append(request)
            scope["note_left"] = lambda: self._left.append(request)
        await self._app(scope, receive, send)


@contextmanager
def running_site(host: str = "127.0.0.1") -> Iterator[Site]:
    """Serve the fixture site until the block ends."""
    seen: list[SeenRequest] = []
    left: list[SeenRequest] = []
    starlette = Starlette(routes=_ROUTES)
    starlette.state.hung = set()
    app = _Recorder(starlette, seen, left)
    config = uvicorn.Config(
        app,
        host=host,
        port=0,
        log_level="critical",
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=0,
        loop="asyncio",
    )
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, name="fixture-site", daemon=True)
    thread.start()
    port = socket.getsockname()[1]
    try:
        yield Site(f"http://{host}:{port}", host, port, seen, left)
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
