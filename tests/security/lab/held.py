"""Captures that stay under way for as long as a test needs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from tests.e2e.server_process import ServerProcess

from .internet import Page, Request
from .laboratory import Laboratory

UNTIL_RELEASED = """
while (await fetch("/released").then((answer) => answer.text()) !== "yes")
    await new Promise((resolve) => setTimeout(resolve, 20));
window.released = true;
"""
"""The end of a module script of the page."""


@contextmanager
def held_capture(lab: Laboratory, server: ServerProcess, url: str) -> Iterator[list[httpx.Response]]:
    """Capture a page that ends with `UNTIL_RELEASED`; the block runs meanwhile, the answer is in the list after it."""
    released = threading.Event()
    parts = urlsplit(url)

    def page(request: Request) -> Page:
        return Page("yes" if released.is_set() else "no", headers=(("Cache-Control", "no-store"),))

    lab.internet.serve(f"{parts.scheme}://{parts.netloc}/released", page)
    answers: list[httpx.Response] = []
    render = {"wait_until": "domcontentloaded", "wait_for_function": "window.released"}
    thread = threading.Thread(target=lambda: answers.append(server.screenshot(url=url, render=render)))
    thread.start()
    try:
        assert lab.internet.wait_for(str(parts.hostname), "/released")
        yield answers
        assert thread.is_alive(), "the capture had ended"
    finally:
        released.set()
        thread.join()


@contextmanager
def busy_channel(lab: Laboratory, server: ServerProcess, host: str) -> Iterator[tuple[str, int]]:
    """The endpoint of a capture under way."""
    before = set(lab.watch.peek())
    url = lab.internet.serve(f"http://{host}/", Page(f"<script type=module>{UNTIL_RELEASED}</script>"))
    with held_capture(lab, server, url):
        # Where Chromium connected to since: no other capture runs.
        [channel] = {
            (packet.destination, packet.port)
            for packet in set(lab.watch.peek()) - before
            if packet.port in lab.judge.proxies
        }
        yield channel
