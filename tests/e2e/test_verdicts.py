"""`meta.verdict` over HTTP: bad pages are told, ordinary ones are not; `retry_on_verdict` takes one more picture."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.site.server import Site
from tests.site.verdicts import BAD, LATE, ORDINARY, Page

from .server_process import ServerProcess

PAGES = {**BAD, **LATE, **ORDINARY}


def verdict(server: ServerProcess, site: Site, name: str, page: Page, **asked: Any) -> Any:
    return server.picture(url=f"{site.url}/verdict/{name}", **{**page.asked, **asked})[1]["verdict"]


@pytest.fixture(scope="module")
def metas(server: ServerProcess, site: Site) -> dict[str, Any]:
    """Of all the pages, by name; captured as jobs, which the server runs side by side."""
    requests = {name: {"url": f"{site.url}/verdict/{name}", **page.asked} for name, page in PAGES.items()}
    requests |= {
        f"{name}, retried": {**requests[name], "retry_on_verdict": True}
        for name in (*LATE, "nothing", "not-found", "article")
    }
    jobs = [{"request": request} for request in requests.values()]
    headers = {"X-API-Key": server.key}
    accepted = server.client.post("/v1/jobs/batch", json={"jobs": jobs}, headers=headers).json()["jobs"]
    found: dict[str, Any] = {}
    for name, job in zip(requests, accepted, strict=True):
        done = server.client.get(job["status_url"], params={"wait": 60}).json()
        assert done["status"] == "done", done
        found[name] = done["result"]["meta"]
    return found


def test_there_are_enough_of_them() -> None:
    assert len(BAD) >= 14
    assert len(ORDINARY) >= 20
    assert {kind for page in BAD.values() for kind in page.kinds} == {
        "blank", "http_error", "challenge", "login_wall", "consent_banner", "pending_images", "missing_glyphs",
    }  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_page(metas: dict[str, Any], name: str) -> None:
    found = metas[name]["verdict"]
    assert found != "ok"
    assert tuple(flaw["kind"] for flaw in found) == BAD[name].kinds
    assert BAD[name].evidence in found[0]["evidence"]
    assert "secret" not in json.dumps(found)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_page(metas: dict[str, Any], name: str) -> None:
    assert metas[name]["verdict"] == "ok"
    assert metas[name]["retry"] is None


def test_a_picture_of_one_colour_that_was_asked_for(server: ServerProcess, site: Site) -> None:
    for path in ("/verdicts/white.svg", "/colour/ffffff?w=1&h=1", "/colour/204060?w=1280&h=720"):
        assert server.picture(url=f"{site.url}{path}")[1]["verdict"] == "ok"


@pytest.mark.parametrize("format_", ["png", "webp", "avif"])
def test_blank_in_every_format(server: ServerProcess, site: Site, format_: str) -> None:
    (flaw,) = verdict(server, site, "one-colour", BAD["one-colour"], format=format_, viewport={"width": 390})
    assert flaw["kind"] == "blank"
    assert flaw["evidence"] == "every pixel is #204060" or format_ == "webp"  # which is a level off
    assert verdict(server, site, "dark-hero", ORDINARY["dark-hero"], format=format_) == "ok"


def test_a_pdf_is_never_blank_but_the_rest_is_told(server: ServerProcess, site: Site) -> None:
    for name, expected in (("nothing", "ok"), ("not-found", BAD["not-found"].kinds)):
        found = server.screenshot(url=f"{site.url}/verdict/{name}", format="pdf").json()["meta"]["verdict"]
        assert (found if expected == "ok" else tuple(flaw["kind"] for flaw in found)) == expected


def test_the_raw_form_has_it_in_a_header(server: ServerProcess, site: Site) -> None:
    for name, expected in (("article", '"ok"'), ("not-found", None)):
        query = {"url": f"{site.url}/verdict/{name}", "retry_on_verdict": "true"}
        answer = server.client.get("/v1/screenshot", params=query, headers={"X-API-Key": server.key})
        value = answer.headers["X-Calotype-Verdict"]
        if expected:
            assert value == "ok"
        else:
            assert json.loads(value) == [{"kind": "http_error", "evidence": "the page's status is 404"}]
        assert "X-Calotype-Retry" not in answer.headers


@pytest.mark.parametrize(
    ("name", "because"), [("late", "blank"), ("late-image", "pending_images"), ("challenge-that-passes", "challenge")]
)
def test_what_time_mends_is_taken_again(metas: dict[str, Any], name: str, because: str) -> None:
    assert [flaw["kind"] for flaw in metas[name]["verdict"]] == [because]
    assert metas[name]["retry"] is None
    retried = metas[f"{name}, retried"]
    assert retried["retry"] == {"because": [because], "kept": "second"}
    assert retried["verdict"] == "ok"


def test_a_second_picture_only_where_time_may_mend_it(metas: dict[str, Any]) -> None:
    retried = metas["nothing, retried"]
    assert retried["retry"]["because"] == ["blank"]
    assert [flaw["kind"] for flaw in retried["verdict"]] == ["blank"]
    assert [metas[f"{name}, retried"]["retry"] for name in ("not-found", "article")] == [None, None]


def test_two_pictures_cost_one_credit(server: ServerProcess, site: Site) -> None:
    usage = {"url": "/v1/usage", "headers": {"X-API-Key": server.key}}
    used = server.client.get(**usage).json()["credits"]["used"]
    asked = {"url": f"{site.url}/verdict/late-image", **LATE["late-image"].asked}
    _, meta = server.picture(retry_on_verdict=True, **asked)
    assert meta["retry"]["because"] == ["pending_images"]
    assert server.client.get(**usage).json()["credits"]["used"] == used + 1
