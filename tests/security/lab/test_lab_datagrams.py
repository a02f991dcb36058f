"""WebRTC, WebTransport and QUIC: no datagram leaves, to anybody; and their TCP takes the same way as all the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.server_process import ServerProcess

from .hostile_dns import PUBLIC
from .internet import Page, Request
from .laboratory import Laboratory

_RTC = """<!doctype html><title>not begun</title><script type=module>
const ice = %s;
const [near, far] = [new RTCPeerConnection({iceServers: ice}), new RTCPeerConnection({iceServers: ice})];
near.createDataChannel("x");
const found = [];
near.onicecandidate = (event) => event.candidate && found.push(event.candidate.candidate);
await near.setLocalDescription();
await far.setRemoteDescription(near.localDescription);
await far.setLocalDescription();
await near.setRemoteDescription(far.localDescription);
const failed = [];
for (const candidate of %s)
    await near.addIceCandidate({candidate, sdpMid: "0", sdpMLineIndex: 0}).catch((error) => failed.push(String(error)));
await new Promise((resolve) => setTimeout(resolve, 1500));
document.title = JSON.stringify({state: near.iceGatheringState, found, failed});
</script>"""

_SERVERS = [
    {"urls": ["stun:10.66.0.1:3478", f"stun:{PUBLIC}:3478", "stun:127.0.0.1:3478", "stun:stun.example:3478"]},
    {"urls": ["turn:10.66.0.1:3478?transport=udp", f"turn:{PUBLIC}:3478"], "username": "x", "credential": "x"},
    {
        "urls": ["turn:10.66.0.1:3478?transport=tcp", "turn:127.0.0.1:6379?transport=tcp", "turns:10.66.0.1:443"],
        "username": "x",
        "credential": "x",
    },
]
_CANDIDATES = {
    "rtc_ice_host": [
        "candidate:1 1 udp 2122260223 10.66.0.1 3479 typ host",
        "candidate:2 1 udp 2122260222 127.0.0.1 3479 typ host",
        f"candidate:3 1 udp 2122260221 {PUBLIC} 3479 typ host",
        "candidate:4 1 udp 2122260220 fd00:66::1 3479 typ host",
        "candidate:5 1 tcp 1518280447 10.66.0.1 80 typ host tcptype passive",
        "candidate:6 1 tcp 1518280446 127.0.0.1 80 typ host tcptype passive",
    ],
    "rtc_mdns": ["candidate:7 1 udp 2122260223 3e1c1cd2-4d2b-4d9c-9a1d-000000000001.local 3479 typ host"],
}
_RTC_PAGES = {
    "rtc_stun": (_SERVERS[:1], []),
    "turn_udp": (_SERVERS[1:2], []),
    "turn_tcp_private": (_SERVERS[2:], []),
    **{name: ([], candidates) for name, candidates in _CANDIDATES.items()},
}
_SEEN_WITHOUT_GUARD = {
    "rtc_stun": ("udp", "10.66.0.1", 3478),
    "turn_udp": ("udp", "10.66.0.1", 3478),
    "turn_tcp_private": ("tcp", "10.66.0.1", 3478),
    "rtc_ice_host": ("udp", "10.66.0.1", 3479),
    "rtc_mdns": ("udp", "224.0.0.251", 5353),
}


def rtc_page(lab: Laboratory, kind: str, host: str) -> str:
    servers, candidates = _RTC_PAGES[kind]
    return lab.internet.serve(f"http://{host}/", Page(_RTC % (json.dumps(servers), json.dumps(candidates))))


@pytest.mark.parametrize("kind", _RTC_PAGES)
def test_without_the_guard_the_page_does_send(lab: Laboratory, tmp_path: Path, kind: str) -> None:
    host = f"bare-{kind.replace('_', '-')}.example"
    with lab.bare_browser(tmp_path, rtc_page(lab, kind, host)) as watch:
        wanted = _SEEN_WITHOUT_GUARD[kind]
        assert watch.wait_for(lambda packet: (packet.protocol, packet.destination, packet.port) == wanted)


@pytest.mark.parametrize("kind", _RTC_PAGES)
@pytest.mark.parametrize("jail", ["auto", "off"])
def test_rtc(lab: Laboratory, lab_server: ServerProcess, unjailed_server: ServerProcess, kind: str, jail: str) -> None:
    """Whether the kernel keeps the datagrams in or only the flags do."""
    server = unjailed_server if jail == "off" else lab_server
    url = rtc_page(lab, kind, f"{kind.replace('_', '-')}-{jail}.example")
    render = {"wait_until": "load", "wait_for_function": "document.title.startsWith('{')"}
    _, meta = server.picture(url=url, render=render)
    told = json.loads(meta["title"])
    assert told["failed"] == []
    assert not [found for found in told["found"] if "typ relay" not in found], "an address of the machine was told"
    if kind == "turn_tcp_private" and jail == "off":  # without any datagram socket WebRTC may not get as far as TURN
        assert {"10.66.0.1", "127.0.0.1"} <= {warning["host"] for warning in meta["warnings"]}


_TRANSPORT = """<!doctype html><title>not begun</title><script type=module>
const ends = [];
for (const url of %s) {
    const transport = new WebTransport(url, %s);
    ends.push(await transport.ready.then(() => "open", (error) => error.name));
}
document.title = JSON.stringify(ends);
</script>"""
_TARGETS = ["https://10.66.0.1/", "https://127.0.0.1/", f"https://{PUBLIC}/", "https://quic.example/"]


def test_without_the_guard_webtransport_does_send(lab: Laboratory, tmp_path: Path) -> None:
    url = lab.internet.serve("https://bare-wt.example/", Page(_TRANSPORT % (json.dumps(_TARGETS[:1]), "{}")))
    with lab.bare_browser(tmp_path, url, "--ignore-certificate-errors") as watch:
        assert watch.wait_for(lambda packet: packet.protocol == "udp" and packet.destination == "10.66.0.1")


def test_webtransport(lab: Laboratory, trusting_server: ServerProcess) -> None:
    url = lab.internet.serve("https://wt.example/", Page(_TRANSPORT % (json.dumps(_TARGETS), "{}")))
    render = {"wait_until": "load", "wait_for_function": "document.title.startsWith('[')"}
    _, meta = trusting_server.picture(url=url, render=render)
    assert json.loads(meta["title"]) == ["WebTransportError"] * len(_TARGETS)


def test_a_site_that_offers_quic(lab: Laboratory, trusting_server: ServerProcess) -> None:
    """Alt-Svc says that the site, or another host, also speaks HTTP/3."""
    offers = (("Alt-Svc", 'h3=":443"; ma=86400, h3="10.66.0.1:443"; ma=86400'), ("Connection", "close"))

    def page(request: Request) -> Page:
        return Page("again", headers=offers)

    lab.internet.serve("https://altsvc.example/again", page)
    text = """<!doctype html><title>not begun</title><script type=module>
for (let i = 0; i < 5; i++) await fetch("/again?" + i);
document.title = "done";</script>"""
    url = lab.internet.serve("https://altsvc.example/", Page(text, headers=offers))
    for _ in range(2):
        trusting_server.picture(url=url, render={"wait_for_function": "document.title === 'done'"})
    assert len(lab.internet.requests(host="altsvc.example")) >= 12
    assert not [packet for packet in lab.watch.peek() if packet.protocol == "udp" and packet.port != 53]
