"""One page that tries every way out that we know, and the same page in a browser without the guard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.server_process import ServerProcess
from tests.site.pictures import pixel

from .laboratory import Laboratory
from .probes import PAINTED, names, put_attack_page

HTTP, SECURE = names()

UNCERTAIN = {
    "window_open_location",  # no window to send anywhere: pop-ups are blocked
    # Later than the page lives: reports and icons are fetched when the browser finds time.
    *("reporting_endpoint", "nel", "link_icon", "link_apple_icon", "link_manifest", "link_search", "media_session"),
    # Datagrams and bare connections, which have tests of their own.
    *("web_transport", "link_preconnect", "link_dns_prefetch"),
    # Refused by Chromium itself, or not in every version of it.
    *("applet", "attribution_src", "css_filter", "fencedframe", "fetch_later", "frame_filesystem", "frame_view_source"),
    *(
        "link_prerender",
        "payment",
        "protocol_handler",
        "shared_storage",
        "shared_worker_redirect",
        "speculation_header",
    ),
    *("svg_file_image", "svg_use", "worker_redirect", "xslt", "speculation_prefetch", "speculation_prerender"),
    *("federated_login", "webbundle", "topics_img", "link_dictionary", "paint_worklet"),
}
"""Probes that need not reach their target even where nothing is in their way."""

TARGETS = {
    "network": ("http", "http://10.66.0.1"),
    "loopback": ("http", "http://127.0.0.1"),
    "loopback_v6": ("http", "http://[::1]:8080"),
    "own_address": ("http", "http://51.15.20.30"),
    "name": ("http", "http://inner.example"),
    "network_unjailed": ("http", "http://10.66.0.1"),
    "loopback_unjailed": ("http", "http://127.0.0.1"),
    "network_tls": ("https", "https://10.66.0.1"),
    "loopback_tls": ("https", "https://127.0.0.1"),
    "name_tls": ("https", "https://inner.example"),
}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_probes_do_reach_their_target_where_there_is_no_guard(lab: Laboratory, tmp_path: Path, scheme: str) -> None:
    url = put_attack_page(lab.internet, f"bare-{scheme}.example", target=f"{scheme}://10.66.0.1", scheme=scheme)
    wanted = (HTTP | (SECURE if scheme == "https" else set())) - UNCERTAIN

    def reached() -> set[str]:
        visits = [visit for visit in lab.internet.visits() if visit.address == "10.66.0.1"]
        paths = [request.path.partition("?")[0] for visit in visits for request in visit.requests]
        return {path.split("/")[2] for path in paths if path.startswith("/probe/")}

    with lab.bare_browser(tmp_path, url, "--ignore-certificate-errors"):
        lab.internet.wait_until(lambda: wanted <= reached(), timeout_s=30)
        assert wanted - reached() == set()
    assert len(wanted) >= 80


@pytest.mark.parametrize("kind", TARGETS)
def test_sub_all(lab: Laboratory, request: pytest.FixtureRequest, kind: str) -> None:
    scheme, target = TARGETS[kind]
    lab.dns.name("inner.example", "10.66.0.2", "fd00:66::2")
    url = put_attack_page(lab.internet, f"{kind.replace('_', '-')}.example", target=target, scheme=scheme)
    name = "unjailed_server" if kind.endswith("unjailed") else "trusting_server" if scheme == "https" else "lab_server"
    server: ServerProcess = request.getfixturevalue(name)
    # Not "settled": some of the probes are never answered, and the page itself says when it is done.
    render = {"wait_until": "load", "wait_for_function": "document.title.includes('tried')"}
    image, meta = server.picture(url=url, format="png", render=render)
    assert {pixel(image, x, y) for x, y in ((1, 1), (640, 360), (1278, 718))} == {PAINTED}
    title = json.loads(meta["title"])
    assert title["tried"] == len(HTTP) + (len(SECURE) if scheme == "https" else 0)
    assert set(title["failed"]) <= UNCERTAIN
    assert meta["partial"] is False
    host = target.partition("//")[2].removesuffix(":8080")
    assert host in {warning.get("host") for warning in meta["warnings"]}
