"""The end of a chunked body, wherever the network cuts it."""

from __future__ import annotations

import pytest

from calotype.guard.chunked import ChunkedBody
from calotype.guard.http1 import BadMessage

BODY = b"5\r\nhello\r\nA;name=value\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"


def taken(*pieces: bytes) -> list[int]:
    body = ChunkedBody()
    return [body.feed(piece) for piece in pieces]


def test_what_follows_the_body_is_left() -> None:
    body = ChunkedBody()
    assert body.feed(BODY + b"HTTP/1.1 200 OK") == len(BODY)
    assert body.ended


def test_byte_by_byte() -> None:
    body = ChunkedBody()
    for position, byte in enumerate(BODY):
        assert body.ended is False, position
        assert body.feed(bytes([byte])) == 1
    assert body.ended


@pytest.mark.parametrize("size", [2, 3, 7, 16])
def test_in_pieces(size: int) -> None:
    pieces = [BODY[at : at + size] for at in range(0, len(BODY), size)]
    assert sum(taken(*pieces)) == len(BODY)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhelloX",
        b"1" * 16 + b"\r\n",
        b"5;" + b"x" * 5_000,
        b"0\r\n" + b"X: y\r\n" * 5_000,
        b"1\r\nx\r\n" * 20_000,
    ],
    ids=range(12),
)
def test_what_readers_could_take_differently_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        ChunkedBody().feed(data + b"\r\n")
