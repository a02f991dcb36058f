"""Heads: what is refused, what is repaired, what is passed on, where the body ends."""

from __future__ import annotations

import pytest

from calotype.guard.http1 import BadMessage, Framing, parse_request, parse_response


def request(*lines: str, first: str = "GET http://a.example/ HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


def response(*lines: str, first: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


def sent_on(head: bytes) -> list[str]:
    return parse_request(head).serialise(host=b"a.example", target=b"/").decode().split("\r\n")[:-2]


def passed_on(head: bytes, method: bytes = b"GET") -> list[str]:
    return parse_response(head, method=method).serialise().decode("latin-1").split("\r\n")[:-2]


@pytest.mark.parametrize(
    "head",
    [
        request(first="GET http://a.example/"),
        request(first="GET  http://a.example/ HTTP/1.1"),
        request(first="GET http://a.example/ HTTP/2.0"),
        request(first="GET http://a.example/\x7f HTTP/1.1"),
        request(first="GET http://a.example/é HTTP/1.1"),
        request(first="G(T http://a.example/ HTTP/1.1"),
        request("A"),
        request("A : b"),
        request(": b"),
        request("A: b", " folded"),
        request("A: b\rC: d"),
        request("A: b\nC: d"),
        request("A: \x00"),
        request("A: b").replace(b"\r\n", b"\n"),
        request("Content-Length: 5", "Transfer-Encoding: chunked"),
        request("Content-Length: 5", "Content-Length: 5"),
        request("Content-Length: 5", "Content-Length: 6"),
        request("Content-Length: 5, 5"),
        request("Content-Length: -5"),
        request("Content-Length: +5"),
        request("Content-Length: 0x5"),
        request("Transfer-Encoding: gzip, chunked"),
        request("Transfer-Encoding: chunked, chunked"),
        request("Transfer-Encoding: xchunked"),
        request("Transfer-Encoding: chunked", first="POST http://a.example/ HTTP/1.0"),
    ],
)
def test_a_doubtful_request_is_refused(head: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_request(head)


def test_hop_by_hop_fields_of_a_request_end_here() -> None:
    head = request(
        *(
            "Host: forged.example",
            "Accept: */*",
            "Connection: close, X-Secret",
            "X-Secret: 1",
            "Keep-Alive: 5",
            "TE: gzip",
        ),
        *("Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA==", "Upgrade: websocket", "Trailer: X"),
        "Cookie: a=b",
    )
    assert sent_on(head) == ["GET / HTTP/1.1", "Host: a.example", "Accept: */*", "Cookie: a=b"]


@pytest.mark.parametrize("name", ["Content-Length", "Host", "Content-Type"])
def test_framing_can_not_be_taken_out_by_naming_it(name: str) -> None:
    head = request(f"Connection: {name}", "Content-Length: 5", "Content-Type: text/plain")
    assert sent_on(head)[1:] == ["Host: a.example", "Content-Type: text/plain", "Content-Length: 5"]


@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        ((), Framing("none")),
        (("Content-Length: 5",), Framing("length", 5)),
        (("transfer-encoding: Chunked",), Framing("chunked")),
    ],
)
def test_framing_of_requests(lines: tuple[str, ...], framing: Framing) -> None:
    assert parse_request(request(*lines, first="POST http://a.example/ HTTP/1.1")).body == framing


@pytest.mark.parametrize(
    ("version", "lines", "keeps"),
    [
        ("1", (), True),
        ("1", ("Connection: close",), False),
        ("1", ("Proxy-Connection: Close",), False),
        ("0", (), False),
        ("0", ("Connection: Keep-Alive",), True),
    ],
)
def test_whether_the_browsers_connection_is_kept(version: str, lines: tuple[str, ...], keeps: bool) -> None:
    assert parse_request(request(*lines, first=f"GET http://a.example/ HTTP/1.{version}")).keep_alive is keeps


@pytest.mark.parametrize(
    "head",
    [
        response(first="ICY 200 OK"),
        response(first="HTTP/2 200"),
        response(first="HTTP/1.1 OK"),
        response(first="HTTP/1.1 2000 OK"),
        response(first="HTTP/1.1 101 Switching Protocols"),
        response("Content-Length: 5", "Content-Length: 6"),
        response("Content-Length: 5, 6"),
        response("Transfer-Encoding: gzip, chunked"),
        response("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ],
)
def test_a_response_that_can_be_read_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_response(head, method=b"GET")


def test_a_sloppy_response_is_repaired() -> None:
    head = b"HTTP/1.1 200\nServer : old\n folded\nno colon\nbad name: x\nA: b\r\n\t c\nC: a\rb\nContent-Length: 5\n\n"
    assert passed_on(head) == ["HTTP/1.1 200 ", "Server: old folded", "A: b c", "Content-Length: 5"]


def test_hop_by_hop_fields_of_a_response_end_here() -> None:
    head = response(
        *(
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Authenticate: Basic",
            "Upgrade: h2c",
        ),
        *("Set-Cookie: a=b", "Set-Cookie: c=d", "Content-Length: 0"),
    )
    assert passed_on(head) == ["HTTP/1.1 200 OK", "Set-Cookie: a=b", "Set-Cookie: c=d", "Content-Length: 0"]


@pytest.mark.parametrize(
    ("head", "method", "framing", "keeps"),
    [
        (response("Content-Length: 5"), b"GET", Framing("length", 5), True),
        (response("Content-Length: 5", "Content-Length: 5"), b"GET", Framing("length", 5), True),
        (response("Content-Length: 5", "Connection: close"), b"GET", Framing("length", 5), False),
        (response("Transfer-Encoding: chunked"), b"GET", Framing("chunked"), True),
        (response("Transfer-Encoding: chunked", "Content-Length: 5"), b"GET", Framing("chunked"), False),
        (response("Transfer-Encoding: identity", "Content-Length: 5"), b"GET", Framing("length", 5), True),
        (response(), b"GET", Framing("until_close"), False),
        (response("Content-Length: five"), b"GET", Framing("until_close"), False),
        (response("Content-Length: 5", first="HTTP/1.0 200 OK"), b"GET", Framing("length", 5), False),
        (
            response("Content-Length: 5", "Connection: keep-alive", first="HTTP/1.0 200 OK"),
            b"GET",
            Framing("length", 5),
            True,
        ),
        (response("Transfer-Encoding: chunked", first="HTTP/1.0 200 OK"), b"GET", Framing("until_close"), False),
        (response("Content-Length: 5"), b"HEAD", Framing("none"), True),
        (response("Transfer-Encoding: chunked"), b"HEAD", Framing("none"), True),
        (response("Content-Length: 5", first="HTTP/1.1 304 Not Modified"), b"GET", Framing("none"), True),
        (response(first="HTTP/1.1 204 No Content"), b"GET", Framing("none"), True),
        (response("Content-Length: 0", first="HTTP/1.1 205 Reset Content"), b"GET", Framing("none"), True),
        (response("Content-Length: 5", first="HTTP/1.1 205 Reset Content"), b"GET", Framing("none"), False),
        (response("Transfer-Encoding: chunked", first="HTTP/1.1 205 Reset Content"), b"GET", Framing("none"), False),
        (response(first="HTTP/1.1 103 Early Hints"), b"GET", Framing("none"), True),
    ],
)
def test_framing_of_responses(head: bytes, method: bytes, framing: Framing, keeps: bool) -> None:
    parsed = parse_response(head, method=method)
    assert (parsed.body, parsed.keep_alive) == (framing, keeps)


def test_the_browser_sees_one_framing_only() -> None:
    both = response("Transfer-Encoding: chunked", "Content-Length: 5")
    assert passed_on(both) == ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    assert passed_on(response("Content-Length: x")) == ["HTTP/1.1 200 OK", "Connection: close"]
    assert passed_on(response("Content-Length: 7"), b"HEAD") == ["HTTP/1.1 200 OK", "Content-Length: 7"]


def test_a_head_of_very_many_lines_is_refused() -> None:
    """Reading 87,000 lines of three bytes holds the event loop, which all captures share, for 70 ms."""
    lines = [f"Set-Cookie: n{number}=v" for number in range(1_000)]
    assert len(passed_on(response(*lines))) == 1_000 + 2
    with pytest.raises(BadMessage, match="lines"):
        parse_response(response(*lines * 3), method=b"GET")
    with pytest.raises(BadMessage, match="lines"):
        parse_response(b"HTTP/1.1 200 OK\r\n" + b"\n" * 3_000 + b"\r\n", method=b"GET")
    with pytest.raises(BadMessage, match="lines"):
        parse_request(request(*["A: b"] * 3_000))
