"""The HTTP servers of the whole internet, and the canaries of the server's own machine: one loop, one thread.

Every listener notes which address a connection was meant for; what is served depends on the `Host` alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.site.pictures import solid_png

from .hostile_dns import HostileDns
from .namespace import Namespace

SECRET_COLOUR = "#123456"
SECRET_TEXT = "inner-secret-7351"
CERTIFICATE = Path(__file__).parents[2] / "e2e" / "certificate"
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


@dataclass
class Request:
    method: str
    host: str
    path: str
    """With the query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = b""


@dataclass
class Visit:
    """A connection made to one of our listeners."""

    place: str
    """`internet`, or `machine`: the server's own."""
    address: str
    port: int
    source: str
    requests: list[Request] = field(default_factory=list)

    def __str__(self) -> str:
        asked = ", ".join(f"{request.method} {request.host}{request.path}" for request in self.requests) or "nothing"
        return f"{self.place} {self.address} port {self.port} from {self.source}: {asked}"


@dataclass(frozen=True)
class Page:
    """An answer. `headers` come as they are; a body's length and type are added."""

    body: str | bytes = b""
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def wire(self) -> bytes:
        body = self.body.encode() if isinstance(self.body, str) else self.body
        lines = [
            f"HTTP/1.1 {self.status} Status",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


Handler = Page | Callable[[Request], Page]

_OPEN_TO_ALL = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Allow-Private-Network", "true"),
    ("Cache-Control", "no-store"),
    ("Service-Worker-Allowed", "/"),
)


def default_page(request: Request) -> Page:
    """What a host without pages of its own answers: something useful, whatever it is asked for."""
    # Over plain http no `Sec-Fetch-Dest` is sent, but images and style sheets say what they want.
    accept = request.headers.get("accept", "")
    spoken = "image" if accept.startswith("image/") else "style" if accept.startswith("text/css") else "document"
    kind = request.headers.get("sec-fetch-dest", spoken)
    if kind == "image":
        return Page(solid_png(SECRET_COLOUR, 8, 8), "image/png", headers=_OPEN_TO_ALL)
    if kind == "style":
        return Page("body{}", "text/css", headers=_OPEN_TO_ALL)
    if kind in ("script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet"):
        return Page("0", "text/javascript", headers=_OPEN_TO_ALL)
    text = f'<!doctype html><title>{SECRET_TEXT}</title><body style="background:{SECRET_COLOUR}">{SECRET_TEXT}'
    return Page(text, headers=_OPEN_TO_ALL)


class Internet(AbstractContextManager["Internet"]):
    """Serves until the block ends."""

    def __init__(self, internet: Namespace, machine: Namespace, *, ports: Iterable[int], machine_ports: Iterable[int]):
        self.dns = HostileDns()
        self._pages: dict[tuple[str, str], Handler] = {}
        self._visits: list[Visit] = []
        self._turn = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(CERTIFICATE / "cert.pem", CERTIFICATE / "key.pem")
        self._listeners = [
            *(("internet", port, internet.listener(port)) for port in ports),
            *(("machine", port, machine.listener(port)) for port in machine_ports),
        ]
        self._dns_sockets = self.dns.sockets(internet)
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="internet", daemon=True)
        self._thread.start()
        started.wait()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def serve(self, url: str, page: Handler) -> str:
        """Put a page at the URL's host and path, on every port and address; return the URL."""
        parts = urlsplit(url)
        self._pages[str(parts.hostname), parts.path] = page
        return url

    def take(self) -> list[Visit]:
        """Return the visits since the last time."""
        with self._turn:
            visits, self._visits = self._visits, []
            return visits

    def visits(self) -> list[Visit]:
        with self._turn:
            return list(self._visits)

    def requests(self, *, host: str | None = None) -> list[Request]:
        return [
            request
            for visit in self.visits()
            for request in visit.requests
            if host in (None, request.host.partition(":")[0])
        ]

    def wait_for(self, host: str, path: str, *, timeout_s: float = 60) -> bool:
        """Wait until somebody has asked this host for this path (without the query); return whether it came to be."""

        def seen() -> bool:
            return any(request.path.partition("?")[0] == path for request in self.requests(host=host))

        return self.wait_until(seen, timeout_s=timeout_s)

    def wait_until(self, predicate: Callable[[], bool], *, timeout_s: float = 60) -> bool:
        """Wait for something that visits can bring about; return whether it came to be."""
        with self._turn:
            return self._turn.wait_for(predicate, timeout_s)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        started.set()
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._stop())
        self._loop.close()

    async def _start(self) -> None:
        self._servers = [
            await asyncio.start_server(
                lambda reader, writer, place=place: self._serve(place, reader, writer),
                sock=listener,
                ssl=self._tls if port in (443, 8443) else None,
                limit=2**18,
            )
            for place, port, listener in self._listeners
        ]
        self._datagrams, self._servers_dns = await self.dns.start(self._dns_sockets)

    async def _stop(self) -> None:
        self._datagrams.close()
        for server in (*self._servers, self._servers_dns):
            server.close()
        await asyncio.sleep(0)

    async def _serve(self, place: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        visit = Visit(place, plain(address), port, plain(writer.get_extra_info("peername")[0]))
        self._note(lambda: self._visits.append(visit))
        try:
            while request := await _read_request(reader):
                self._note(lambda request=request: visit.requests.append(request))
                if request.headers.get("upgrade", "").lower() == "websocket":
                    await self._websocket(request, reader, writer)
                    break
                writer.write(self._page(request).wire())
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            with suppress(OSError, RuntimeError):
                writer.close()

    def _note(self, change: Callable[[], None]) -> None:
        with self._turn:
            change()
            self._turn.notify_all()

    def _page(self, request: Request) -> Page:
        path = unquote(request.path.partition("?")[0])
        name = urlsplit(f"//{request.host}").hostname or ""
        handler = self._pages.get((name, path), default_page)
        return handler if isinstance(handler, Page) else handler(request)

    async def _websocket(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = request.headers.get("sec-websocket-key", "").encode()
        accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID).digest()).decode()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        await writer.drain()
        await reader.read()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size + 2)
        await reader.readline()
    return Request(method, headers.get("host", ""), path, headers, body)


def plain(address: str) -> str:
    """The address in its shortest form, IPv4 also where a socket for both versions maps it."""
    parsed = ip_address(address.partition("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def free_port_of(namespace: Namespace) -> int:
    """A port that nothing listens on."""
    with namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])
