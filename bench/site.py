"""Serves the corpus on loopback from memory: HTTP/1.1, keep-alive, GET only, as little work per request as possible.

It shares the machine with what is measured, so its answers are made once, before the first request. It prints its port
and ends with its standard input: `python -m bench.site DIRECTORY`.
"""

from __future__ import annotations

import asyncio
import mimetypes
import sys
from pathlib import Path
from typing import cast

from bench.loop import run

_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def prepare_answers(directory: Path) -> dict[bytes, bytes]:
    """Give the complete answer of each path; `name/` is `name/index.html`."""
    answers: dict[bytes, bytes] = {}
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        body = file.read_bytes()
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind.endswith(("json", "javascript")):
            kind += "; charset=utf-8"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        path = "/" + file.relative_to(directory).as_posix()
        answers[path.encode()] = head.encode() + body
        if file.name == "index.html":
            answers[path.removesuffix("index.html").encode()] = answers[path.encode()]
    return answers


class _Connection(asyncio.Protocol):
    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by inheritance

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            target = head.split(b" ", 2)[1].partition(b"?")[0]
            self._transport.write(self._answers.get(target, _NOT_FOUND))
            if b"\r\nconnection: close" in head.lower():
                self._transport.close()


async def serve(directory: Path) -> None:
    answers = prepare_answers(directory)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answers), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    run(serve(Path(sys.argv[1])))
