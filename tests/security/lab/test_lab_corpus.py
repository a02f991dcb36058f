"""Every row of the corpus in every position: what must be blocked is neither got nor dialled, all the rest is got."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.e2e.server_process import ServerProcess
from tests.security.test_corpus import is_refused_at_the_proxy, policy_for

from .corpus import BLOCKED, OURS, POSITIONS, ROWS, Row, address, asking_page, parsed, reading_page
from .internet import Page
from .laboratory import Laboratory

_PRIVATE_NAMES = {
    "metadata.tencentyun.com": "169.254.0.23",
    "api.metadata.cloud.ibm.com": "169.254.169.254",
    "kubernetes.default.svc": "10.96.0.1",
}
_ASKING = {"wait_until": "load", "wait_for_function": "document.title.startsWith('[')"}
_PAGES, _PER_PAGE = 4, 80
_HEADER_SAFE = "%/:@?#[]\\\t=&;,+!$'()*~. "
_LEADING = "http://leading.example/"


@pytest.fixture(autouse=True)
def _names(lab: Laboratory) -> None:
    for name, inner in _PRIVATE_NAMES.items():
        lab.dns.name(name, inner)


def got(
    lab: Laboratory, server: ServerProcess, urls: list[str], position: str, host: str
) -> tuple[list[object], set[str]]:
    """What pages of this host got of the URLs, and the hosts that were refused to them.

    A few pages: one has no more than 255 sockets, and slow ones at that.
    """

    def asked(page_urls: list[str]) -> tuple[list[object], set[str]]:
        url = lab.internet.serve(f"http://{host}/{urls.index(page_urls[0])}", Page(asking_page(page_urls, position)))
        _, meta = server.picture(url=url, render=_ASKING)
        assert meta["partial"] is False, meta
        return json.loads(meta["title"]), {warning["host"] for warning in meta["warnings"]}

    with ThreadPoolExecutor(_PAGES) as clients:
        pages = list(clients.map(asked, [urls[start : start + _PER_PAGE] for start in range(0, len(urls), _PER_PAGE)]))
    answers = [answer for page_answers, _ in pages for answer in page_answers]
    assert len(answers) == len(urls)
    return answers, set().union(*(refused for _, refused in pages))


def assert_verdicts(rows: list[Row], answers: list[object]) -> None:
    # Of a password in the URL browsers and the API think what they like.
    pairs = [(row, answer) for row, answer in zip(rows, answers, strict=True) if row["category"] != "userinfo"]
    leaked = [row["url"] for row, answer in pairs if row["expect"] == "block" and answer]
    refused = [row["url"] for row, answer in pairs if row["expect"] == "allow" and answer is not True]
    assert (leaked, refused) == ([], [])


def wrong_ones(rows: list[Row], verdicts: dict[str, str], refusals: tuple[str, ...]) -> dict[str, str]:
    """The verdicts that are not as stated, by URL."""
    return {
        row["url"]: verdicts[row["url"]]
        for row in rows
        if row["category"] != "userinfo"
        and verdicts[row["url"]] not in (("allow",) if row["expect"] == "allow" else refusals)
    }


def leading_to(row: Row) -> Page | None:
    """A redirect to the row's URL; None if in a `Location` the URL can't be spelled, or is relative."""
    location = quote(row["url"], safe=_HEADER_SAFE)
    there = parsed(location, _LEADING)
    if there is not None and there.hostname == "leading.example":
        return None
    return Page(status=302, headers=(("Location", location), ("Access-Control-Allow-Origin", "*")))


def test_chromium_reads_the_urls_as_the_guard_does(lab_server: ServerProcess) -> None:
    _, meta = lab_server.picture(html=reading_page([row["url"] for row in ROWS]))
    wrong = {}
    for row, found in zip(ROWS, json.loads(meta["title"]), strict=True):
        guards = parsed(row["url"])
        # What the guard can't read it refuses, so only what it reads otherwise would be a hole.
        expected = found if guards is None else [guards.protocol, guards.hostname, guards.port]
        if found != expected and expected[0] in ("http:", "https:"):
            wrong[row["url"]] = (found, expected)
    assert wrong == {}


def test_corpus_precheck(lab: Laboratory, trusting_server: ServerProcess) -> None:
    def asked(row: Row) -> tuple[str, str]:
        answer = trusting_server.screenshot(url=row["url"])
        assert answer.status_code in (200, 400), (row["url"], answer.text)
        verdict = "allow" if answer.status_code == 200 else answer.json()["error"]["code"]
        if verdict == "blocked_target":
            assert not any(part in answer.json()["error"]["message"] for part in ("127.", "10.", "169.", ":", "fd00"))
        return row["url"], verdict

    with ThreadPoolExecutor(4) as clients:
        verdicts = dict(clients.map(asked, ROWS))
    refusals = ("blocked_target", "invalid_url", "invalid_request")
    assert wrong_ones(ROWS, verdicts, refusals) == {}


@pytest.mark.parametrize("row", OURS, ids=[row["url"] for row in OURS])
async def test_a_row_of_ours_gets_its_verdict_from_the_policy(row: Row) -> None:
    policy = policy_for({"why": "loopback", **row})
    assert await is_refused_at_the_proxy(policy, row["url"]) is (row["expect"] == "block")


@pytest.mark.parametrize("position", POSITIONS)
def test_corpus_proxy(lab: Laboratory, trusting_server: ServerProcess, position: str) -> None:
    urls = [row["url"] for row in ROWS]
    answers, refused = got(lab, trusting_server, urls, position, f"{position}.asking.example")
    assert_verdicts(ROWS, answers)
    # The proxy was asked, and refused: nothing failed for another reason.
    read = [parsed(row["url"]) for row in BLOCKED if row["category"] != "unsafe-port"]
    hosts = {str(url.hostname) for url in read if url and url.protocol in ("http:", "https:")}
    assert hosts - refused == set()


@pytest.mark.parametrize("position", ["image", "fetch"])
def test_corpus_proxy_as_redirects(lab: Laboratory, trusting_server: ServerProcess, position: str) -> None:
    rows = [row for row in ROWS if leading_to(row)]
    urls = [
        lab.internet.serve(f"{_LEADING}{position}/{number}", leading_to(row) or Page())
        for number, row in enumerate(rows)
    ]
    answers, _ = got(lab, trusting_server, urls, position, f"{position}.redirecting.example")
    assert_verdicts(rows, answers)


def test_corpus_as_redirect_of_the_page(lab: Laboratory, trusting_server: ServerProcess) -> None:
    def asked(numbered: tuple[int, Row]) -> tuple[str, str]:
        number, row = numbered
        url = lab.internet.serve(f"{_LEADING}page/{number}", leading_to(row) or Page())
        answer = trusting_server.screenshot(url=url)
        return row["url"], "allow" if answer.status_code == 200 else answer.json()["error"]["code"]

    # How it is spelled is the other tests' concern: each host and port once.
    distinct = {(url.host if (url := parsed(row["url"])) else row["url"]): row for row in ROWS if leading_to(row)}
    rows = list(distinct.values())
    assert len(rows) > 150
    with ThreadPoolExecutor(4) as clients:
        verdicts = dict(clients.map(asked, enumerate(rows)))
    assert wrong_ones(rows, verdicts, ("blocked_target", "invalid_url", "target_unreachable")) == {}


@pytest.mark.parametrize("position", POSITIONS)
def test_corpus_as_dns_answers(lab: Laboratory, lab_server: ServerProcess, position: str) -> None:
    # Each address once: that a scheme or a port is refused says nothing about the address.
    verdict = {
        address(row): row["expect"] for row in ROWS if row["category"] not in ("scheme-or-invalid", "unsafe-port")
    }
    verdict.pop(None)
    rows = [
        {"url": f"{position}-{number}.answered.example", "expect": expect, "category": ""}
        for number, expect in enumerate(verdict.values())
    ]
    for row, answer in zip(rows, verdict, strict=True):
        lab.dns.name(row["url"], str(answer))
    answers, _ = got(lab, lab_server, [f"http://{row['url']}/" for row in rows], position, f"{position}.dns.example")
    assert_verdicts(rows, answers)
