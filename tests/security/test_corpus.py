"""Every row of the corpus, as the API's URL and as a request to the proxy: the stated verdict, no false refusal.

Names are answered as the internet would: those that lead inside (category `dns-to-private`) to where they lead, inner
names to inner addresses, all others to a public address.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ada_url
import pytest

from calotype.errors import BlockedTarget, InvalidUrl
from calotype.guard.address import parse_address
from calotype.guard.hostname import DEFAULT_PORTS
from calotype.guard.pins import Pins
from calotype.guard.policy import EgressPolicy
from calotype.settings import GuardSettings
from tests.unit.guard.fakes import FakeResolver

ROWS = [json.loads(line) for line in Path(__file__).with_name("ssrf_corpus.jsonl").read_text("utf-8").splitlines()]
INSIDE = {"loopback": "127.0.0.1", "link-local": "169.254.169.254"}
INNER_NAMES = {"localhost-name": "127.0.0.1", "metadata-internal": "169.254.169.254"}


class CorpusResolver(FakeResolver):
    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__()
        self._address = "93.184.216.34"
        if row["category"] == "dns-to-private":
            self._address = INSIDE[row["why"]]
        elif row["expect"] == "block":
            self._address = INNER_NAMES.get(row["category"], "10.0.0.1")

    async def resolve(self, name: str):  # type: ignore[no-untyped-def]
        return [parse_address(self._address)]


def policy_for(row: dict[str, Any]) -> EgressPolicy:
    return EgressPolicy(GuardSettings(), resolver=CorpusResolver(row))


def is_refused_early(policy: EgressPolicy, url: str) -> bool:
    try:
        policy.precheck(url)
    except (BlockedTarget, InvalidUrl):
        return True
    return False


async def is_refused_at_the_proxy(policy: EgressPolicy, url: str) -> bool:
    """As a browser asks for it; what is not http, https or a WebSocket never gets to a proxy."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return True
    if parsed.protocol not in DEFAULT_PORTS:
        return True
    port = int(parsed.port or DEFAULT_PORTS[parsed.protocol])
    return not (await policy.decide(str(parsed.hostname), port, Pins())).allowed


@pytest.mark.parametrize("row", ROWS, ids=[row["url"] for row in ROWS])
async def test_a_row_gets_its_verdict(row: dict[str, Any]) -> None:
    policy = policy_for(row)
    is_blocked = row["expect"] == "block"
    assert await is_refused_at_the_proxy(policy, row["url"]) is is_blocked
    if row["category"] == "dns-to-private":
        assert not is_refused_early(policy, row["url"])  # only DNS tells
    else:
        assert is_refused_early(policy, row["url"]) is is_blocked


def test_the_corpus_is_whole() -> None:
    assert len(ROWS) >= 140
    assert {row["expect"] for row in ROWS} == {"allow", "block"}
