"""The attack page of `probes.js`, and the pages of its own that it needs: on a public host, aimed at any origin."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from .internet import Internet, Page, Request

SCRIPT = Path(__file__).with_name("probes.js").read_text("utf-8")
PAINTED = (0, 255, 0)
"""What the page is covered with once every probe has been tried."""


def names() -> tuple[set[str], set[str]]:
    """The names of the probes, and of those that only an https page can try."""
    first, second = SCRIPT.split("export const secureProbes")
    read = re.compile(r"^  (\w+): \(u\) =>", re.MULTILINE)
    return set(read.findall(first)), set(read.findall(second))


def put_attack_page(internet: Internet, host: str, *, target: str, scheme: str = "http") -> str:
    """Serve the page that tries every probe against the origin `target`; return its URL."""
    origin = f"{scheme}://{host}"
    page = f"""<!doctype html><title>not begun</title><body>
<script type=module>import {{ run }} from "/own/probes.js"; run({json.dumps(target)});</script>"""
    internet.serve(f"{origin}/own/probes.js", Page(SCRIPT, "text/javascript"))
    for kind in _OWN:
        internet.serve(f"{origin}/own/{kind}", _own_page)
    return internet.serve(f"{origin}/attack.html", Page(page))


def _own_page(request: Request) -> Page:
    parts = urlsplit(request.path)
    url = parse_qs(parts.query).get("url", [""])[0]
    return _OWN[parts.path.rpartition("/")[2]](url)


def _reported(url: str) -> str:
    return json.dumps({"group": "g", "max_age": 600, "endpoints": [{"url": url}], "include_subdomains": True})


def _with(name: str, value: str, *, body: str = "<p>x", status: int = 200) -> Page:
    return Page(body, status=status, headers=((name, value),))


def _rules(url: str) -> str:
    return json.dumps({"prefetch": [{"urls": [url], "eagerness": "immediate"}]})


_OWN = {
    "nothing": lambda url: Page("nothing"),
    "movie": lambda url: Page(b"\x1aE\xdf\xa3", "video/webm"),
    "link_header": lambda url: _with("Link", f"<{url}>; rel=preload; as=image, <{url}>; rel=preconnect"),
    "early_hints": lambda url: _with("Link", f"<{url}>; rel=preload; as=style"),
    "speculation_header": lambda url: _with("Speculation-Rules", f'"{url}"'),
    "refresh": lambda url: _with("Refresh", f"0;url={url}"),
    "location": lambda url: Page(f"<script>location = {json.dumps(url)}</script>"),
    "redirect": lambda url: _with("Location", url, status=302),
    "redirect_307": lambda url: _with("Location", url, status=307),
    "csp": lambda url: _with(
        "Content-Security-Policy", f"img-src 'none'; report-uri {url}", body="<img src=/own/nothing>"
    ),
    "csp_report_only": lambda url: _with(
        "Content-Security-Policy-Report-Only", f"img-src 'none'; report-uri {url}", body="<img src=/own/nothing>"
    ),
    "reporting": lambda url: Page(
        "<img src=/own/nothing>",
        headers=(
            ("Reporting-Endpoints", f'g="{url}"'),
            ("Content-Security-Policy", "img-src 'none'; report-to g"),
        ),
    ),
    "nel": lambda url: Page(
        "<img src=/own/redirect?url=http://nowhere.invalid/>",
        headers=(("Report-To", _reported(url)), ("NEL", '{"report_to":"g","max_age":600,"success_fraction":1.0}')),
    ),
    "service_worker": lambda url: Page(
        f"self.oninstall = event => event.waitUntil(fetch({json.dumps(url)}, {{mode: 'no-cors'}}))", "text/javascript"
    ),
    "service_worker_imports": lambda url: Page(f"importScripts({json.dumps(url)})", "text/javascript"),
}


def own_url(origin: str, kind: str, url: str) -> str:
    """A page of the attack page's host that leads to the URL in its way."""
    return f"{origin}/own/{kind}?url={quote(url, safe='')}"
