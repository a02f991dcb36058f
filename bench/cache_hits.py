"""How quickly a cached picture is answered: `python -m bench.cache_hits [--write-docs]`, see `bench/README.md`.

A picture of some 500 kB is captured once, then asked for over HTTP from real servers, one on a SQLite file and one on
PostgreSQL, in turns. Exits 1 if the server takes 10 ms or more of the median answer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from tests.e2e.server_process import ServerProcess, running_server
from tests.postgres import running_postgres

from bench.report import CACHE_HEADING, median, percentile, table, with_section

HITS = 50
"""In a block."""
MOST_MS = 10.0
_DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_WIDTH_PX, _HEIGHT_PX = 560, 300  # 3 bytes each, which PNG can't make less of
_NOISE = f"""<body style="margin:0"><canvas width={_WIDTH_PX} height={_HEIGHT_PX} style="display:block"></canvas>
<script>
const canvas = document.querySelector("canvas").getContext("2d");
const image = canvas.createImageData({_WIDTH_PX}, {_HEIGHT_PX});
for (let at = 0; at < image.data.length; at += 50000) crypto.getRandomValues(image.data.subarray(at, at + 50000));
for (let at = 3; at < image.data.length; at += 4) image.data[at] = 255;
canvas.putImageData(image, 0, 0);
</script>"""
_SERVER_MS = re.compile(r"elapsed_ms[\"=: ]+([\d.]+)")


class Client:
    """One kept connection to a server."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        address = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        self._json = json.dumps(
            {
                "html": _NOISE,
                "format": "png",
                "viewport": {"width": _WIDTH_PX, "height": _HEIGHT_PX},
                "cache": {"ttl_s": 3600},
            }
        )
        viewport = {"width": _WIDTH_PX, "height": _HEIGHT_PX}
        self._query = urlencode({"html": _NOISE, "format": "png", "cache_ttl_s": 3600, **viewport})

    def ask(self, form: str) -> tuple[str, int, float]:
        """Return X-Cache, the answer's bytes, and the milliseconds it took from here."""
        headers = {"Authorization": f"Bearer {self._server.key}"}
        started = time.perf_counter()
        if form == "JSON":
            headers["Content-Type"] = "application/json"
            self._connection.request("POST", "/v1/screenshot", self._json, headers)
        else:
            self._connection.request("GET", f"/v1/screenshot?{self._query}", headers=headers)
        answer = self._connection.getresponse()
        content = answer.read()
        took_ms = (time.perf_counter() - started) * 1000
        assert answer.status == 200, content[:500]
        return answer.headers["X-Cache"], len(content), took_ms

    def server_ms(self, number: int) -> list[float]:
        """What the server's log says of the last answers; the last one's line may still be on its way."""
        deadline = time.monotonic() + 10
        while True:
            lines = [line for line in self._server.output if "request_answered" in line and "/v1/screenshot" in line]
            if len(lines) >= number or time.monotonic() > deadline:
                return [float(match[1]) for line in lines if (match := _SERVER_MS.search(line))]
            time.sleep(0.01)

    def close(self) -> None:
        self._connection.close()


def measure(rounds: int) -> tuple[dict[tuple[str, str], tuple[list[float], list[float]]], int]:
    """Return milliseconds by database and form, the server's and the client's; and the picture's bytes."""
    server_ms: dict[tuple[str, str], list[float]] = defaultdict(list)
    client_ms: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        cluster = stack.enter_context(running_postgres())
        clients = {
            name: Client(stack.enter_context(running_server(Path(directory) / name, **settings)))
            for name, settings in (("SQLite", {}), ("PostgreSQL", {"DATABASE__URL": cluster.make_database()}))
        }
        answered: dict[str, int] = {}
        size_bytes = 0
        for name, client in clients.items():
            missed, _, _ = client.ask("JSON")
            hit, size_bytes, _ = client.ask("picture")
            assert (missed, hit) == ("MISS", "HIT"), (missed, hit)
            answered[name] = 2
        for _ in range(rounds):
            for form in ("JSON", "picture"):
                for name, client in clients.items():
                    for _ in range(HITS):
                        hit, _, took_ms = client.ask(form)
                        assert hit == "HIT"
                        client_ms[name, form].append(took_ms)
                    answered[name] += HITS
                    server_ms[name, form] += client.server_ms(answered[name])[-HITS:]
        for client in clients.values():
            client.close()
    return {kind: (server_ms[kind], client_ms[kind]) for kind in server_ms}, size_bytes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cache_hits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="of all blocks (%(default)s)")
    parser.add_argument("--write-docs", action="store_true", help="write the section of docs/benchmarks.md")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    results, size_bytes = measure(options.rounds)
    rows: list[list[str]] = []
    for (name, form), (server_ms, client_ms) in results.items():
        figures = [f"{median(values):.1f} / {percentile(values, 95):.1f}" for values in (server_ms, client_ms)]
        rows.append([f"{name}, {form}", *figures, f"< {MOST_MS:.0f}"])
    text = (
        f"Made by `python -m bench.cache_hits --write-docs`: a picture of {size_bytes / 1000:.0f} kB from the result "
        f"cache of a real server, one request at a time on a kept connection, {options.rounds * HITS} hits each in "
        "turns; as JSON (`POST`, base64) and as the picture itself (`GET`). Milliseconds, median / p95: the server's "
        "own, from the request's head to the last byte of its answer, and what the client waited. The limit is for the "
        "server's median."
    )
    machine = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, shared; load average {before:.1f} before the run, "
        f"{os.getloadavg()[0]:.1f} after it."
    )
    section = "\n\n".join((CACHE_HEADING, text, table(["", "server ms", "client ms", "limit"], rows), machine))
    print(section)
    if options.write_docs:
        _DOCS.write_text(with_section(_DOCS.read_text(), section))
    return 0 if all(median(server_ms) < MOST_MS for server_ms, _ in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
