"""The DevTools connection over real pipes, with the test as the browser at the other end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from calotype.browser.cdp import CdpError, Connection, ConnectionLost


class OtherEnd:
    """The browser's ends of both pipes."""

    def __init__(self) -> None:
        self.commands_in, self.commands_out = os.pipe()
        self.answers_in, self.answers_out = os.pipe()
        self._rest = b""

    async def command(self) -> dict[str, Any]:
        """The next command that came in."""
        while b"\0" not in self._rest:
            self._rest += await asyncio.to_thread(os.read, self.commands_in, 65536)
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def say(self, **message: Any) -> None:
        self.write(json.dumps(message).encode() + b"\0")

    def write(self, data: bytes) -> None:
        os.write(self.answers_out, data)

    def hang_up(self) -> None:
        if self.answers_out >= 0:
            os.close(self.answers_out)
            self.answers_out = -1


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Connection, OtherEnd]]:
    connection, other = Connection(), OtherEnd()
    await connection.open(other.answers_in, other.commands_out)
    yield connection, other
    connection.close()
    other.hang_up()
    os.close(other.commands_in)
    await asyncio.sleep(0)  # lets the transports close their files


async def test_answers_find_their_calls_in_any_order(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    first, second = connection.root.post("One.method", a=1), connection.root.post("Two.method")
    commands = [await other.command(), await other.command()]
    assert [(command["method"], command["params"]) for command in commands] == [
        ("One.method", {"a": 1}),
        ("Two.method", {}),
    ]
    for command in reversed(commands):
        other.say(id=command["id"], result={"was": command["method"]})
    assert (await first, await second) == ({"was": "One.method"}, {"was": "Two.method"})


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_messages_are_put_together_from_parts(ends: tuple[Connection, OtherEnd], size: int) -> None:
    connection, other = ends
    seen: list[str] = []
    done = asyncio.Event()

    def note(params: dict[str, Any]) -> None:
        seen.append(params["text"])
        if len(seen) == 3:
            done.set()

    connection.root.on("Some.event", note)
    texts = ["short", "ü" * 40, "last"]
    events = [{"method": "Some.event", "params": {"text": text}} for text in texts]
    data = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\0" for event in events)
    for start in range(0, len(data), size):
        connection.feed(data[start : start + size])
    await done.wait()
    assert seen == texts
    assert other


@pytest.mark.parametrize("size", [3, 2**20])
async def test_an_event_that_is_too_long_is_dropped_and_an_answer_is_not(
    ends: tuple[Connection, OtherEnd], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A page that logs a string of 500 MB must not cost the server as much."""
    monkeypatch.setattr("calotype.browser.cdp._EVENT_MAX_BYTES", 50)
    connection, other = ends
    seen: list[str] = []
    connection.root.on("Some.event", lambda params: seen.append(params["text"]))
    asked = connection.root.post("Some.method")
    call_id = (await other.command())["id"]
    messages = [
        {"method": "Some.event", "params": {"text": "x" * 300}},
        {"id": call_id, "result": {"data": "y" * 300}},
        {"method": "Some.event", "params": {"text": "z"}},
    ]
    data = b"".join(json.dumps(message, separators=(",", ":")).encode() + b"\0" for message in messages)
    for start in range(0, len(data), size):
        connection.feed(data[start : start + size])
    assert await asked == {"data": "y" * 300}
    assert seen == ["z"]


async def test_an_error_names_the_method(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    call = connection.root.post("Page.navigate")
    command = await other.command()
    other.say(id=command["id"], error={"code": -32000, "message": "no"})
    with pytest.raises(CdpError, match=r"Page\.navigate: no \(-32000\)"):
        await call


async def test_events_go_to_their_session_only(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    seen: list[str] = []
    reached = asyncio.Event()
    connection.session("a").on("Some.event", lambda _: seen.append("a"))
    connection.session("b").on("Some.event", lambda _: seen.append("b"))
    connection.root.on("Last.event", lambda _: reached.set())
    other.say(method="Some.event", sessionId="b")
    other.say(method="Some.event", sessionId="unknown")
    other.say(method="Last.event")
    await reached.wait()
    assert seen == ["b"]


async def test_when_the_browser_hangs_up_every_call_fails(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    call = connection.session("a").post("Page.enable")
    other.hang_up()
    await connection.closed.wait()
    with pytest.raises(ConnectionLost):
        await call
    with pytest.raises(ConnectionLost):
        await connection.root.call("Browser.getVersion")
    with pytest.raises(ConnectionLost):  # its Target.attachToTarget was answered just before
        await connection.session("b").call("Network.enable")


async def test_a_lost_session_leaves_the_others_alone(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    crashed, healthy = connection.session("a"), connection.session("b")
    woken = asyncio.Event()
    crashed.when_lost(woken.set)
    pending = crashed.post("Page.captureScreenshot")
    call = healthy.post("Page.enable")
    crashed.lose("the page crashed")
    with pytest.raises(ConnectionLost, match="the page crashed"):
        await pending
    assert woken.is_set()
    for command in (await other.command(), await other.command()):
        other.say(id=command["id"], result={})
    assert await call == {}


async def test_an_answer_to_a_cancelled_call_is_dropped(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    abandoned = asyncio.ensure_future(connection.root.call("Slow.method"))
    command = await other.command()
    abandoned.cancel()
    next_call = connection.root.post("Next.method")
    other.say(id=command["id"], result={})
    other.say(id=(await other.command())["id"], result={"ok": True})
    assert await next_call == {"ok": True}


async def test_half_a_surrogate_pair_in_a_pages_text_is_replaced(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    call = connection.root.post("Runtime.evaluate")
    command = await other.command()
    other.write(b'{"id": %d, "result": {"values": ["a\\ud800b", "\\ud83d\\ude00"]}}\0' % command["id"])
    assert await call == {"values": ["a\N{REPLACEMENT CHARACTER}b", "\N{GRINNING FACE}"]}


async def test_a_failing_handler_leaves_the_connection_alone(ends: tuple[Connection, OtherEnd]) -> None:
    connection, other = ends
    connection.root.on("Odd.event", lambda params: params["missing"])
    other.say(method="Odd.event", params={})
    call = connection.root.post("Next.method")
    other.say(id=(await other.command())["id"], result={})
    assert await call == {}
