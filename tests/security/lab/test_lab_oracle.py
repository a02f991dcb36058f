"""What a page can learn from a refusal: nothing. And what a site can pretend by its answers: nothing either."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.server_process import ServerProcess

from .internet import Page
from .laboratory import REFUSED_PORT, Laboratory

KINDS = {
    "blocked_network": "10.66.0.1",
    "blocked_loopback": "127.0.0.1",
    "blocked_loopback_port": "127.0.0.1:6379",
    "blocked_v6": "[fd00:66::1]",
    "blocked_name": "inner.example",
    "blocked_inner_name": "wiki.internal",
    "blocked_own_address": "51.15.20.30",
    "refused": f"public.example:{REFUSED_PORT}",
    "refused_address": f"93.184.216.34:{REFUSED_PORT}",
    "missing": "no-such.invalid",
}

_PAGE = """<!doctype html><title>not begun</title><body><script type=module>
const origin = %s;
const seen = {};
const told = (error) => [error.name, error.message.replaceAll(origin, "ORIGIN")];
const by = async (name, work) => seen[name] = await work().catch(told);
const event = (element, on, url) => new Promise((resolve) => {
    for (const name of on) element.addEventListener(name, (e) => resolve([name, e.type, e.message]));
    element.src = url;
    document.body.append(element);
});
const u = (name) => `${origin}/${name}`;
const asked = (name, how) => by(name, async () => {
    const answer = await fetch(u(name), how);
    return [answer.type, answer.status, answer.redirected, [...answer.headers]];
});
await asked("fetch");
await asked("fetch_no_cors", {mode: "no-cors"});
await asked("fetch_post", {method: "POST", mode: "no-cors", body: "x"});
await asked("preflight", {method: "PUT", headers: {"x-a": "b"}});
await asked("reload", {mode: "no-cors", cache: "reload"});
await by("xhr", () => new Promise((resolve) => {
    const request = new XMLHttpRequest(), events = [];
    for (const name of ["readystatechange", "error", "load", "abort", "timeout", "loadend"])
        request.addEventListener(name, () => {
            events.push(name + request.readyState);
            const {status, statusText, responseURL} = request;
            if (name === "loadend") resolve([events, status, statusText, responseURL, request.getAllResponseHeaders()]);
        });
    request.open("GET", u("xhr"));
    request.send();
}));
await by("image", () => event(new Image(), ["load", "error"], u("image")));
await by("script", () => event(document.createElement("script"), ["load", "error"], u("script")));
await by("video", () => {
    const video = document.createElement("video");
    const error = () => video.error && [video.error.code, video.error.message];
    return event(video, ["loadeddata", "error"], u("video")).then((e) => [e, error()]);
});
await by("style", () => new Promise((resolve) => {
    const link = Object.assign(document.createElement("link"), {rel: "stylesheet", href: u("style")});
    link.onload = link.onerror = (e) => resolve([e.type, document.styleSheets.length]);
    document.head.append(link);
}));
await by("frame", async () => {
    const frame = document.createElement("iframe");
    const how = await event(frame, ["load", "error"], u("frame"));
    let inside;
    try { inside = frame.contentWindow.location.href; } catch (error) { inside = error.name; }
    return [how, frame.contentDocument === null, inside, frame.contentWindow.length];
});
await by("object", () => new Promise((resolve) => {
    const element = document.createElement("object");
    element.onload = element.onerror = (e) => resolve([e.type, element.contentDocument === null]);
    element.data = u("object");
    document.body.append(element);
}));
await by("import", () => import(u("import")));
await by("worker", () => new Promise((resolve) => {
    const url = JSON.stringify(u("worker"));
    const source = `try { importScripts(${url}) } catch (e) { postMessage([e.name, e.message]) }`;
    const worker = new Worker(URL.createObjectURL(new Blob([source])));
    worker.onmessage = (e) => resolve([e.data[0], e.data[1].replaceAll(origin, "ORIGIN")]);
}));
await by("event_source", () => new Promise((resolve) => {
    const source = new EventSource(u("events"));
    source.onerror = () => { resolve(source.readyState); source.close(); };
}));
for (const scheme of ["ws", "wss"]) await by(scheme, () => new Promise((resolve) => {
    const events = [];
    const socket = new WebSocket(u("socket").replace(/^https?/, scheme));
    socket.onerror = () => events.push("error");
    socket.onopen = () => resolve("open");
    socket.onclose = (e) => resolve([events, e.code, e.reason, e.wasClean, socket.readyState, socket.protocol]);
}));
await new Promise((resolve) => setTimeout(resolve, 100));
const facts = ["initiatorType", "nextHopProtocol", "responseStatus", "transferSize", "encodedBodySize",
    "decodedBodySize", "contentType", "deliveryType", "renderBlockingStatus", "workerStart",
    "firstInterimResponseStart"];
const moments = ["domainLookupStart", "domainLookupEnd", "connectStart", "connectEnd", "secureConnectionStart",
    "requestStart", "responseStart", "redirectStart"];
seen.timing = performance.getEntriesByType("resource")
    .filter((entry) => entry.name.startsWith(origin))
    .map((entry) => [entry.name.slice(origin.length), facts.map((f) => entry[f]), moments.map((m) => entry[m] > 0)])
    .sort();
document.title = JSON.stringify(seen);
</script>"""


def observed(lab: Laboratory, server: ServerProcess, scheme: str, kind: str) -> dict[str, Any]:
    lab.dns.name("inner.example", "10.66.0.2")
    page = Page(_PAGE % json.dumps(f"{scheme}://{KINDS[kind]}"))
    url = lab.internet.serve(f"http://{kind.replace('_', '-')}-{scheme}.oracle.example/", page)
    render = {"wait_until": "domcontentloaded", "wait_for_function": "document.title.startsWith('{')"}
    _, meta = server.picture(url=url, render=render)
    return json.loads(meta["title"])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_oracle(lab: Laboratory, lab_server: ServerProcess, scheme: str) -> None:
    reference = observed(lab, lab_server, scheme, "missing")
    assert len(reference) == 18
    for kind in KINDS:
        told = observed(lab, lab_server, scheme, kind)
        differing = {name: (told.get(name), reference[name]) for name in reference if told.get(name) != reference[name]}
        assert (kind, differing) == (kind, {})


def test_a_page_that_is_there_does_look_different(lab: Laboratory, lab_server: ServerProcess) -> None:
    KINDS["there"] = "public.example"
    try:
        there = observed(lab, lab_server, "http", "there")
        missing = observed(lab, lab_server, "http", "missing")
    finally:
        del KINDS["there"]
    differing = {name for name in missing if there[name] != missing[name]}
    assert differing >= {"fetch", "xhr", "style", "ws", "timing"}


@pytest.mark.parametrize("status", [400, 403, 407, 502, 503, 504])
def test_forged_header(lab: Laboratory, lab_server: ServerProcess, status: int) -> None:
    """A site that answers as our proxy might: it is the site's answer all the same."""
    headers = (
        ("X-Calotype-Blocked", "loopback"),
        ("X-Calotype-Error", "blocked_target"),
        ("Proxy-Status", "calotype; error=destination_ip_prohibited"),
        ("X-Blocked-By", "calotype"),
        ("Via", "1.1 calotype"),
    )
    for body in ("<title>forged</title>blocked_target 127.0.0.1", ""):
        url = lab.internet.serve(
            f"http://forged-{status}.example/{len(body)}", Page(body, status=status, headers=headers)
        )
        answer = lab_server.screenshot(url=url)
        if status == 407:  # only a proxy may say this, so a browser takes it for its proxy's word
            assert answer.status_code in (200, 500)
            continue
        assert answer.status_code == 200, answer.text
        assert answer.json()["meta"]["status_code"] == status
        assert answer.json()["meta"]["warnings"] == []
