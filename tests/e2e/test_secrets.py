"""Passwords, header values and cookies: another port of a host is another origin, and nobody writes them down."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.site.server import Site, running_site

from .server_process import ServerProcess, running_server

SECRETS = {
    "headers": {"X-Secret": "header-s3cret"},
    "basic_auth": {"username": "user", "password": "pass word"},
    "cookies": [{"name": "c", "value": "cookie-s3cret", "path": "/private"}],
}
WORDS = ("header-s3cret", "pass word", "cGFzcyB3b3Jk", "dXNlcjpwYXNz", "cookie-s3cret")


@pytest.fixture(scope="module")
def other() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture(scope="module")
def allowed(site: Site, other: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that may visit both ports."""
    with running_server(
        tmp_path_factory.mktemp("data"), GUARD__ALLOW=json.dumps([site.netloc, other.netloc])
    ) as running:
        yield running


def ways_from(site: Site, to: str) -> dict[str, dict[str, str]]:
    """How a page of `site` may lead, or its parts ask, elsewhere."""
    there = to.removesuffix("/private")
    base = {"base_url": f"{site.url}/"}
    beacon = f"navigator.sendBeacon('/redirect?status=307&to={to}', 'x')"
    via = f"/redirect?to={to}"
    parts = f"""<img src="{to}"><img src="{via}&1"><iframe src="{to}"></iframe><iframe src="{via}&2"></iframe>
        <script>{beacon}; fetch("{to}?3", {{mode: "no-cors"}}); fetch("{via}&4", {{mode: "no-cors"}})</script>"""
    form = f'<form method=post action="/redirect?status=307&to={to}"></form><script>document.forms[0].submit()</script>'
    return {
        "301": {"url": f"{site.url}/redirect?status=301&to={to}"},
        "307": {"url": f"{site.url}/redirect?status=307&to={to}"},
        "and back": {"url": f"{site.url}/redirect?to={there}/redirect?to={site.url}/redirect%3Fto={to}"},
        "refresh": {"html": f'<meta http-equiv="refresh" content="0; url={to}">', **base},
        "script": {"html": f"<script>location = '{to}'</script>", **base},
        "form": {"html": form, **base},
        "parts": {"html": parts, **base},
    }


def test_another_port_gets_no_password_and_no_header(allowed: ServerProcess, site: Site, other: Site) -> None:
    site.requests.clear()
    for way, fields in ways_from(site, f"{other.url}/private").items():
        other.requests.clear()
        secrets = {name: value for name, value in SECRETS.items() if name != "cookies"}
        allowed.picture(**fields, **secrets)
        assert len(other.requests) >= (6 if way == "parts" else 1), way
        for request in other.requests:
            assert not {"x-secret", "authorization"} & set(request.headers), way
            assert not [word for word in WORDS if word in str(request)], way
    assert {request.headers.get("x-secret") for request in site.requests} == {"header-s3cret"}


def test_secrets_are_in_no_log_error_or_warning(allowed: ServerProcess, site: Site) -> None:
    url = f"{site.url}/private"
    answers = [
        allowed.screenshot(url=url, **SECRETS),
        allowed.screenshot(url=url, metadata=["headers", "network", "console"], fail_on_status=["2xx"], **SECRETS),
        allowed.screenshot(url=url, viewport={"width": 1}, colour="red", **SECRETS),
        allowed.screenshot(url=f"{site.url}/status/404", block={"resources": ["image"]}, **SECRETS),
        allowed.screenshot(url="http://unresolvable.invalid/", **SECRETS),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 400, 200, 400]
    assert site.seen("/private")[-1].headers["cookie"] == "c=cookie-s3cret"
    told = "".join([*(answer.text for answer in answers), *allowed.output])
    assert "/v1/screenshot" in told
    assert [word for word in WORDS if word in told] == []
