"""`calotype mcp` as an agent's client sees it: the SDK's own client, a real process, a real Chromium."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from PIL import Image

from tests.site import blocks
from tests.site.pictures import assert_pixels, pixel
from tests.site.server import Site

from .server_process import ServerProcess, server_environment
from .test_resilience import until


@asynccontextmanager
async def agent(tmp_path: Path, *arguments: str, **environment: str) -> AsyncIterator[ClientSession]:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "calotype", "mcp", *arguments],
        env={**server_environment(tmp_path / "data"), **environment},
    )
    with (tmp_path / "log").open("w") as log:
        async with stdio_client(parameters, errlog=log) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            yield session


def picture(content: Any) -> Image.Image:
    assert content.type == "image"
    image = Image.open(io.BytesIO(base64.b64decode(content.data)))
    image.load()
    return image.convert("RGB")


async def test_an_agent_looks_at_a_page_and_clicks(site: Site, tmp_path: Path) -> None:
    async with agent(tmp_path, "--allow", site.netloc) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == {"capture", "capture_many"}
        assert {"url", "html", "actions", "viewport", "include"} <= set(tools["capture"].input_schema["properties"])

        assert "iPhone 15" in str(tools["capture"].input_schema["properties"]["device"])

        url = f"{site.url}/elements.html"
        seen = await session.call_tool(
            "capture", {"url": url, "format": "png", "include": ["elements", "links", "text"]}
        )
        assert not seen.is_error
        text, shown = seen.content
        image = picture(shown)
        elements = {each["name"]: each for each in seen.structured_content["elements"]}
        box = elements["Red"]["box"]
        assert pixel(image, box["x"] + box["width"] // 2, box["y"] + box["height"] // 2) == (255, 0, 0)
        assert "button 'Red'" in text.text
        assert f"{site.url}/blocks.html" in text.text
        assert seen.structured_content["text"].startswith("Mail")

        click = [{"type": "click", "selector": elements["Red"]["selector"]}]
        clicked = await session.call_tool("capture", {"url": url, "actions": click})
        assert clicked.structured_content["title"] == "clicked"
        assert "Action 0, click: done" in clicked.content[0].text

        tall = await session.call_tool("capture", {"url": f"{site.url}/tall.html", "full_page": True})
        assert max(picture(tall.content[1]).size) <= 1568

        many = await session.call_tool(
            "capture_many", {"urls": [f"{site.url}/blocks.html", "http://10.0.0.1/", "ftp://x", 5]}
        )
        assert not many.is_error
        first, *others = many.structured_content["pages"]
        assert first["title"] == "Blocks"
        assert [each["error"]["code"] for each in others] == ["blocked_target", "invalid_url", "invalid_request"]
        assert max(picture(many.content[1]).size) == 768

    # The input has ended, and so has everything.
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_what_is_wrong_is_said_and_the_server_goes_on(site: Site, tmp_path: Path, server: ServerProcess) -> None:
    """Against a server, this time."""
    async with agent(tmp_path, "--server", server.url, CALOTYPE_KEY=server.key) as session:
        for tool, arguments, said in (
            ("capture", {"url": "https://example.com", "viewport": {"width": 1}, "quality": 0}, "viewport.width"),
            ("capture", {"url": "https://example.com", "format": "pdf"}, "format"),
            ("capture", {"url": "https://example.com", "widht": 5}, "widht"),
            ("capture", {"url": "http://10.0.0.1/"}, "blocked_target"),
            ("capture_many", {"urls": []}, "urls"),
            ("capture", {"url": "https://example.com", "max_side_px": 1}, "max_side_px"),
            ("capture", {"url": "https://example.com", "include": [{}]}, "include"),
            ("capture", {"url": "https://example.com", "resize": {"width": 5}}, "resize"),
            ("capture_many", {"urls": ["https://example.com"], "quality": 0}, "quality"),
            ("nothing", {}, "There is no tool"),
        ):
            answer = await session.call_tool(tool, arguments)
            assert answer.is_error
            assert said in answer.content[0].text
        seen = await session.call_tool("capture", {"url": f"{site.url}/blocks.html", "format": "png"})
        assert_pixels(picture(seen.content[1]), dict(blocks.VIEWPORT))


async def test_a_call_that_is_given_up_gives_its_page_back(site: Site, tmp_path: Path) -> None:
    before = len(site.seen("/hang"))
    async with agent(tmp_path, "--allow", site.netloc, CALOTYPE_BROWSER__PAGES="1") as session:
        slow = {"url": f"{site.url}/forever.html", "render": {"timeout_ms": 120_000}}
        calling = asyncio.create_task(session.call_tool("capture", slow))
        await asyncio.to_thread(until, lambda: len(site.seen("/hang")) > before, "the capture runs")
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        seen = await session.call_tool("capture", {"html": "<title>Next</title>"})
        assert seen.structured_content["title"] == "Next"


@pytest.mark.parametrize("how", ["end of input", "kill", "Ctrl-C"])
def test_nothing_is_left(tmp_path: Path, how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "calotype", "mcp"],
        env=server_environment(tmp_path / "data"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    for line in process.stderr:
        if b"browser_started" in line:
            break
    browsers = children_of(process.pid)
    assert browsers
    if how == "end of input":
        process.stdin.close()
    else:
        process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGINT)
    assert process.wait() == {"end of input": 0, "kill": -signal.SIGKILL, "Ctrl-C": -signal.SIGINT}[how]
    process.stdin.close()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in browsers), "the browser is gone")
    process.stderr.close()


def children_of(parent: int) -> list[int]:
    """All below it: each keeper is a session of its own."""
    below: list[int] = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            above = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if above == parent:
            below += [pid, *children_of(pid)]
    return below
