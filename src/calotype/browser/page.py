"""One page for one capture: a browser context of its own, its target, its way out.

Opened before it is needed when the browser is idle (see `pool`), used once, then disposed with everything the page
left: cookies, storage, cache, workers, connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from calotype.browser.cdp import CdpError, Connection, ConnectionLost, Session
from calotype.settings import TargetRules

_BLANK_SIZE_PX = (1280, 720)  # the contract's default viewport; another one is set before navigating
_OPEN_TIMEOUT_S = 10.0
_DISPOSE_TIMEOUT_S = 5.0
_NOT_ACTIVE = "Not attached to an active page"
_NOT_ACTIVE_PAUSE_S = 0.02
_AUTO_ATTACH = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}


class Verdict(Protocol):
    """Why a request came to nothing: `kind` is `blocked`, `unresolvable`, `unreachable` or `limit`."""

    @property
    def kind(self) -> str: ...

    @property
    def reason(self) -> str: ...


class Blocked(Protocol):
    """A place that the page was kept from, as the page named it."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def reason(self) -> str: ...


class Channel(Protocol):
    """The page's way out; `guard.channel.Channel` is the real one and documents it."""

    request_id: str | None

    @property
    def server(self) -> str: ...

    def apply(self, rules: TargetRules) -> None: ...

    def verdict_for(self, url: str) -> Verdict | None: ...

    def blocked(self) -> Sequence[Blocked]: ...

    def limits_reached(self) -> Sequence[str]: ...

    async def close(self) -> None: ...


OpenChannel = Callable[[], Awaitable[Channel]]
Prepare = Callable[[Session, str, str], None]
"""Posts calls to a new session; with the target's type (CDP, `Target.TargetInfo`) and URL."""


class Page:
    """The open page. `session` is its DevTools session; after a crash every call raises `ConnectionLost`."""

    def __init__(
        self, connection: Connection, session: Session, *, context_id: str, target_id: str, channel: Channel
    ) -> None:
        self.session = session
        self.target_id = target_id
        self.main_frame_id = target_id  # the same id by definition (CDP, Target.TargetID)
        self.context_id = context_id
        self.channel = channel
        self._connection = connection
        self._related: dict[Session, str] = {}
        self._prepare: Prepare | None = None
        connection.root.on("Target.attachedToTarget", self._on_shared_worker)
        session.on("Inspector.targetCrashed", lambda _: session.lose("the page crashed"))
        session.on("Page.javascriptDialogOpening", self._dismiss_dialog)

    @classmethod
    async def open(cls, connection: Connection, open_channel: OpenChannel) -> Page:
        """Create context, target and session; the page shows about:blank at the default viewport.

        Raises:
            CdpError, ConnectionLost: the browser refused or is gone; nothing of the page is left.
        """
        channel = await open_channel()
        context_id, session_id = "", ""
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_S):
                root = connection.root
                # Without a proxy of its own a context has none: the browser-wide one is a black hole.
                created = await root.call(
                    "Target.createBrowserContext", proxyServer=channel.server, proxyBypassList="<-loopback>"
                )
                context_id = created["browserContextId"]
                root.post("Browser.setDownloadBehavior", behavior="deny", browserContextId=context_id)
                width, height = _BLANK_SIZE_PX
                target = await root.call(
                    "Target.createTarget", url="about:blank", browserContextId=context_id, width=width, height=height
                )
                attached = await root.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                session_id = attached["sessionId"]
                session = connection.session(session_id)
                page = cls(connection, session, context_id=context_id, target_id=target["targetId"], channel=channel)
                session.post("Page.enable")
                session.post("Page.setLifecycleEventsEnabled", enabled=True)
                await session.call("Network.enable")
        except TimeoutError as error:  # its renderer died before it was ours, say
            await cls._give_up(connection, context_id, session_id, channel)
            raise ConnectionLost("the page did not open") from error
        except BaseException:
            await cls._give_up(connection, context_id, session_id, channel)
            raise
        return page

    @staticmethod
    async def _give_up(connection: Connection, context_id: str, session_id: str, channel: Channel) -> None:
        if session_id:
            connection.session(session_id).detach()
        if context_id:
            connection.root.post("Target.disposeBrowserContext", browserContextId=context_id)
        await channel.close()

    @property
    def is_lost(self) -> bool:
        return self.session.is_lost

    async def is_alive(self) -> bool:
        """Whether the page still answers: one that waited may have died with nobody told yet."""
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_S):
                await self.session.call("Target.getTargetInfo")
        except (TimeoutError, CdpError, ConnectionLost):
            return False
        return not self.is_lost

    @property
    def frame_sessions(self) -> list[Session]:
        """The sessions whose frames make up the page: its own, and those of frames with a process of their own."""
        return [self.session, *(session for session, kind in self._related.items() if kind == "iframe")]

    async def browser_version(self) -> str:
        """Chromium's version, such as `156.0.8078.79`."""
        answer = await self._connection.root.call("Browser.getVersion")
        return str(answer["product"]).partition("/")[2]

    def follow(self, prepare: Prepare) -> None:
        """Attach to each frame with a process of its own and each worker, as they come: `prepare` runs before them.

        A page's session brings its frames, dedicated and service workers, and those bring theirs. Shared workers belong
        to no page: the browser's session brings those of every context, and each page takes its own.
        """
        self._prepare = prepare
        self._follow(self.session)
        shared = [{"type": "shared_worker"}]
        self._connection.root.post("Target.setAutoAttach", filter=shared, **_AUTO_ATTACH)

    def _follow(self, parent: Session) -> None:
        parent.on("Target.attachedToTarget", self._on_related)
        parent.on("Target.detachedFromTarget", self._on_related_gone)
        parent.post("Target.setAutoAttach", **_AUTO_ATTACH)

    def _on_shared_worker(self, event: dict[str, Any]) -> None:
        target = event["targetInfo"]
        if target["type"] == "shared_worker" and target.get("browserContextId") == self.context_id:
            self._on_related(event)

    def _on_related(self, event: dict[str, Any]) -> None:
        target = event["targetInfo"]
        session = self._connection.session(event["sessionId"])
        self._related[session] = target["type"]
        if self._prepare is not None:
            self._prepare(session, target["type"], target["url"])
            if target["type"] != "shared_worker":
                self._follow(session)
        session.post("Runtime.runIfWaitingForDebugger")

    def _on_related_gone(self, event: dict[str, Any]) -> None:
        session = self._connection.session(event["sessionId"])
        self._related.pop(session, None)
        session.detach()

    async def call_when_active(self, method: str, **params: Any) -> dict[str, Any]:
        """As `session.call`, for methods that a page refuses for the moment between two documents."""
        while True:
            try:
                return await self.session.call(method, **params)
            except CdpError as error:
                if _NOT_ACTIVE not in error.message:
                    raise
                await asyncio.sleep(_NOT_ACTIVE_PAUSE_S)  # no event tells when it is over

    async def grant(self, *permissions: str) -> None:
        """Grant permissions (CDP, Browser.PermissionType) to every origin of this page; all others stay denied."""
        await self._connection.root.call(
            "Browser.grantPermissions", permissions=list(permissions), browserContextId=self.context_id
        )

    async def close(self) -> None:
        """Dispose of the context, which ends its renderer even in a busy loop, then close the channel."""
        try:
            async with asyncio.timeout(_DISPOSE_TIMEOUT_S):
                await self._connection.root.call("Target.disposeBrowserContext", browserContextId=self.context_id)
        except (TimeoutError, CdpError, ConnectionLost):
            pass  # the browser is gone or wedged: the pool's probe replaces it
        finally:
            self._connection.root.off("Target.attachedToTarget", self._on_shared_worker)
            for session in (self.session, *self._related):
                session.detach()
            await self.channel.close()

    def _dismiss_dialog(self, params: dict[str, Any]) -> None:
        # An open alert() blocks the screenshot for ever. `beforeunload` is accepted, so that navigation goes on.
        self.session.post("Page.handleJavaScriptDialog", accept=params.get("type") == "beforeunload")
