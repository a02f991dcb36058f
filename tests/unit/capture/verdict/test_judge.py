"""From evidence to flaws: what tells, and what nearly does."""

from __future__ import annotations

from typing import Any

import pytest

from calotype.capture.result import CaptureMeta
from calotype.capture.verdict import Colours, Evidence, PageEvidence, flaws_of, verdict_of
from calotype.capture.verdict.evidence import Challenge, Consent, Glyphs, Login, Pending

ASKED = "https://shop.example/report"
WHITE = Colours("#ffffff", 0.0, 0)
SPECK = Colours("#ffffff", 0.002, 200)


def told(page: PageEvidence | None = None, **more: Any) -> list[tuple[str, str]]:
    return [(flaw.kind, flaw.evidence) for flaw in flaws_of(Evidence(page or PageEvidence(), **more))]


def kinds(page: PageEvidence | None = None, **more: Any) -> list[str]:
    return [kind for kind, _ in told(page, **more)]


def test_a_page_that_told_nothing_is_ok() -> None:
    assert flaws_of(Evidence()) == []
    assert verdict_of([]) == "ok"


def test_blank() -> None:
    nothing = PageEvidence(has_objects=False)
    assert told(nothing, colours=WHITE) == [("blank", "every pixel is #ffffff")]
    assert told(nothing, colours=SPECK) == [("blank", "all but 0.2 % of the picture is #ffffff, and there is no text")]
    assert kinds(PageEvidence(text=500, has_objects=True), colours=WHITE) == ["blank"]  # none of it is to be seen


@pytest.mark.parametrize(
    ("page", "colours"),
    [
        (PageEvidence(has_objects=False), None),
        (PageEvidence(has_objects=False), Colours("#ffffff", 0.01, 200)),
        (PageEvidence(has_objects=False, text=2), SPECK),
        (PageEvidence(has_objects=True), SPECK),
        (PageEvidence(is_image=True), WHITE),
        (PageEvidence(has_picture=True), WHITE),
    ],
    ids=["not in doubt", "something", "text", "objects", "an image", "a picture in the page"],
)
def test_not_blank(page: PageEvidence, colours: Colours | None) -> None:
    assert kinds(page, colours=colours) == []


def test_http_error() -> None:
    assert [kinds(status_code=status) for status in (None, 200, 304, 399)] == [[]] * 4
    assert told(status_code=503) == [("http_error", "the page's status is 503")]


def sign(kind: Any, what: str = "div.x") -> Challenge:
    return Challenge(kind=kind, name="Wall", what=what)


@pytest.mark.parametrize(
    ("kind", "status", "chars", "fields", "is_wall"),
    [
        ("wall", 200, 100, 0, True),
        ("wall", 200, 5000, 0, False),
        ("widget", 200, 100, 0, True),
        ("widget", 200, 500, 0, False),
        ("widget", 403, 500, 0, True),
        ("widget", 403, 5000, 0, False),
        ("widget", 200, 100, 3, False),
        ("trace", 200, 10, 0, False),
        ("trace", 404, 10, 0, False),
        ("trace", 403, 10, 0, True),
    ],
)
def test_challenge(kind: str, status: int, chars: int, fields: int, is_wall: bool) -> None:
    page = PageEvidence(challenges=[sign(kind)], all_text=chars, fields=fields)
    assert ("challenge" in kinds(page, status_code=status)) is is_wall


@pytest.mark.parametrize(
    ("header", "value", "is_wall"),
    [
        ("cf-mitigated", "challenge", True),
        ("cf-mitigated", "block", False),
        ("x-vercel-mitigated", "challenge", True),
        ("x-amzn-waf-action", "captcha", True),
        ("server", "cloudflare", False),
    ],
)
def test_challenge_by_header(header: str, value: str, is_wall: bool) -> None:
    assert ("challenge" in kinds(headers={header: value})) is is_wall


def form(*, password: bool = True, identifier: bool = True, is_modal: bool = False) -> PageEvidence:
    return PageEvidence(
        all_text=200, login=Login(password=password, identifier=identifier, is_modal=is_modal, field="input#pass")
    )


@pytest.mark.parametrize(
    ("asked", "final", "is_wall"),
    [
        (ASKED, "https://shop.example/login?next=/report&token=s3cret", True),
        (ASKED, "https://login.example/realms/main", True),
        (ASKED, "https://accounts.example/v3/signin/identifier", True),
        (ASKED, "https://shop.example/users/sign_in", True),
        (ASKED, ASKED, False),
        (ASKED, "https://shop.example/report?session=1", False),
        (ASKED, "https://shop.example/author/7", False),
        (ASKED, "https://shop.example/blog/authentic-food", False),
        (ASKED, "https://shop.example/account/security", False),
        ("https://shop.example/login", "https://shop.example/en/login", False),
        ("https://auth.example/", "https://auth.example/login", False),
        (None, "https://shop.example/login", False),
    ],
)
def test_login_wall(asked: str | None, final: str, is_wall: bool) -> None:
    found = told(form(), asked_url=asked, final_url=final)
    assert bool(found) is is_wall
    if is_wall:
        assert found[0][0] == "login_wall"
        assert "s3cret" not in found[0][1]


def test_login_wall_without_a_redirect() -> None:
    assert kinds(form(), asked_url=ASKED, final_url=ASKED) == []
    assert kinds(form(is_modal=True), asked_url=ASKED, final_url=ASKED) == ["login_wall"]
    assert kinds(asked_url=ASKED, final_url="https://shop.example/login") == []  # no form to be seen
    assert kinds(status_code=401) == ["http_error", "login_wall"]


def test_the_rest_names_what_it_saw() -> None:
    page = PageEvidence(
        consent=Consent(selector="div#bar", share=0.214),
        pending=Pending(count=2, url="https://cdn.example/a.jpg?key=s3cret"),
        glyphs=Glyphs(missing=[0xE001, 0x1F9FF, 0x4E00, 0x4E01], present=[0x2713]),
    )
    assert told(page) == [
        ("consent_banner", "div#bar covers 21 % of the viewport"),
        ("pending_images", "2 images are not loaded, the first https://cdn.example/a.jpg?…"),
        ("missing_glyphs", "no font has U+E001, U+1F9FF, U+4E00 and 1 more"),
    ]
    data_url = PageEvidence(pending=Pending(count=1, url="data:image/png;base64,AAAA"))
    assert told(data_url) == [("pending_images", "1 image is not loaded")]


def test_meta_takes_both_forms() -> None:
    facts: dict[str, Any] = {"request_id": "1", "elapsed_ms": 1, "url": None, "final_url": None, "status_code": 404}
    verdict = verdict_of(flaws_of(Evidence(status_code=404)))
    meta = CaptureMeta(**facts, title="", width=1, height=1, bytes=1, verdict=verdict)
    assert CaptureMeta.model_validate_json(meta.model_dump_json()) == meta
    assert meta.model_dump()["verdict"] == [{"kind": "http_error", "evidence": "the page's status is 404"}]
