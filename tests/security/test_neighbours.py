"""While one page does its worst, captures of other pages on the same browser succeed and are right."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.server_process import ServerProcess, running_server
from tests.e2e.test_resilience import processes, until
from tests.site.server import Site

from .test_hostile_pages import assert_blocks, blocks_body, outcome

PAGE_MEMORY_BYTES = 512 * 2**20
MEMORY_HOGS = ["buffer_hog", "wasm_hog", "canvas_hog", "worker_hog"]


@pytest.fixture(scope="module")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {
        "GUARD__ALLOW": json.dumps([site.netloc]),
        "BROWSER__PAGES": "4",
        "BROWSER__PAGE_MEMORY_BYTES": str(PAGE_MEMORY_BYTES),
    }
    with running_server(tmp_path_factory.mktemp("data"), **settings) as running:
        yield running


def under_attack(server: ServerProcess, site: Site, name: str) -> tuple[threading.Thread, list[httpx.Response]]:
    """Start the capture of a hostile page that is kept open for some seconds; wait until it is asked for."""
    path = f"/hostile/{name}"
    before = len(site.seen(path))
    answers: list[httpx.Response] = []
    open_s = 15 if name in MEMORY_HOGS else 3  # a hog is ended as soon as it holds too much
    body = {"url": f"{site.url}{path}", "render": {"timeout_ms": (open_s + 1) * 1000, "delay_ms": open_s * 1000}}
    thread = threading.Thread(target=lambda: answers.append(server.screenshot(**body)))
    thread.start()
    until(lambda: len(site.seen(path)) > before, f"{path} is asked for")
    return thread, answers


@pytest.mark.parametrize(
    "name", ["cpu_spin", "heap_hog", "dom_flood", "worker_fork", "endless_body", "gzip_bomb", *MEMORY_HOGS]
)
def test_the_neighbours_of_a_hostile_page_are_right(server: ServerProcess, site: Site, name: str) -> None:
    before = sum("page_over_memory" in line for line in server.output)
    thread, answers = under_attack(server, site, name)
    beside = 0
    while thread.is_alive():
        assert_blocks(server.screenshot(**blocks_body(site)))
        beside += thread.is_alive()
    assert beside, "no capture ended while the hostile page was open"
    if name in MEMORY_HOGS:
        assert outcome(answers[0]) == "page_crashed"
        until(lambda: sum("page_over_memory" in line for line in server.output) > before, "the kill is logged")
    else:
        assert outcome(answers[0]) in {"picture", "partial", "capture_timeout", "page_crashed"}
    assert len(processes(server, "browser")) == 1


def test_a_page_that_takes_the_processor_comes_last(server: ServerProcess, site: Site) -> None:
    """Every thread of its renderer has the lowest priority; the browser and the server keep theirs."""
    thread, _ = under_attack(server, site, "worker_fork")

    def niceness(pid: int) -> set[int]:
        return {os.getpriority(os.PRIO_PROCESS, int(each)) for each in os.listdir(f"/proc/{pid}/task")}

    def lowered() -> bool:
        with contextlib.suppress(OSError):  # a renderer that has just gone
            return any(niceness(pid) == {19} for pid in processes(server, "renderer"))
        return False

    until(lowered, "the busy renderer is lowered")
    others = [server.pid, *processes(server, "browser")]
    assert all(19 not in niceness(pid) for pid in others)
    thread.join()


def test_each_capture_has_renderers_of_its_own(server: ServerProcess, site: Site) -> None:
    """Else a page's crash, or its memory, would be another's."""
    site_pages = [f"{site.url}/blocks.html", f"{site.url}/tall.html"]
    body = {"render": {"delay_ms": 1500}}
    threads = [threading.Thread(target=server.screenshot, kwargs={"url": url, **body}) for url in site_pages * 2]
    for thread in threads:
        thread.start()
    until(lambda: len(processes(server, "renderer")) >= 4, "four captures of one site have four renderers")
    for thread in threads:
        thread.join()
