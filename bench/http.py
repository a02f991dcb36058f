"""calotype over HTTP: a real server process, and the cheapest client that asks it for pictures.

The client is bare asyncio over keep-alive connections, because it shares the cores with the server: a general client
library costs several times more per megabyte of answer. The worker is `python -m bench.http ADDRESS KEY`.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from bench.loop import run
from bench.processes import Tree
from bench.side import HEIGHT, WIDTH, Picture, work

if TYPE_CHECKING:
    from pathlib import Path

_READ_LIMIT_BYTES = 2**24
_START_TIMEOUT_S = 60.0


class Client:
    """One side's worker: each shot takes an idle connection or opens one."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open(self) -> None:
        """Connections are made by the first shots."""

    async def shoot(self, url: str, image_format: str) -> Picture:
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        try:
            status, body = await self._post(reader, writer, {"url": url, "format": image_format})
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        answer = json.loads(body)
        if status != 200:
            error = answer["error"]
            raise RuntimeError(f"{status} {error['code']}: {error['message']}")
        meta = answer["meta"]
        if (meta["width"], meta["height"]) != (WIDTH, HEIGHT) or meta["partial"] or meta["cached"]:
            raise RuntimeError(f"not the picture asked for: {meta}")
        return Picture(
            binascii.a2b_base64(answer["image_base64"]), {**meta["timings"], "elapsed_ms": meta["elapsed_ms"]}
        )

    async def quiesce(self) -> None:
        """The server cleans up behind its answers; what is left of that falls on the next block.

        Connections end with their block: the server closes those that idle through the other sides' blocks.
        """
        await self.close()

    async def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=_READ_LIMIT_BYTES)

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any]
    ) -> tuple[int, bytes]:
        payload = json.dumps(body).encode()
        head = (
            f"POST /v1/screenshot HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        writer.write(head.encode() + payload)
        answer_head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = answer_head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(status_line.split()[1]), await reader.readexactly(int(headers["content-length"]))


class Server:
    """A `calotype serve` process with data of its own, allowed to visit the corpus and nothing else unusual."""

    def __init__(self, data_dir: Path, corpus_port: int, executable: str) -> None:
        self._log = data_dir / "server.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALOTYPE_")}
        tuned = {name: value for name, value in os.environ.items() if name.startswith("CALOTYPE_BROWSER__")}
        self._env = {
            **kept,
            **tuned,
            "TMPDIR": str(data_dir),
            "CALOTYPE_DATA_DIR": str(data_dir),
            "CALOTYPE_BROWSER__EXECUTABLE": executable,
            "CALOTYPE_GUARD__ALLOW": json.dumps([f"127.0.0.1:{corpus_port}"]),
        }
        self.key = self._make_key()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.tree = Tree(
            "calotype",
            self._argv("serve", "--port", str(self.port)),
            env=self._env,
            log=self._log,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.STDOUT,
        )
        try:
            self._await_ready()
        except BaseException:
            self.tree.close(terminate=True)
            raise

    @staticmethod
    def _argv(*words: str) -> list[str]:
        return [sys.executable, "-m", "calotype", *words]

    def _make_key(self) -> str:
        made = subprocess.run(
            self._argv("keys", "create", "--plan", "unlimited"),
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if made.returncode != 0:
            raise SystemExit(f"calotype keys create failed:\n{made.stderr[-2000:]}")
        return made.stdout.split()[-1]

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self.tree.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).close()
                return
            time.sleep(0.1)
        raise SystemExit(f"calotype serve did not start:\n{self._log.read_text(errors='replace')[-3000:]}")

    def log_tail(self, characters: int = 3000) -> str:
        return self._log.read_text(errors="replace")[-characters:]

    def close(self) -> list[int]:
        return self.tree.close(terminate=True)


if __name__ == "__main__":
    run(work(Client(int(sys.argv[1]), sys.argv[2])))
