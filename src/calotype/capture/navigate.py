"""Bring the page to its document and say plainly why when it can't be brought there.

The verdict on a page that failed comes from the egress channel's own record of the main document's request. The page's
status and headers prove nothing: a site can forge them.
"""

from __future__ import annotations

import asyncio
import contextlib

from calotype.browser.page import Page, Verdict
from calotype.capture.activity import EMPTY_ERROR_PAGE, PageActivity
from calotype.capture.deadline import Deadline
from calotype.capture.world import World
from calotype.errors import CalotypeError, InvalidUrl, TargetStatus, TargetUnreachable
from calotype.guard.policy import error_of
from calotype.request import CaptureRequest

_EVENTS = {"domcontentloaded": "DOMContentLoaded", "load": "load", "networkidle": "networkIdle", "settled": "load"}
_ARRIVAL_S = 0.5  # for a document whose server sends it byte by byte there is no use in waiting longer
_PROXY_FAILURE_STATUS = 502  # what our proxy answers for plain http when there is no connection


async def navigate(page: Page, url: str, request: CaptureRequest, activity: PageActivity, deadline: Deadline) -> None:
    """Go to the URL and wait for the event that `render.wait_until` names, of whatever document is shown by then.

    Raises:
        BlockedTarget, UnresolvableHost, TargetUnreachable, InvalidUrl: there is no document.
        TargetStatus: the document's status is in `fail_on_status`.
        DeadlineReached
        ConnectionLost: the renderer is gone.
    """
    async with deadline.waiting_for("the page's server to answer", "response"):
        answer = await page.session.call("Page.navigate", url=url)
    if answer.get("isDownload"):
        raise TargetUnreachable("The URL is a file to download, not a page.")
    if (error := answer.get("errorText")) and error != EMPTY_ERROR_PAGE:
        async with deadline.waiting_for("the browser"):
            # A renderer that dies aborts the navigation, and only then is reported: behind the answer to this call.
            await page.session.call("Target.getTargetInfo")
        raise _failure(page, activity, error)
    event = _EVENTS[request.render.wait_until]
    async with deadline.waiting_for(f"the page's {event} event", event.lower()):
        await activity.until(lambda: has_arrived(request, activity))
    check_document(page, request, activity)


def has_arrived(request: CaptureRequest, activity: PageActivity) -> bool:
    """Whether the document shown now has had the event that `render.wait_until` names, or never will."""
    return activity.has_fired(_EVENTS[request.render.wait_until]) or _came_to_nothing(activity)


async def hold_still(page: Page, world: World, activity: PageActivity) -> None:
    """Keep the document that is shown: one that reloads itself for ever could never be drawn.

    Its scripts end, a navigation under way is dropped, and a later one (meta refresh) waits for an answer that it does
    not get. Each alone left some page moving.
    """
    held: set[str] = set()
    page.session.off_all("Fetch.requestPaused")
    page.session.on("Fetch.requestPaused", lambda event: held.add(event.get("networkId", "")))
    # Chromium takes these two in the middle of a busy loop. The second is answered only when there was a script to end.
    page.session.post("Emulation.setScriptExecutionDisabled", value=True)
    page.session.post("Runtime.terminateExecution")
    await page.session.call("Fetch.enable", patterns=[{"urlPattern": "*", "resourceType": "Document"}])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ARRIVAL_S):
            await _arrival(world, activity, held)
    await page.call_when_active("Page.stopLoading")


async def _arrival(world: World, activity: PageActivity, held: set[str]) -> None:
    """Wait for a document that was answered before it could be held: stopped now, it would have nothing to show."""

    def is_held() -> bool:
        last = activity.last_document
        return last is None or last is activity.document or last.loader_id in held

    await activity.until(is_held)
    if not await world.evaluate("!!document.body"):
        await activity.until(lambda: activity.has_fired("DOMContentLoaded"))


def check_document(page: Page, request: CaptureRequest, activity: PageActivity) -> None:
    """Refuse to shoot Chromium's error page or our proxy's, also when a redirect by script led there later.

    Raises as `navigate`.
    """
    document = activity.document
    if activity.unreachable_url is not None and not (document and document.error in (None, EMPTY_ERROR_PAGE)):
        raise _failure(page, activity, document.error if document else None)
    if document is None:
        return
    if document.came_to_nothing:
        raise _failure(page, activity, document.error)
    if document.status == _PROXY_FAILURE_STATUS and (verdict := page.channel.verdict_for(document.url)):
        raise _error_of(verdict, None)
    if document.status is not None and _matches_status(document.status, request.fail_on_status):
        raise TargetStatus(
            f"The page answered with status {document.status}.",
            details=[{"field": "fail_on_status", "message": "The page's status is listed.", "status": document.status}],
        )


def _came_to_nothing(activity: PageActivity) -> bool:
    return activity.document is not None and activity.document.came_to_nothing


def _failure(page: Page, activity: PageActivity, error: str | None) -> CalotypeError:
    document = activity.last_document
    url = activity.unreachable_url or (document.url if document else "")
    return _error_of(page.channel.verdict_for(url) if url else None, error or (document.error if document else None))


def _error_of(verdict: Verdict | None, net_error: str | None) -> CalotypeError:
    if verdict is None:
        return _error_of_net_error(net_error or "net::ERR_FAILED")
    match verdict.kind:
        case "limit":
            return TargetUnreachable("The page used more of the network than this server gives one capture.")
        case "unreachable":
            return TargetUnreachable("The page's server refused the connection or did not answer.")
        case _:
            return error_of(verdict.reason)


def _error_of_net_error(net_error: str) -> CalotypeError:
    name = net_error.removeprefix("net::")
    if name in ("ERR_INVALID_URL", "ERR_DISALLOWED_URL_SCHEME", "ERR_UNKNOWN_URL_SCHEME", "ERR_UNSAFE_PORT"):
        return InvalidUrl(f"Browsers do not open this URL ({name}).")
    if name == "ERR_ABORTED":
        return TargetUnreachable("The page's server answered without a page (no content, or a download).")
    if name.startswith(("ERR_CERT_", "ERR_SSL_")):
        return TargetUnreachable(f"The TLS connection to the page's server failed ({name}).")
    if name == "ERR_TOO_MANY_REDIRECTS":
        return TargetUnreachable("The page redirects without end.")
    return TargetUnreachable(f"The page's server can't be reached ({name}).")


def _matches_status(status: int, patterns: tuple[str | int, ...]) -> bool:
    return any(str(pattern).lower() in (str(status), f"{status // 100}xx") for pattern in patterns)
