"""The HTTP layer on a real socket, with fakes behind it: what is on the wire is real, captures are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uvicorn

from calotype.accounts.administration import Administration
from calotype.accounts.keys import Principal
from calotype.accounts.limits import Limits, Standing
from calotype.app import create_app
from calotype.capture.result import CaptureMeta, CaptureResult
from calotype.delivery.desk import Delivery
from calotype.errors import ApiKeyInvalid, ApiKeyMissing, BlockedTarget, NotFound
from calotype.http.in_flight import InFlight
from calotype.http.wire import HEAD_MAX_BYTES, HttpProtocol
from calotype.jobs.desk import Accepted, Seen, Wanted
from calotype.request import CaptureRequest, ParsedRequest, Warning_
from calotype.settings import Plan, ServerSettings, Settings, TargetRules
from calotype.signing import Query, link_secret, read_link
from calotype.telemetry import Telemetry
from calotype.telemetry.figures import Backlog

KEY = "calo_screenshot_0123456789abcdef"
OTHER_KEY = "calo_screenshot_fedcba9876543210"
LINK_SECRET = link_secret("of the key behind links")
MAX_BODY_BYTES = 4096

Script = Callable[[CaptureRequest], Awaitable[None]]


async def at_once(request: CaptureRequest) -> None:
    """A capture that takes no time."""


@dataclass
class FakeCapturer:
    """Gives a fixed picture after `script`, which may wait or raise. At the seam `PictureMaker`."""

    script: Script = at_once
    image: bytes = b"\xff\xd8 not really a picture \xff\xd9"
    title: str = "A title"
    requests: list[CaptureRequest] = field(default_factory=list)
    rules: TargetRules | None = None

    async def capture(
        self,
        request: CaptureRequest,
        *,
        request_id: str,
        rules: TargetRules | None = None,
        warnings: list[Warning_] | None = None,
    ) -> CaptureResult:
        self.requests.append(request)
        self.rules = rules
        await self.script(request)
        meta = CaptureMeta(
            request_id=request_id,
            elapsed_ms=12,
            url=request.url,
            final_url=request.url,
            status_code=200,
            title=self.title,
            width=1280,
            height=720,
            bytes=len(self.image),
            warnings=list(warnings or ()),
        )
        return CaptureResult(self.image, "image/jpeg", meta)


@dataclass
class FakeDesk:
    """Charges nothing and remembers nothing; at the seam `Desk`."""

    capturer: FakeCapturer

    async def deliver(
        self,
        parsed: ParsedRequest,
        caller: Principal,
        *,
        request_id: str,
        idempotency_key: str | None = None,
        note: Callable[[Standing], None] = lambda standing: None,
    ) -> Delivery:
        result = await self.capturer.capture(
            parsed.request, request_id=request_id, rules=caller.rules, warnings=parsed.warnings
        )
        return Delivery(result)

    async def standing(self, caller: Principal) -> Standing:
        return Standing(Limits.of(caller.plan), 0, 0, 0, 0, datetime(2030, 1, 1, tzinfo=UTC))


class FakeKeys:
    """Knows `KEY` only, and links signed with `LINK_SECRET`, whenever they expire."""

    async def authenticate(self, text: str | None) -> Principal:
        if text is None:
            raise ApiKeyMissing
        if text != KEY:
            raise ApiKeyInvalid
        return self._tester()

    async def authenticate_link(self, query: Query) -> Principal:
        link = read_link(query)
        if link is None or not link.is_signed_with(LINK_SECRET):
            raise ApiKeyInvalid
        return self._tester()

    def _tester(self) -> Principal:
        return Principal(
            "key_1",
            "tester",
            Plan(name="unlimited"),
            TargetRules(allow=("10.1.2.3",)),
            "key_1",
            datetime(2029, 1, 1, tzinfo=UTC),
        )


@dataclass
class FakeGuard:
    """Permits everything but port 1."""

    counts: dict[str, int] = field(default_factory=lambda: {"public": 2, "private": 1})
    bytes_received: int = 0
    connections: int = 0

    async def permit(self, url: str, rules: TargetRules) -> str:
        if url.endswith(":1/"):
            raise BlockedTarget("Not there.", details=[{"field": "url", "message": "Not there.", "reason": "private"}])
        return "public"


@dataclass
class FakePool:
    is_ready: bool = True
    is_full: bool = False
    size: int = 4
    active: int = 1
    waiting: int = 0
    queue: int = 64
    browsers: int = 1
    memory_bytes: int = 2**28
    starts: int = 3
    start_failures: int = 0
    restarts: dict[str, int] = field(default_factory=lambda: {"captures": 2})


@dataclass
class FakeRunner:
    is_ready: bool = True
    running: int = 1
    concurrency: int = 2


@dataclass
class FakeBacklog:
    latest: Backlog | None = None

    async def look(self) -> Backlog | None:
        return self.latest


@dataclass
class FakeJail:
    level: str = "full"
    means: tuple[str, ...] = ("landlock", "seccomp")
    is_broken: bool = False


@dataclass
class FakeDatabase:
    failure: Exception | None = None

    async def ping(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeJobDesk:
    """Accepts every job, and forgets it at once."""

    async def accept(self, wanted: Sequence[Wanted], caller: Principal, **_: object) -> Accepted:
        return Accepted([f"00000000-0000-4000-8000-{number:012}" for number in range(len(wanted))])

    async def see(self, job_id: str, **_: object) -> Seen:
        raise NotFound("There is no such job.")

    wait = cancel = see

    async def listed(self, caller: Principal, **_: object) -> list[object]:
        return []

    def webhook_check(self, caller: Principal) -> Callable[[str], None]:
        return lambda url: None


@dataclass
class FakeServices:
    settings: Settings = field(
        default_factory=lambda: Settings(server=ServerSettings(max_body_bytes=MAX_BODY_BYTES, shutdown_grace_s=20))
    )
    keys: FakeKeys = field(default_factory=FakeKeys)
    capturer: FakeCapturer = field(default_factory=FakeCapturer)
    guard: FakeGuard = field(default_factory=FakeGuard)
    pool: FakePool = field(default_factory=FakePool)
    jail: FakeJail = field(default_factory=FakeJail)
    database: FakeDatabase = field(default_factory=FakeDatabase)
    storage: FakeDatabase = field(default_factory=FakeDatabase)
    runner: FakeRunner | None = None
    backlog: FakeBacklog = field(default_factory=FakeBacklog)
    telemetry: Telemetry = field(default_factory=Telemetry)
    administration: Administration | None = None
    job_desk: FakeJobDesk = field(default_factory=FakeJobDesk)
    in_flight: InFlight = field(default_factory=InFlight)

    @property
    def desk(self) -> FakeDesk:
        return FakeDesk(self.capturer)


@dataclass
class Serving:
    """A server that runs in this event loop."""

    host: str
    port: int
    services: FakeServices

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def exchange(self, sent: bytes) -> bytes:
        """Send bytes on a connection of their own; return everything until the server closes it."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(sent)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


class _Server(uvicorn.Server):
    """Tells when it listens. Signals stay the test runner's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.enough = asyncio.Event()

    async def startup(self, sockets=None) -> None:  # type: ignore[no-untyped-def]
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.enough.wait()


@asynccontextmanager
async def serving(services: FakeServices) -> AsyncIterator[Serving]:
    """Serve the app with these services on a free port."""
    app = create_app(services.settings, services=lambda _: nullcontext(services), in_flight=services.in_flight)
    config = uvicorn.Config(
        app,
        port=0,
        http=HttpProtocol,
        h11_max_incomplete_event_size=HEAD_MAX_BYTES,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    server = _Server(config)
    running = asyncio.create_task(server._serve())
    await server.listening.wait()
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield Serving(host, port, services)
    finally:
        server.enough.set()
        await running
