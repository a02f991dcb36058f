"""The machine's own ports: no DevTools to be found, the API and the proxy itself out of reach of every page."""

from __future__ import annotations

import json
from typing import BinaryIO

import pytest

from calotype.browser.process_tree import descendants
from tests.e2e.server_process import ServerProcess

from .corpus import POSITIONS, asking_page
from .held import busy_channel
from .internet import Page
from .judge import CLIENT
from .laboratory import MACHINE_PORTS, Laboratory

_ASKING = {"wait_until": "load", "wait_for_function": "document.title.startsWith('[')"}


def http_port(server: ServerProcess) -> int:
    return int(server.url.rpartition(":")[2])


def test_no_devtools_listener_exists(lab: Laboratory, lab_server: ServerProcess) -> None:
    lab_server.picture(html="<p>x")
    assert len(descendants(lab_server.pid)) > 4  # Chromium runs
    known = {*MACHINE_PORTS, *lab.judge.servers}
    others = {(host, port) for host, port in lab.machine.tcp_listeners() if port not in known}
    assert {host.startswith("127.9.") and port in lab.judge.proxies for host, port in others} == {True}


@pytest.mark.parametrize("position", POSITIONS)
def test_cdp_probe(lab: Laboratory, lab_server: ServerProcess, position: str) -> None:
    ports = sorted({*MACHINE_PORTS, 9223, 9229, 8600, *lab.judge.servers, *lab.judge.proxies})
    hosts = ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "127.9.0.1", "127.9.255.254", "51.15.20.30")
    urls = [f"http://{host}:{port}/json/version" for host in hosts for port in ports]
    url = lab.internet.serve(f"http://cdp-{position}.example/", Page(asking_page(urls, position)))
    _, meta = lab_server.picture(url=url, render=_ASKING)
    assert json.loads(meta["title"]) == [False] * len(urls)
    refused = {(warning["host"], warning["reason"]) for warning in meta["warnings"]}
    assert {("127.0.0.1", "loopback"), ("[::1]", "loopback"), ("127.9.0.1", "own_proxy")} <= refused


def test_the_api_does_not_visit_itself(lab_server: ServerProcess) -> None:
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        error = lab_server.error(400, url=f"http://{host}:{http_port(lab_server)}/healthz")
        assert error["code"] == "blocked_target"


@pytest.mark.parametrize("position", POSITIONS)
def test_proxy_self(lab: Laboratory, lab_server: ServerProcess, trusting_server: ServerProcess, position: str) -> None:
    """The page aims at the channel that it goes out by, at its neighbours, and at those of another server."""
    with busy_channel(lab, trusting_server, f"busy-{position}.example") as other:
        port = (lab.judge.proxies - {other[1]}).pop()
        # Among these is its own: channels are handed out in turn.
        endpoints = {*lab.channels(), other, *((f"127.9.{n // 250}.{n % 250 + 1}", port) for n in range(60))}
        urls = [f"http://{host}:{port}/" for host, port in sorted(endpoints)]
        page_url = lab.internet.serve(f"http://self-{position}.example/", Page(asking_page(urls, position)))
        _, meta = lab_server.picture(url=page_url, render=_ASKING)
    assert json.loads(meta["title"]) == [False] * len(urls)
    refused = {(warning["host"], warning["reason"]) for warning in meta["warnings"]}
    assert refused == {(host, "own_proxy") for host, _ in endpoints}


def test_proxy_self_as_the_page(lab: Laboratory, lab_server: ServerProcess) -> None:
    for host, port in [*lab.channels(), ("127.9.0.77", lab.channels()[0][1])]:
        address = f"http://{host}:{port}/"
        assert lab_server.error(400, url=address)["code"] == "blocked_target"
        leading = lab.internet.serve("http://self-lead.example/", Page(status=302, headers=(("Location", address),)))
        assert lab_server.error(400, url=leading)["code"] == "blocked_target"


def test_keepalive_smuggle_raw(lab: Laboratory, lab_server: ServerProcess) -> None:
    """Many requests on one connection to a channel: each is judged by itself, whatever the first one was."""
    inner = ("10.66.0.1", "127.0.0.1", "169.254.169.254", "[::1]", "51.15.20.30", "inner.local", "0x7f.1")
    with (
        busy_channel(lab, lab_server, "smuggling.example") as channel,
        lab.machine.connect(*channel, source=CLIENT) as client,
        client.makefile("rb") as answers,
    ):
        for name in inner:
            for target in ("public.example", name):
                # The Host says otherwise than the target: only the latter counts.
                client.sendall(f"GET http://{target}/smuggled HTTP/1.1\r\nHost: public.example\r\n\r\n".encode())
                assert _status(answers) == (200 if target == "public.example" else 502)
    assert {visit.address for visit in lab.internet.visits()} == {"93.184.216.34"}


def test_keepalive_smuggle_pipelined(lab: Laboratory, lab_server: ServerProcess) -> None:
    asked = ("public.example", "10.66.0.1", "public.example", "127.0.0.1:9222")
    with (
        busy_channel(lab, lab_server, "pipelining.example") as channel,
        lab.machine.connect(*channel, source=CLIENT) as client,
        client.makefile("rb") as answers,
    ):
        client.sendall(b"".join(f"GET http://{name}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode() for name in asked))
        assert [_status(answers) for _ in asked] == [200, 502, 200, 502]


def _status(answers: BinaryIO) -> int:
    status = int(answers.readline().split()[1])
    length = 0
    while (line := answers.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    answers.read(length)
    return status


def test_keepalive_smuggle_by_the_browser(lab: Laboratory, lab_server: ServerProcess) -> None:
    """More plain-http hosts than the browser has connections to its proxy, public and private by turns."""
    hosts = [f"n{n}.public.example" if n % 2 else f"10.66.1.{n}" for n in range(100)]
    urls = [f"http://{host}/" for host in hosts]
    url = lab.internet.serve("http://smuggle.example/", Page(asking_page(urls, "image")))
    _, meta = lab_server.picture(url=url, render=_ASKING)
    assert json.loads(meta["title"]) == [bool(n % 2) for n in range(100)]
    assert {warning["host"] for warning in meta["warnings"]} == {host for host in hosts if host.startswith("10.")}
    assert {request.host for request in lab.internet.requests()} == {"smuggle.example", *hosts[1::2]}
