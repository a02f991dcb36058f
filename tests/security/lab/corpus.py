"""The corpus of targets, and the page that asks for all of them in one position.

`ssrf_corpus.jsonl` was studied with Chromium, `more_targets.jsonl` is ours in the same form.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import ada_url

Row = dict[str, Any]

_FOLDER = Path(__file__).parents[1]


def _rows(name: str) -> list[Row]:
    return [json.loads(line) for line in (_FOLDER / name).read_text("utf-8").splitlines()]


OURS = _rows("more_targets.jsonl")
ROWS = [*_rows("ssrf_corpus.jsonl"), *OURS]
BLOCKED = [row for row in ROWS if row["expect"] == "block"]
ALLOWED = [row for row in ROWS if row["expect"] == "allow"]


def parsed(url: str, base: str | None = None) -> ada_url.URL | None:
    try:
        return ada_url.URL(url, base)
    except ValueError:
        return None


def address(row: Row) -> str | None:
    """The IP address that the URL spells."""
    try:
        return str(ip_address(str(getattr(parsed(row["url"]), "hostname", "")).strip("[]").removesuffix(".")))
    except ValueError:
        return None


POSITIONS = {
    "image": """(url, done) => {
        const image = new Image();
        image.onload = () => done(true);
        image.onerror = () => done(false);
        image.src = url;
    }""",
    "fetch": "(url, done) => fetch(url).then(() => done(true), () => done(false))",
    "websocket": """(url, done) => {
        const socket = new WebSocket(url.replace(/^([\\0-\\x20]*)http/i, "$1ws"));
        socket.onopen = () => done(true);
        socket.onerror = () => done(false);
    }""",
}


def asking_page(urls: list[str], position: str) -> str:
    """A page that asks for the URLs and, when the last is answered, has as its title the list of what was got.

    A URL that leads to the page's own host (it was relative after all) is not asked for, and None in the list.
    """
    return f"""<!doctype html><meta charset=utf-8><title>not begun</title><body><script type=module>
const ask = {POSITIONS[position]};
const answer = (url) => new Promise((resolve) => {{
    try {{
        if (new URL(url, document.baseURI).host === location.host) resolve(null);
        else ask(url, resolve);
    }} catch (error) {{
        resolve(false);
    }}
}});
Promise.all({json.dumps(urls)}.map(answer)).then((got) => document.title = JSON.stringify(got));
</script>"""


def reading_page(urls: list[str]) -> str:
    """A page whose title is how the browser reads each URL by itself: protocol, host and port, or null."""
    return f"""<!doctype html><meta charset=utf-8><script>
document.title = JSON.stringify({json.dumps(urls)}.map((url) => {{
    try {{
        const read = new URL(url);
        return [read.protocol, read.hostname, read.port];
    }} catch (error) {{
        return null;
    }}
}}));
</script>"""
