"""Hints: what a browser may do before, or without, any request. None of them goes anywhere but to the proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.server_process import ServerProcess

from .internet import Page, Request
from .laboratory import Laboratory


def _rules(kind: str, url: str) -> str:
    return f"<script type=speculationrules>{json.dumps({kind: [{'urls': [url], 'eagerness': 'immediate'}]})}</script>"


HINTS: dict[str, Callable[[str, str], Page]] = {
    "dns_prefetch": lambda host, inner: Page(f'<link rel=dns-prefetch href="//{host}">'),
    "dns_prefetch_header": lambda host, inner: Page("", headers=(("Link", f"<//{host}>; rel=dns-prefetch"),)),
    "preconnect": lambda host, inner: Page(
        f'<link rel=preconnect href="{inner}"><link rel=preconnect href="//{host}">'
    ),
    "preconnect_header": lambda host, inner: Page(
        headers=(("Link", f"<{inner}>; rel=preconnect, <//{host}>; rel=preconnect"),)
    ),
    "link_header": lambda host, inner: Page("", headers=(("Link", f"<{inner}/hinted>; rel=preload; as=image"),)),
    "speculation_rules_prefetch": lambda host, inner: Page(_rules("prefetch", f"{inner}/hinted")),
    "speculation_rules_prerender": lambda host, inner: Page(_rules("prerender", "/hinted")),
}
_FOLLOWED = ("link_header", "speculation_rules_prefetch", "speculation_rules_prerender")
"""What headless shell does by itself; the others it ignores, full Chromium does not."""
_NEEDS_TLS = ("speculation_rules_prefetch", "speculation_rules_prerender")


def hinting_page(lab: Laboratory, kind: str, host: str, hinted: str, inner: str) -> str:
    """A page with the hint, about a name and an origin, that says when it has had time to be followed."""
    scheme = "https" if kind in _NEEDS_TLS else "http"
    hint = HINTS[kind](hinted, inner.replace("http:", f"{scheme}:"))
    body = f"""<!doctype html><title>not begun</title>{hint.body!s}
<script type=module>
await new Promise((resolve) => setTimeout(resolve, 1000));
document.title = "done";
</script>"""
    lab.internet.serve(f"{scheme}://{host}/hinted", _leading_inside)
    return lab.internet.serve(f"{scheme}://{host}/", Page(body, headers=hint.headers))


def _leading_inside(request: Request) -> Page:
    return Page("<img src=//10.66.0.1/hinted>")


@pytest.mark.parametrize("kind", _FOLLOWED)
def test_without_the_guard_the_hint_is_followed(lab: Laboratory, tmp_path: Path, kind: str) -> None:
    name = kind.replace("_", "-")
    url = hinting_page(lab, kind, f"bare-{name}.example", f"bare-{name}.hinted.example", "http://10.66.0.1")
    with lab.bare_browser(tmp_path, url, "--ignore-certificate-errors"):
        assert lab.internet.wait_until(lambda: any(visit.address == "10.66.0.1" for visit in lab.internet.visits()))


@pytest.mark.parametrize("inner", ["http://10.66.0.1", "http://127.0.0.1"])
@pytest.mark.parametrize("kind", HINTS)
def test_hint(lab: Laboratory, trusting_server: ServerProcess, kind: str, inner: str) -> None:
    """What the proxy is asked for is judged like all else; what leaves beside it the laboratory's rules would find."""
    name = kind.replace("_", "-")
    url = hinting_page(lab, kind, f"{name}.example", f"{name}.hinted.example", inner)
    _, meta = trusting_server.picture(
        url=url, render={"wait_until": "load", "wait_for_function": "document.title === 'done'"}
    )
    assert meta["title"] == "done"
