"""Our reading of HTTP/1.1 against an independent strict one (h11): what we pass on can't be framed otherwise."""

from __future__ import annotations

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from calotype.guard.chunked import ChunkedBody
from calotype.guard.http1 import BadMessage, Framing, parse_request, parse_response

names = st.sampled_from(
    ["Content-Length", "content-length", "Transfer-Encoding", "Connection", "X", "Host ", "X Y", "", "Proxy-Connection"]
)
values = st.one_of(
    st.sampled_from(["", "5", "05", "+5", "5, 5", "0x5", "chunked", "Chunked", "gzip, chunked", "identity", "close"]),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=8),
)
separators = st.sampled_from([":", ": ", " : ", ":\t", ""])
line_ends = st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n "])
lines = st.builds(lambda *parts: "".join(parts), names, separators, values, line_ends)
heads = st.lists(lines, max_size=6).map("".join)
chunk_bytes = st.lists(
    st.sampled_from(
        [b"0", b"3", b"a", b"\r\n", b"\n", b";x=y", b" ", b"abc", b"0\r\n\r\n", b"3\r\nabc\r\n", b"X:\r\n"]
    ),
    max_size=12,
).map(b"".join)


def framing_by_h11(headers: list[tuple[bytes, bytes]], default: str) -> Framing:
    found = dict(headers)
    if b"transfer-encoding" in found:
        return Framing("chunked")
    if b"content-length" in found:
        return Framing("length", int(found[b"content-length"]))
    return Framing(default)  # type: ignore[arg-type]


@given(heads)
@example("Content-Length:\r\nContent-Length:5\r\n")
@example("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")
def test_a_request_that_we_accept_is_read_alike(head: str) -> None:
    data = f"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{head}\r\n".encode("latin-1")
    if data.find(b"\r\n\r\n") != len(data) - 4:
        return  # not one head
    try:
        ours = parse_request(data)
    except BadMessage:
        return
    for written in (data, ours.serialise(host=b"a.example", target=b"/")):
        server = h11.Connection(h11.SERVER)
        server.receive_data(written)
        event = server.next_event()
        assert isinstance(event, h11.Request)
        body = framing_by_h11(list(event.headers), "none")
        assert body == ours.body


@given(heads, st.sampled_from(["GET", "HEAD"]), st.sampled_from([200, 204, 205, 304, 404]), st.sampled_from("01"))
@example("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "GET", 200, "1")
@example("Transfer-Encoding: chunked\r\n", "GET", 200, "0")
def test_a_response_that_we_write_has_our_framing(head: str, method: str, status: int, minor: str) -> None:
    data = f"HTTP/1.{minor} {status} OK\r\n{head}\r\n\r\n".encode("latin-1")
    try:
        ours = parse_response(data, method=method.encode())
    except BadMessage:
        return
    written = ours.serialise()
    assert written.find(b"\r\n\r\n") == len(written) - 4
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a.example")]))
    client.send(h11.EndOfMessage())
    client.receive_data(written)
    if ours.body.kind == "none":
        return  # a length stated of a body that does not come may be anything; browsers don't read it
    event = client.next_event()
    assert isinstance(event, h11.Response)
    assert framing_by_h11(list(event.headers), "until_close") == ours.body


@given(chunk_bytes)
@example(b"3\r\nabc\r\n0\r\n\r\nnext")
def test_a_chunked_body_ends_where_others_see_its_end(data: bytes) -> None:
    body = ChunkedBody()
    try:
        taken = body.feed(data)
    except BadMessage:
        return
    if not body.ended:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    while not isinstance(server.next_event(), h11.EndOfMessage):
        pass
    assert server.trailing_data[0] == data[taken:]


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.integers(1, 7), st.binary(max_size=5))
def test_a_right_body_is_followed_however_it_is_cut(chunks: list[bytes], step: int, rest: bytes) -> None:
    data = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = ChunkedBody()
    whole, taken = data + rest, 0
    for at in range(0, len(whole), step):
        if body.ended:
            break
        taken += body.feed(whole[at : at + step])
    assert (body.ended, taken) == (True, len(data))
