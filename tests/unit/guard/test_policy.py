"""Decisions: one lookup per capture, every answer judged, the allow list above all but our own proxy."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from calotype.errors import BlockedTarget, CalotypeError, InvalidUrl, UnresolvableHost
from calotype.guard.pins import Pins
from calotype.guard.policy import NO_RULES, Decision, EgressPolicy, is_own_address
from calotype.settings import GuardSettings, TargetRules

from .fakes import FakeResolver


async def decide(
    host: str,
    port: int = 443,
    *,
    answer: list[str] | None = None,
    rules: TargetRules = NO_RULES,
    **settings: Any,
) -> Decision:
    resolver = FakeResolver({host.lower(): answer} if answer is not None else {})
    policy = EgressPolicy(GuardSettings(**settings), resolver=resolver)
    return await policy.decide(host, port, Pins(), rules)


@pytest.mark.parametrize(
    ("host", "answer", "reason"),
    [
        ("example.com", ["93.184.216.34"], "public"),
        ("example.com", ["64:ff9b::808:808"], "public"),
        ("1.1.1.1", None, "public"),
        ("[2606:4700::1111]", None, "public"),
    ],
)
async def test_allowed(host: str, answer: list[str] | None, reason: str) -> None:
    decision = await decide(host, answer=answer)
    assert (decision.allowed, decision.reason) == (True, reason)
    assert decision.addresses


@pytest.mark.parametrize(
    ("host", "answer", "reason"),
    [
        ("evil.example", ["127.0.0.1"], "loopback"),
        ("evil.example", ["::ffff:10.0.0.1"], "private"),
        ("evil.example", ["64:ff9b::a9fe:a9fe"], "link_local"),
        ("evil.example", ["fe80::1%lo"], "scoped"),
        ("evil.example", [], "unresolvable"),
        ("0x7f.1", None, "loopback"),
        ("[::1]", None, "loopback"),
        ("localhost", ["1.1.1.1"], "loopback"),
        ("a.localhost", ["1.1.1.1"], "loopback"),
        ("redis", ["1.1.1.1"], "internal_name"),
        ("metadata.google.internal", ["1.1.1.1"], "internal_name"),
        ("a b", None, "malformed_host"),
    ],
)
async def test_refused(host: str, answer: list[str] | None, reason: str) -> None:
    decision = await decide(host, answer=answer)
    assert (decision.allowed, decision.reason, decision.addresses) == (False, reason, ())


async def test_a_mapped_address_is_dialled_as_ipv4() -> None:
    assert (await decide("[::ffff:8.8.8.8]")).addresses == (ip_address("8.8.8.8"),)


async def test_of_a_mixed_answer_only_the_public_addresses_are_dialled() -> None:
    decision = await decide("mixed.example", answer=["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"])
    assert decision.addresses == (ip_address("1.1.1.1"), ip_address("2606:4700::1111"))
    assert decision.refused == (ip_address("10.0.0.1"), ip_address("::1"))


async def test_a_name_is_looked_up_once_whatever_dns_says_later() -> None:
    resolver = FakeResolver({"rebind.example": [["1.1.1.1"], ["127.0.0.1"]]})
    policy = EgressPolicy(GuardSettings(), resolver=resolver)
    pins = Pins()
    decisions = [await policy.decide("rebind.example", port, pins) for port in (80, 443, 8080, 80)]
    assert {decision.addresses for decision in decisions} == {(ip_address("1.1.1.1"),)}
    assert resolver.asked == ["rebind.example"]
    assert (await policy.decide("rebind.example", 80, Pins())).reason == "loopback"  # the next capture


async def test_requests_at_the_same_moment_share_the_lookup() -> None:
    resolver = FakeResolver({"a.example": ["1.1.1.1"]})
    policy = EgressPolicy(GuardSettings(), resolver=resolver)
    pins = Pins()
    await asyncio.gather(*(policy.decide("a.example", 443, pins) for _ in range(5)))
    assert resolver.asked == ["a.example"]


async def test_a_page_can_not_make_up_names_without_end() -> None:
    policy = EgressPolicy(GuardSettings(), resolver=FakeResolver())
    pins = Pins(max_names=2)
    reasons = [(await policy.decide(f"{number}.example", 443, pins)).reason for number in range(3)]
    assert reasons == ["unresolvable", "unresolvable", "too_many_names"]


async def test_a_waiter_that_goes_away_leaves_the_answer_to_the_others() -> None:
    gate = asyncio.Event()

    class Slow(FakeResolver):
        async def resolve(self, name):  # type: ignore[no-untyped-def]
            await gate.wait()
            return await super().resolve(name)

    policy = EgressPolicy(GuardSettings(), resolver=Slow({"a.example": ["1.1.1.1"]}))
    pins = Pins()
    first, second = (asyncio.create_task(policy.decide("a.example", 443, pins)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert (await second).allowed
    assert first.cancelled()


async def test_closing_the_pins_ends_a_lookup() -> None:
    class Stuck(FakeResolver):
        async def resolve(self, name):  # type: ignore[no-untyped-def]
            await asyncio.Event().wait()

    pins = Pins()
    waiting = asyncio.create_task(pins.lookup("a.example", Stuck()))
    await asyncio.sleep(0)
    await pins.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("host", "port", "answer", "allow"),
    [
        ("127.0.0.1", 9000, None, ("127.0.0.1:9000",)),
        ("localhost", 9000, None, ("127.0.0.1:9000",)),
        ("a.localhost", 9000, None, ("localhost", "*.localhost")),
        ("10.1.2.3", 80, None, ("10.1.0.0/16",)),
        ("wiki.example.com", 80, ["10.1.2.3"], ("wiki.example.com",)),
        ("wiki.example.com", 80, ["10.1.2.3"], ("10.1.0.0/16",)),
        ("redis", 6379, ["10.1.2.3"], ("redis:6379",)),
        ("redis", 6379, ["10.1.2.3"], ("10.1.0.0/16",)),
        ("mail.example.com", 25, ["1.1.1.1"], ("mail.example.com:25",)),
    ],
)
async def test_the_allow_list_wins(host: str, port: int, answer: list[str] | None, allow: tuple[str, ...]) -> None:
    for settings in ({"allow": allow}, {"rules": TargetRules(allow=allow)}):
        decision = await decide(host, port, answer=answer, **settings)
        assert (decision.allowed, decision.reason) == (True, "allow_list")


@pytest.mark.parametrize(
    ("host", "port", "answer", "allow", "reason"),
    [
        ("localhost", 9001, None, ("127.0.0.1:9000",), "loopback"),
        ("other.example.com", 80, ["10.1.2.3"], ("wiki.example.com",), "private"),
        ("redis", 6379, ["8.8.8.8"], ("10.1.0.0/16",), "internal_name"),
        ("redis", 6379, [], ("10.1.0.0/16",), "internal_name"),
        ("example.com", 25, ["1.1.1.1"], (), "unsafe_port"),
    ],
)
async def test_the_allow_list_covers_no_more_than_it_says(
    host: str, port: int, answer: list[str] | None, allow: tuple[str, ...], reason: str
) -> None:
    decision = await decide(host, port, answer=answer, allow=allow)
    assert (decision.allowed, decision.reason) == (False, reason)


async def test_an_inner_name_is_not_even_looked_up() -> None:
    resolver = FakeResolver({"redis": ["10.0.0.1"]})
    policy = EgressPolicy(GuardSettings(allow=("127.0.0.1:9000",)), resolver=resolver)
    assert not (await policy.decide("redis", 6379, Pins())).allowed
    assert resolver.asked == []


async def test_our_own_endpoints_are_refused_whatever_is_allowed() -> None:
    policy = EgressPolicy(GuardSettings(allow=("127.0.0.0/8", "proxy.example")), resolver=FakeResolver())
    policy.keep_from(lambda address, port: str(address).startswith("127.9."))
    assert (await policy.decide("127.9.0.1", 80, Pins())).reason == "own_proxy"
    assert (await policy.decide("[::ffff:127.9.0.1]", 80, Pins())).reason == "own_proxy"
    assert (await policy.decide("127.8.0.1", 80, Pins())).reason == "allow_list"


def test_an_address_of_this_machine_is_its_own() -> None:
    assert is_own_address(ip_address("127.0.0.1"))
    assert not is_own_address(ip_address("192.0.2.1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = ip_address(probe.getsockname()[0])
    assert is_own_address(own)


@pytest.mark.parametrize("settings", [{"allow": ("nonsense/",)}, {"nameservers": ("dns.example",)}])
def test_settings_that_can_not_be_read_are_named(settings: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match=f"CALOTYPE_GUARD__{next(iter(settings)).upper()}"):
        EgressPolicy(GuardSettings(**settings))


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("https://example.com/", ()),
        ("https://no-such-host.invalid/", ()),
        ("http://8.8.8.8/", ()),
        ("http://127.0.0.1:9000/", ("127.0.0.1:9000",)),
        ("http://localhost:9000/", ("127.0.0.1:9000",)),
        ("http://redis:6379/", ("10.0.0.0/8",)),
    ],
)
def test_precheck_lets_pass(url: str, allow: tuple[str, ...]) -> None:
    EgressPolicy(GuardSettings(allow=allow), resolver=FakeResolver()).precheck(url)
    EgressPolicy(GuardSettings(), resolver=FakeResolver()).precheck(url, TargetRules(allow=allow))


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost:9001/", "http://[::1]/", "https://wiki/"])
def test_precheck_refuses_and_names_no_address(url: str) -> None:
    policy = EgressPolicy(GuardSettings(allow=("127.0.0.1:9000",)), resolver=FakeResolver())
    with pytest.raises(BlockedTarget) as caught:
        policy.precheck(url)
    assert not any(character.isdigit() for character in caught.value.message)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "//127.0.0.1/", "http://", "http://example.com:25/", "http://./"]
)
def test_precheck_says_what_is_no_url_for_a_page(url: str) -> None:
    with pytest.raises(InvalidUrl):
        EgressPolicy(GuardSettings(), resolver=FakeResolver()).precheck(url)


@pytest.mark.parametrize(
    ("host", "port", "answer", "deny"),
    [
        ("bad.example", 443, ["1.1.1.1"], "bad.example"),
        ("www.bad.example", 443, ["1.1.1.1"], "*.bad.example"),
        ("bad.example", 8080, ["1.1.1.1"], "bad.example:8080"),
        ("any.example", 443, ["1.1.1.1"], "1.1.1.0/24"),
        ("1.1.1.1", 443, None, "1.1.1.1"),
        ("[::ffff:1.1.1.1]", 443, None, "1.1.1.1"),
        ("any.example", 443, ["64:ff9b::101:101"], "1.1.1.1"),
        ("[2606:4700::1111]", 443, None, "2606:4700::/32"),
        ("localhost", 80, None, "localhost"),
    ],
)
async def test_what_is_denied_is_refused_whatever_is_allowed(
    host: str, port: int, answer: list[str] | None, deny: str
) -> None:
    everything = ("0.0.0.0/0", "::/0", "*.example", "bad.example")
    for settings in (
        {"deny": (deny,), "allow": everything},
        {"deny": (deny,), "rules": TargetRules(allow=everything)},
        {"allow": everything, "rules": TargetRules(deny=(deny,))},
    ):
        decision = await decide(host, port, answer=answer, **settings)
        assert (decision.allowed, decision.reason) == (False, "deny_list")


async def test_a_denied_name_is_not_even_looked_up() -> None:
    resolver = FakeResolver({"bad.example": ["1.1.1.1"]})
    policy = EgressPolicy(GuardSettings(deny=("bad.example",)), resolver=resolver)
    assert not (await policy.decide("bad.example", 443, Pins())).allowed
    assert resolver.asked == []


async def test_of_a_mixed_answer_only_the_denied_address_is_dropped() -> None:
    decision = await decide("any.example", answer=["1.1.1.1", "8.8.8.8"], deny=("1.1.1.1",))
    assert (decision.allowed, [str(address) for address in decision.addresses]) == (True, ["8.8.8.8"])


@pytest.mark.parametrize(
    ("port", "ports", "reason"),
    [
        (443, (443, "8000-8999"), "public"),
        (8000, (443, "8000-8999"), "public"),
        (8999, (443, "8000-8999"), "public"),
        (9000, (443, "8000-8999"), "port_policy"),
        (80, ("443",), "port_policy"),
        (25, ("1-65535",), "unsafe_port"),
        (9000, (), "public"),
    ],
)
async def test_ports(port: int, ports: tuple[int | str, ...], reason: str) -> None:
    assert (await decide("example.com", port, answer=["1.1.1.1"], ports=ports)).reason == reason


async def test_what_is_allowed_may_have_any_port() -> None:
    assert (await decide("10.1.2.3", 9000, ports=(443,), allow=("10.0.0.0/8",))).reason == "allow_list"


@pytest.mark.parametrize("entry", ["", "http", "0", "65536", "443-", "-443", "9000-8000", "80,443", -1])
def test_a_port_that_can_not_be_read_is_named(entry: int | str) -> None:
    with pytest.raises(ValueError, match="CALOTYPE_GUARD__PORTS"):
        EgressPolicy(GuardSettings(ports=(443, entry)))


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("2a00:1::/32", "2a00:1:a01:203::"),
        ("2a00:1:100::/40", "2a00:1:10a:102:3::"),
        ("2a00:1:1::/48", "2a00:1:1:a01:2:300::"),
        ("2a00:1:1:100::/56", "2a00:1:1:10a:1:203::"),
        ("2a00:1:1:1::/64", "2a00:1:1:1:a:102:300:0"),
        ("2a00:1:1:1:1:1::/96", "2a00:1:1:1:1:1:a01:203"),
    ],
)
async def test_behind_an_own_nat64_prefix_the_address_inside_is_judged(prefix: str, address: str) -> None:
    """10.1.2.3 as RFC 6052, section 2.4, writes it."""
    assert (await decide(f"[{address}]")).reason == "public"
    assert (await decide(f"[{address}]", nat64_prefixes=(prefix,))).reason == "private"
    assert (await decide(f"[{address}]", nat64_prefixes=("2a00:2::/32",))).reason == "public"


@pytest.mark.parametrize("prefix", ["10.0.0.0/8", "2a00::/33", "x"])
def test_a_nat64_prefix_that_can_not_be_read_is_named(prefix: str) -> None:
    with pytest.raises(ValueError, match="CALOTYPE_GUARD__NAT64_PREFIXES"):
        EgressPolicy(GuardSettings(nat64_prefixes=(prefix,)))


@pytest.mark.parametrize(
    ("url", "answer", "settings", "error", "reason"),
    [
        ("https://evil.example/", ["10.0.0.1"], {}, BlockedTarget, "private"),
        ("https://evil.example/", [], {}, UnresolvableHost, "unresolvable"),
        ("https://evil.example/", ["1.1.1.1"], {"deny": ("evil.example",)}, BlockedTarget, "deny_list"),
        ("https://evil.example:8443/", ["1.1.1.1"], {"ports": (443,)}, BlockedTarget, "port_policy"),
        ("https://evil.example:25/", ["1.1.1.1"], {}, InvalidUrl, "unsafe_port"),
        ("http://127.0.0.1/", None, {}, BlockedTarget, "loopback"),
    ],
)
async def test_a_url_that_is_not_permitted_says_why_and_tells_no_address(
    url: str, answer: list[str] | None, settings: dict[str, Any], error: type[CalotypeError], reason: str
) -> None:
    resolver = FakeResolver({} if answer is None else {"evil.example": answer})
    policy = EgressPolicy(GuardSettings(**settings), resolver=resolver)
    with pytest.raises(error) as caught:
        await policy.permit(url)
    assert [detail["reason"] for detail in caught.value.details] == [reason]
    assert "10.0.0.1" not in str(caught.value.details)


async def test_a_url_that_is_permitted_has_its_reason() -> None:
    policy = EgressPolicy(GuardSettings(), resolver=FakeResolver({"wiki.example": ["10.0.0.1"]}))
    assert await policy.permit("http://wiki.example/", TargetRules(allow=("10.0.0.0/8",))) == "allow_list"
