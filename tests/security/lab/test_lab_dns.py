"""A DNS server that lies: whatever it answers and whenever, only addresses that were checked and public are dialled."""

from __future__ import annotations

import json

import pytest

from tests.e2e.server_process import ServerProcess

from .hostile_dns import PUBLIC
from .internet import Page, Request
from .laboratory import REFUSED_PORT, Laboratory
from .wiring import SERVER, SERVER_V6


def dialled(lab: Laboratory) -> set[str]:
    return {visit.address for visit in lab.internet.visits()}


def asks_itself(times: int) -> Page:
    """A page that asks its own host again and again, over connections of its own, and then over another port."""
    return Page(
        f"""<!doctype html><title>not begun</title><script type=module>
const got = [];
for (let i = 0; i < {times}; i++) got.push(await fetch("/again?" + i).then((a) => a.text(), (e) => e.name));
got.push(await fetch("http://" + location.hostname + ":8080/again").then((a) => a.text(), (e) => e.name));
document.title = JSON.stringify(got);
</script>"""
    )


def again(request: Request) -> Page:
    return Page("again", headers=(("Connection", "close"), ("Access-Control-Allow-Origin", "*")))


def flips(after: int, *inner: str):  # type: ignore[no-untyped-def]
    """A zone: public to the first questions of each type, private to all that follow."""
    return lambda kind, nth: [PUBLIC] if nth < after else list(inner)


def test_rebind_same(lab: Laboratory, lab_server: ServerProcess) -> None:
    name = "rebind-same.example"
    lab.dns.zones[name] = flips(1, "127.0.0.1", "10.66.0.1")
    lab.internet.serve(f"http://{name}/again", again)
    url = lab.internet.serve(f"http://{name}/", asks_itself(6))
    wait = {"wait_for_function": "document.title.startsWith('[')"}
    _, meta = lab_server.picture(url=url, render=wait)
    assert json.loads(meta["title"]) == ["again"] * 7
    assert dialled(lab) == {PUBLIC}
    assert lab.dns.questions[name, "A"] == 1


def test_rebind_next(lab: Laboratory, lab_server: ServerProcess) -> None:
    name = "rebind-next.example"
    lab.dns.zones[name] = flips(1, "10.66.0.1", "fd00:66::1")
    lab_server.picture(url=f"http://{name}/")
    assert lab_server.error(400, url=f"http://{name}/")["code"] == "blocked_target"
    assert lab.dns.questions[name, "A"] == 2


def test_rebind_between_the_versions(lab: Laboratory, lab_server: ServerProcess) -> None:
    """The A is public, the AAAA that is asked at the same time is not."""
    name = lab.dns.name("rebind-versions.example", PUBLIC, "fd00:66::1", "::1")
    lab_server.picture(url=f"http://{name}/")
    assert dialled(lab) == {PUBLIC}


@pytest.mark.parametrize("order", [1, -1])
def test_mixed_dns(lab: Laboratory, lab_server: ServerProcess, order: int) -> None:
    name = lab.dns.name(f"mixed{order}.example", *["10.66.0.1", PUBLIC, "127.0.0.1", "1.1.1.1"][::order])
    lab_server.picture(url=f"http://{name}/")
    assert dialled(lab) <= {PUBLIC, "1.1.1.1"}


def test_a_mixed_answer_whose_public_address_refuses(lab: Laboratory, lab_server: ServerProcess) -> None:
    name = lab.dns.name("mixed-refusing.example", PUBLIC, "10.66.0.1", SERVER)
    error = lab_server.error(500, url=f"http://{name}:{REFUSED_PORT}/")
    assert error["code"] == "target_unreachable"


@pytest.mark.parametrize(
    "answer",
    [
        *("::ffff:127.0.0.1", "::ffff:10.66.0.1", "::ffff:169.254.169.254", "::ffff:51.15.20.30"),
        *("64:ff9b::a42:1", "64:ff9b::7f00:1", "64:ff9b::330f:141e", "64:ff9b:1::a42:1"),
        *("2002:a42:1::1", "2001:0:a42:1::1", "::127.0.0.1", "::", "::1", "fe80::1", "fec0::1", "ff0e::1"),
        *("2a00:1450:4001::5efe:a42:1", "0.0.0.0", "255.255.255.255", "224.0.0.251", "168.63.129.16"),
    ],
)
def test_aaaa_mapped_and_nat64_and_their_like(lab: Laboratory, lab_server: ServerProcess, answer: str) -> None:
    name = lab.dns.name(f"a{answer.replace(':', '-').replace('.', '-')}z.example", answer)
    assert lab_server.error(400, url=f"http://{name}/")["code"] == "blocked_target"


@pytest.mark.parametrize("own", [SERVER, SERVER_V6, f"::ffff:{SERVER}"], ids=["own_ip", "own_ip6", "mapped"])
def test_own_ip(lab: Laboratory, lab_server: ServerProcess, own: str) -> None:
    """Of the machine's own public addresses: nothing there is meant for strangers."""
    literal = f"[{own}]" if ":" in own else own
    port = int(lab_server.url.rpartition(":")[2])
    name = lab.dns.name(f"own{len(own)}.example", own)
    for url in (f"http://{literal}/", f"http://{literal}:{port}/", f"http://{name}/", f"http://{name}:{port}/healthz"):
        assert lab_server.error(400, url=url)["code"] == "blocked_target"


def test_a_name_that_leads_nowhere_is_unresolvable(lab_server: ServerProcess) -> None:
    assert lab_server.error(400, url="http://no-such.invalid/")["code"] == "unresolvable_host"


def test_inner_names_are_not_even_asked_for(lab: Laboratory, lab_server: ServerProcess) -> None:
    names = ("redis.", "wiki.internal.", "db.local.", "nas.home.arpa.")
    for name in names:
        lab_server.error(400, url=f"http://{name}/")
    assert not {name.rstrip(".") for name in names} & lab.dns.names()


@pytest.mark.parametrize(
    ("kind", "host", "answers", "reached"),
    [
        ("legit_nat64", "nat64.example", ["64:ff9b::5db8:d822"], {"64:ff9b::5db8:d822", PUBLIC}),
        ("legit_v6", "v6.example", ["2a00:1450:4001::2"], {"2a00:1450:4001::2"}),
        ("legit_v6", "both.example", ["2a00:1450:4001::2", PUBLIC], {"2a00:1450:4001::2", PUBLIC}),
        ("legit_idn", "bücher.example", None, {PUBLIC}),
        ("legit_idn", "例え.テスト.example", None, {PUBLIC}),
        ("legit_port8080", "port.example:8080", None, {PUBLIC}),
        ("legit_root_dot", "root.example.", None, {PUBLIC}),
        ("legit_v6_literal", "[2a00:1450:4001::2]:8080", None, {"2a00:1450:4001::2"}),
    ],
)
def test_legit(
    lab: Laboratory, lab_server: ServerProcess, kind: str, host: str, answers: list[str] | None, reached: set[str]
) -> None:
    if answers:
        lab.dns.name(host, *answers)
    _, meta = lab_server.picture(url=f"http://{host}/")
    assert meta["status_code"] == 200
    assert meta["warnings"] == []
    assert dialled(lab)
    assert dialled(lab) <= reached
