"""Schemes that lead to files, to the browser's own pages or into another document: refused, and nothing is read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.server_process import ServerProcess

from .internet import Page
from .laboratory import Laboratory

LOOT = (255, 0, 255)
"""What the file looks like in a picture."""
LOOT_TEXT = "loot-90125"

_TOP = {
    "file": "file:///etc/passwd",
    "file_upper": "FILE:///etc/passwd",
    "file_no_slash": "file:/etc/passwd",
    "file_localhost": "file://localhost/etc/passwd",
    "file_unc": "file://///10.66.0.1/share",
    "view_source": "view-source:http://public.example/",
    "view_source_file": "view-source:file:///etc/passwd",
    "chrome_url": "chrome://version/",
    "chrome_untrusted": "chrome-untrusted://terminal/",
    "devtools": "devtools://devtools/bundled/inspector.html",
    "about": "about:version",
    "data_top": "data:text/html,<h1>x",
    "blob_top": "blob:http://public.example/0a0b0c0d-0000-0000-0000-000000000000",
    "filesystem": "filesystem:http://public.example/temporary/x",
    "javascript": "javascript:void(document.title='written')",
    "ftp": "ftp://public.example/",
    "ws": "ws://public.example/",
    "extension": "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x.html",
    "intent": "intent://public.example#Intent;scheme=http;end",
}


@pytest.fixture(scope="module")
def loot() -> Iterator[str]:
    """The URL of a file that every user of this machine may read."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        file = Path(directory, "loot.html")
        file.write_text(
            f"<body style='background:rgb{LOOT}'>{LOOT_TEXT}<script>document.title = {LOOT_TEXT!r}</script>"
        )
        file.chmod(0o644)
        yield file.as_uri()


def colours(image: Image.Image) -> set[object]:
    return {colour for _, colour in image.convert("RGB").getcolors(image.width * image.height) or ()}


@pytest.mark.parametrize("kind", _TOP)
def test_the_api_refuses(lab: Laboratory, lab_server: ServerProcess, kind: str) -> None:
    error = lab_server.error(400, url=_TOP[kind])
    assert error["code"] in ("invalid_url", "invalid_request")
    assert lab.internet.visits() == []


@pytest.mark.parametrize("kind", _TOP)
def test_a_redirect_there_is_refused(lab: Laboratory, lab_server: ServerProcess, kind: str) -> None:
    url = lab.internet.serve(
        f"http://{kind.replace('_', '-')}.example/", Page(status=302, headers=(("Location", _TOP[kind]),))
    )
    answer = lab_server.screenshot(url=url)
    assert answer.status_code in (400, 500)
    assert answer.json()["error"]["code"] in ("invalid_url", "blocked_target", "target_unreachable")


def _reading_page(loot: str) -> str:
    directory = loot.rpartition("/")[0]
    return f"""<!doctype html><title>not begun</title><body style="margin:0;background:#ffffff">
<iframe src="{loot}"></iframe><iframe srcdoc='<iframe src="{loot}"></iframe>'></iframe>
<object data="{loot}"></object><embed src="{loot}"><iframe src="view-source:{loot}"></iframe>
<iframe src="{directory}/"></iframe><iframe src="chrome://version"></iframe><iframe src="about:version"></iframe>
<link rel=stylesheet href="{loot}"><link rel=import href="{loot}"><script src="{loot}"></script>
<script type=module>
const read = {{}};
const text = async (name, work) => read[name] = await work().then(String, (error) => "refused: " + error.name);
const url = {json.dumps(loot)};
await text("fetch", () => fetch(url).then((answer) => answer.text()));
await text("fetch_no_cors", () => fetch(url, {{mode: "no-cors"}}).then((answer) => answer.type));
await text("fetch_view_source", () => fetch("view-source:" + url).then((answer) => answer.text()));
await text("fetch_chrome", () => fetch("chrome://version").then((answer) => answer.text()));
await text("xhr", () => new Promise((resolve, reject) => {{
    const request = new XMLHttpRequest();
    request.onload = () => resolve(request.responseText);
    request.onerror = () => reject(new TypeError("xhr"));
    request.open("GET", url);
    request.send();
}}));
await text("import", () => import(url));
await text("worker", () => new Promise((resolve, reject) => {{
    const source = `importScripts(${{JSON.stringify(url)}}); postMessage(1)`;
    const worker = new Worker(URL.createObjectURL(new Blob([source])));
    worker.onmessage = () => resolve("imported");
    worker.onerror = () => reject(new TypeError("worker"));
}}));
await text("window", async () => {{
    const opened = window.open(url);
    return opened === null ? "refused: no window" : opened.document.body.innerText;
}});
for (const frame of document.querySelectorAll("iframe")) try {{
    const inside = frame.contentDocument && frame.contentDocument.body.innerText;
    read.frames = (read.frames || "") + (inside || "");
}} catch {{}}
location = url;
await new Promise((resolve) => setTimeout(resolve, 300));
document.title = JSON.stringify(read);
</script>"""


def test_file_frame_and_file_fetch(lab: Laboratory, lab_server: ServerProcess, loot: str) -> None:
    url = lab.internet.serve("http://reader.example/", Page(_reading_page(loot)))
    image, meta = lab_server.picture(
        url=url, format="png", full_page=True, render={"wait_for_function": "document.title.startsWith('{')"}
    )
    read = json.loads(meta["title"])
    assert LOOT_TEXT not in meta["title"]
    assert read.pop("frames") == ""
    assert {name: answer for name, answer in read.items() if not answer.startswith("refused:")} == {}
    assert len(read) == 8
    assert LOOT not in colours(image)


def test_the_same_text_from_a_public_page_would_be_seen(lab: Laboratory, lab_server: ServerProcess, loot: str) -> None:
    text = Path(loot.removeprefix("file://")).read_text()
    inside = lab.internet.serve("http://reader.example/inside", Page(text))
    url = lab.internet.serve("http://reader.example/", Page(f'<iframe src="{inside}"></iframe>'))
    image, _ = lab_server.picture(url=url, format="png")
    assert LOOT in colours(image)


@pytest.mark.parametrize("kind", _TOP)
def test_a_script_that_goes_there_stays_where_it_is(lab: Laboratory, lab_server: ServerProcess, kind: str) -> None:
    host = f"going-{kind.replace('_', '-')}.example"
    script = f"onload = () => location = {json.dumps(_TOP[kind])}"
    url = lab.internet.serve(f"http://{host}/", Page(f"<title>stayed</title><script>{script}</script>"))
    answer = lab_server.screenshot(url=url, render={"timeout_ms": 2000})
    if answer.status_code == 200:
        meta = answer.json()["meta"]
        expected = [("stayed", url), ("", "about:blank#blocked"), ("written", url)]
        assert (meta["title"], meta["final_url"]) in (expected if kind == "javascript" else expected[:2])
    else:
        assert answer.json()["error"]["code"] in ("invalid_url", "blocked_target", "target_unreachable")


@pytest.mark.xfail(reason="the picture never comes, and the caller waits for render.timeout_ms and ten seconds more")
def test_a_script_that_goes_to_an_unknown_scheme_while_the_page_is_parsed(
    lab: Laboratory, lab_server: ServerProcess
) -> None:
    page = Page('<title>stayed</title><script>location = "ftp://public.example/"</script>')
    url = lab.internet.serve("http://going-early.example/", page)
    _, meta = lab_server.picture(url=url, render={"timeout_ms": 1000})
    assert meta["title"] == "stayed"


def test_markup_given_to_the_api_reads_no_file(lab_server: ServerProcess, loot: str) -> None:
    html = f'<title>x</title><iframe src="{loot}"></iframe><img src="{loot}"><object data="{loot}"></object>'
    image, _ = lab_server.picture(html=html, format="png")
    assert LOOT not in colours(image)


def test_a_base_that_is_a_file_is_refused(lab_server: ServerProcess, loot: str) -> None:
    error = lab_server.error(400, html='<iframe src="loot.html"></iframe>', base_url=loot)
    assert error["code"] in ("invalid_url", "invalid_request")
