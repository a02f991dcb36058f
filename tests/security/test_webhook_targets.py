"""Webhooks can't probe the operator's network: what is not public is never connected to, whatever DNS says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from calotype.database import Database
from calotype.errors import BlockedTarget, CalotypeError, InvalidUrl
from calotype.guard.policy import EgressPolicy
from calotype.settings import GuardSettings, TargetRules
from calotype.webhooks.destination import check_destination
from tests.integration.webhooks.conftest import PUBLIC, Office
from tests.receiver import answer_with, running_receiver
from tests.unit.guard.fakes import FakeResolver

_NAMES = {
    "inside.example.com": ["10.0.0.1"],
    "metadata.example.com": ["169.254.169.254"],
    "six.example.com": ["fd00::1", "::ffff:127.0.0.1"],
    "nat64.example.com": ["64:ff9b::a9fe:a9fe"],
    "loop.example.com": ["127.0.0.1", "::1"],
}
_PRIVATE = [
    *(f"{name}" for name in _NAMES),
    *("127.0.0.1", "2130706433", "0x7f.1", "0.0.0.0", "169.254.169.254", "10.1.2.3", "192.168.1.1"),
    *("[::1]", "[::ffff:10.0.0.1]", "[fe80::1]", "localhost", "a.localhost", "metadata.google.internal", "redis"),
]


@pytest.fixture
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('data')}/calotype.db")
    await database.open()
    await database.migrate()
    yield Office(database, resolver=FakeResolver(_NAMES))
    await database.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", _PRIVATE)
async def test_webhook_private(office: Office, host: str, scheme: str) -> None:
    """Also where the URL came past the early check: each try decides for itself, and tells no address."""
    key_id = await office.key()
    with running_receiver() as canary:
        office.internet.ports = dict.fromkeys((80, 443), canary.port)
        [delivery_id] = await office.post(key_id, f"{scheme}://{host}/")
        async with office.courier():
            tried = await office.tried.get()
    assert (tried.outcome.error, tried.status) == ("blocked_target", "pending")
    assert office.internet.dialled == []
    assert canary.received == []
    [entry] = (await office.info(delivery_id)).tries
    assert json.dumps({**entry, "elapsed_ms": 0}) == json.dumps(
        {"at_us": office.now_us, "error": "blocked_target", "elapsed_ms": 0}
    )


async def test_webhook_redirect(office: Office) -> None:
    """No redirect is followed, to wherever."""
    key_id = await office.key()
    with running_receiver() as other:
        location = f"http://127.0.0.1:{other.port}/"
        answers = [answer_with(status, {"Location": location}) for status in (301, 302, 303, 307, 308)]
        with running_receiver(*answers) as receiver:
            ids = await office.post(key_id, *[f"http://{PUBLIC}:{receiver.port}/"] * 5)
            async with office.courier():
                seen = [await office.tried.get() for _ in ids]
    assert sorted(tried.outcome.status_code or 0 for tried in seen) == [301, 302, 303, 307, 308]
    assert {tried.status for tried in seen} == {"pending"}
    assert other.received == []


async def test_webhook_rebind(office: Office) -> None:
    """The name is public when it is first looked up, and private ever after."""
    office.resolver = FakeResolver({"rebind.example.com": [[PUBLIC], ["127.0.0.1"]]})
    key_id = await office.key()
    with running_receiver() as receiver:
        await office.post(key_id, f"http://rebind.example.com:{receiver.port}/")
        async with office.courier() as courier:
            assert (await office.tried.get()).status == "delivered"
            assert office.resolver.asked == ["rebind.example.com"]  # once, for the whole try
            assert office.internet.dialled == [(PUBLIC, receiver.port)]
            await office.post(key_id, f"http://rebind.example.com:{receiver.port}/")
            courier.ring()
            assert (await office.tried.get()).outcome.error == "blocked_target"
    assert len(office.internet.dialled) == len(receiver.received) == 1


async def test_of_a_mixed_answer_only_public_addresses_are_dialled(office: Office) -> None:
    office.resolver = FakeResolver({"mixed.example.com": ["10.0.0.1", PUBLIC, "::1"]})
    key_id = await office.key()
    with running_receiver() as receiver:
        await office.post(key_id, f"http://mixed.example.com:{receiver.port}/")
        async with office.courier():
            assert (await office.tried.get()).status == "delivered"
    assert office.internet.dialled == [(PUBLIC, receiver.port)]


async def test_a_name_without_address_is_told_apart_from_nothing_inside(office: Office) -> None:
    key_id = await office.key()
    await office.post(key_id, "https://nowhere.example.com/", "https://nowhere.internal/", "https://redis.internal/")
    async with office.courier():
        words = [(await office.tried.get()).outcome.error for _ in range(3)]
    assert sorted(map(str, words)) == ["blocked_target", "blocked_target", "unresolvable_host"]
    assert office.resolver.asked == ["nowhere.example.com"]


async def test_rules_are_those_of_the_messages_key(office: Office) -> None:
    trusted = await office.key(TargetRules(allow=("10.0.0.1",)))
    barred = await office.key(TargetRules(deny=("example.org",)))
    plain = await office.key()
    office.resolver = FakeResolver({**_NAMES, "example.org": [PUBLIC]})
    with running_receiver() as receiver:
        for key_id in (trusted, barred, plain):
            for host in ("inside.example.com", "example.org"):
                await office.post(key_id, f"http://{host}:{receiver.port}/")
        async with office.courier():
            seen = [await office.tried.get() for _ in range(6)]
    outcomes = {(tried.claimed.key_id, tried.claimed.host.partition(":")[0]): tried.status for tried in seen}
    assert {which for which, status in outcomes.items() if status == "delivered"} == {
        (trusted, "inside.example.com"),
        (trusted, "example.org"),
        (plain, "example.org"),
    }


def refusal(url: str, guard: GuardSettings | None = None, rules: TargetRules | None = None) -> CalotypeError:
    with pytest.raises((BlockedTarget, InvalidUrl)) as refused:
        check_destination(url, EgressPolicy(guard or GuardSettings()), rules or TargetRules())
    [detail] = refused.value.details
    assert detail["field"] == "webhook.url"
    assert detail["message"] == refused.value.message
    return refused.value


@pytest.mark.parametrize("url", [f"http://{host}/" for host in _PRIVATE if host not in _NAMES])
def test_what_can_never_be_called_is_refused_when_it_is_asked_for(url: str) -> None:
    assert isinstance(refusal(url), BlockedTarget)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "ws://example.com/", "example.com/hook"),
        *("http://user@example.com/", "https://user:secret@example.com/", "https://:secret@example.com/", "https://"),
        *("", "http://exa mple.com/", "http://example.com:99999/", f"https://example.com/{'a' * 2048}"),
        "https://example.com:22/",
    ],
)
def test_what_is_no_webhook_url_is_refused_when_it_is_asked_for(url: str) -> None:
    error = refusal(url)
    assert isinstance(error, InvalidUrl)
    assert "secret" not in error.message


def test_rules_and_ports_of_the_settings_hold_when_it_is_asked_for() -> None:
    refusal("https://example.com:8443/", GuardSettings(ports=(443,)))
    refusal("https://example.com/", rules=TargetRules(deny=("example.com",)))
    policy = EgressPolicy(GuardSettings())
    assert check_destination("http://10.0.0.1/", policy, TargetRules(allow=("10.0.0.0/8",))).port == 80
    assert check_destination("HTTPS://Éxample.com:8443/a b", policy, TargetRules()).host == "xn--xample-9ua.com"
