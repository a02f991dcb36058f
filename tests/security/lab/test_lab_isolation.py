"""What one capture leaves, no other one finds: not after it, and not beside it."""

from __future__ import annotations

import json
import threading

from tests.e2e.server_process import ServerProcess

from .held import UNTIL_RELEASED, held_capture
from .internet import Page, Request
from .laboratory import Laboratory

_PAGE = """<!doctype html><title>not begun</title><script type=module>
const mark = %s;
const database = await new Promise((resolve) => {
    const opening = indexedDB.open("d", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("s");
    opening.onsuccess = () => resolve(opening.result);
});
const stored = (mode, work) => new Promise((resolve) => {
    const asked = work(database.transaction("s", mode).objectStore("s"));
    asked.onsuccess = () => resolve(asked.result || null);
});
const cached = async () => {
    const hit = await (await caches.open("c")).match("/kept");
    return hit ? await hit.text() : null;
};
const root = await navigator.storage.getDirectory();
const filed = () => root.getFileHandle("f").then((f) => f.getFile()).then((f) => f.text(), () => null);
const shared = (message) => new Promise((resolve) => {
    const worker = new SharedWorker("/shared.js");
    worker.port.onmessage = (event) => resolve(event.data);
    worker.port.postMessage(message);
});
const heard = [];
const channel = new BroadcastChannel("b");
channel.onmessage = (event) => heard.push(event.data);
const look = async () => ({
    cookie: document.cookie || null,
    local: localStorage.getItem("k"),
    session: sessionStorage.getItem("k"),
    database: await stored("readonly", (store) => store.get("k")),
    cache: await cached(),
    file: await filed(),
    name: window.name || null,
    worker: (await navigator.serviceWorker.getRegistrations()).length || null,
    shared: await shared(null),
    heard: heard.length || null,
});
const before = await look();
if (mark) {
    document.cookie = "k=" + mark + "; path=/; max-age=9999; secure";
    localStorage.setItem("k", mark);
    sessionStorage.setItem("k", mark);
    await stored("readwrite", (store) => store.put(mark, "k"));
    await (await caches.open("c")).put("/kept", new Response(mark));
    const writer = await (await root.getFileHandle("f", {create: true})).createWritable();
    await writer.write(mark);
    await writer.close();
    window.name = mark;
    await navigator.serviceWorker.register("/service.js");
    await shared(mark);
    setInterval(() => channel.postMessage(mark), 20);
} else {
    await new Promise((resolve) => setTimeout(resolve, 300));
}
await fetch("/cacheable").then((answer) => answer.text());
const after = await look();
document.title = JSON.stringify({before, after});
if (mark === "held") {%s}
</script><img src="http://10.66.0.1/mark-%s">"""

_SHARED = """let kept = null;
onconnect = ({ports: [port]}) => port.onmessage = ({data}) => { kept = data || kept; port.postMessage(kept); };"""

_NOTHING = {
    **dict.fromkeys(("cookie", "local", "session", "database", "cache", "file", "name", "worker", "shared", "heard"))
}
_READY = {"wait_until": "domcontentloaded", "wait_for_function": "document.title.startsWith('{')"}


class Shop:
    """A site that leaves marks in the browser and looks for those of others."""

    def __init__(self, lab: Laboratory, host: str) -> None:
        self._lab = lab
        self._origin = f"https://{host}"
        self._host = host
        lab.internet.serve(f"{self._origin}/shared.js", Page(_SHARED, "text/javascript"))
        lab.internet.serve(f"{self._origin}/service.js", Page("onfetch = () => {}", "text/javascript"))
        lab.internet.serve(
            f"{self._origin}/cacheable",
            Page("cacheable", headers=(("Cache-Control", "max-age=9999"), ("ETag", '"tracked"'))),
        )

    def url(self, mark: str | None) -> str:
        page = Page(_PAGE % (json.dumps(mark), UNTIL_RELEASED, mark))
        return self._lab.internet.serve(f"{self._origin}/{mark or 'look'}", page)

    def visit(self, server: ServerProcess, mark: str | None) -> dict[str, dict[str, object]]:
        _, meta = server.picture(url=self.url(mark), render=_READY)
        return json.loads(meta["title"])

    def requests(self, path: str) -> list[Request]:
        return [request for request in self._lab.internet.requests(host=self._host) if request.path == path]


def test_cross_capture(lab: Laboratory, trusting_server: ServerProcess) -> None:
    shop = Shop(lab, "shop.example")
    first = shop.visit(trusting_server, "marked")
    assert first["before"] == _NOTHING
    left = first["after"]
    assert {name for name in _NOTHING if left[name] is None} <= {"heard"}, "the page could not leave its mark"
    second = shop.visit(trusting_server, None)
    assert second == {"before": _NOTHING, "after": _NOTHING}
    # Not from the HTTP cache either, nor asked for with what it remembers.
    assert len(shop.requests("/cacheable")) == 2
    assert not any("if-none-match" in request.headers for request in shop.requests("/cacheable"))
    assert not [
        request
        for request in lab.internet.requests(host="shop.example")
        if "look" in request.path and "cookie" in request.headers
    ]


def test_cross_capture_at_the_same_time(lab: Laboratory, trusting_server: ServerProcess) -> None:
    shop = Shop(lab, "busy-shop.example")
    with held_capture(lab, trusting_server, shop.url("held")) as held:
        assert shop.visit(trusting_server, None) == {"before": _NOTHING, "after": _NOTHING}
    assert json.loads(held[0].json()["meta"]["title"])["after"]["local"] == "held"


def test_blocks_of_one_capture_are_not_told_to_another(lab: Laboratory, lab_server: ServerProcess) -> None:
    def page(number: int) -> str:
        img = "".join(f'<img src="http://10.66.{number}.{n}/">' for n in range(1, 9))
        return lab.internet.serve(f"http://blocks-{number}.example/", Page(img))

    answers: dict[int, dict[str, object]] = {}

    def capture(number: int) -> None:
        answers[number] = lab_server.screenshot(url=page(number)).json()["meta"]

    threads = [threading.Thread(target=capture, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        hosts = {warning["host"] for warning in answers[number]["warnings"]}  # type: ignore[index, attr-defined]
        assert hosts == {f"10.66.{number}.{n}" for n in range(1, 9)}


def test_connections_of_one_capture_are_not_used_by_another(lab: Laboratory, lab_server: ServerProcess) -> None:
    for _ in range(3):
        lab_server.picture(url="http://kept-alive.example/")
    visits = [visit for visit in lab.internet.visits() if visit.requests]
    assert [len({request.host for request in visit.requests}) for visit in visits] == [1, 1, 1]
