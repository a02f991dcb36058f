"""Is `settled` complete, and what does it cost: `python -m bench.settled [--write-docs]`, see `bench/README.md`.

Each page is taken by a real server with `settled` and with `networkidle`, in turns, and both pictures are compared with
a careful reference (`truth.py`).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvloop
from PIL import Image
from tests.e2e.server_process import running_server
from tests.site.pictures import similarity
from tests.site.server import running_site

from bench.real_pages import CACHE, real_pages
from bench.report import REAL_PAGES_HEADING, table, with_section
from bench.truth import Reference, decoded, is_blank

LEAST_SIMILARITY, LEAST_SHARE, MOST_TIME = 0.99, 38 / 40, 0.6
CHANNEL_TOLERANCE = 16
_NOISE = 0.002  # two pictures of one page differ by so much in carets, clocks and rounding
_WAITS = ("settled", "networkidle")
_FIXTURES = (
    "blocks.html",
    "canvas.html",
    "dashboard.html",
    "feed.html",
    "later.html",
    "lazy.html",
    "moving.html",
    "responsive.html",
    "script-redirect.html?to=/blocks.html",
    "spa.html",
    "tall.html",
    "text.html",
    "webfont.html",
)
_DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@dataclass
class Taken:
    """What came of one page; milliseconds and similarities of each round."""

    of_reference: float = 1.0
    """How like the two references are."""
    ms: dict[str, list[float]] = field(default_factory=lambda: {wait: [] for wait in _WAITS})
    similar: dict[str, list[float]] = field(default_factory=lambda: {wait: [] for wait in _WAITS})
    is_blank: bool = False
    faults: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def median_ms(self, wait: str) -> float:
        return statistics.median(self.ms[wait])

    def similarity(self, wait: str) -> float:
        return statistics.median(self.similar[wait])

    @property
    def ratio(self) -> float:
        return self.median_ms("settled") / self.median_ms("networkidle")

    @property
    def is_less_complete(self) -> bool:
        return self.similarity("settled") < self.similarity("networkidle") - _NOISE


class Shooter:
    """Asks a server for pictures, one at a time."""

    def __init__(self, client: httpx.Client, kept: Path | None) -> None:
        self._client, self._kept = client, kept

    def shoot(self, url: str, wait_until: str) -> tuple[Image.Image, dict[str, Any], float]:
        """Give picture, meta, and the milliseconds that the server took."""
        body = {"url": url, "format": "png", "render": {"wait_until": wait_until}}
        answer = self._client.post("/v1/screenshot", json=body).json()
        if not answer["ok"]:
            raise RuntimeError(f"{answer['error']['code']}: {answer['error']['message']}")
        meta = answer["meta"]
        return decoded(base64.b64decode(answer["image_base64"])), meta, float(meta["elapsed_ms"])

    def keep(self, name: str, **pictures: Image.Image) -> None:
        if self._kept is not None:
            for kind, picture in pictures.items():
                picture.save(self._kept / f"{name.replace('/', '_')}.{kind}.png")


async def _compare(shooter: Shooter, reference: Reference, name: str, url: str, rounds: int) -> Taken:
    taken = Taken()
    truth, again = await reference.shoot(url), await reference.shoot(url)
    taken.of_reference = similarity(truth, again, tolerance=CHANNEL_TOLERANCE)
    shooter.keep(name, reference=truth, again=again)
    for number in range(rounds):
        for wait in _WAITS if number % 2 else reversed(_WAITS):
            try:
                picture, meta, elapsed_ms = shooter.shoot(url, wait)
            except RuntimeError as error:
                taken.faults.append(str(error))
                continue
            # A page that is not the same each time is as like as it is to either of its references.
            taken.similar[wait].append(max(similarity(picture, truth), similarity(picture, again)))
            taken.ms[wait].append(elapsed_ms)
            shooter.keep(name, **{wait: picture})
            if wait == "settled":
                taken.is_blank |= is_blank(picture) and not is_blank(truth)
                taken.meta = meta
                if meta["partial"]:
                    taken.faults.append(f"partial: {meta['partial_reason']}")
    return taken


@contextmanager
def _fixtures() -> Iterator[dict[str, str]]:
    with running_site() as site:
        yield {page.partition(".")[0]: f"{site.url}/{page}" for page in _FIXTURES}


async def _measure(
    only: str, rounds: int, kept: Path | None, cache: Path, browser: str | None
) -> dict[str, dict[str, Taken]]:
    results: dict[str, dict[str, Taken]] = {}
    # Port 1 for all that is not allowed: nothing outside is visited, as in the reference.
    settings = {"GUARD__ALLOW": '["127.0.0.1"]', "GUARD__PORTS": '["1"]'}
    with contextlib.ExitStack() as stack:
        groups = {"real": stack.enter_context(real_pages(cache)), "fixtures": stack.enter_context(_fixtures())}
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(running_server(Path(directory), **settings))
        server.client.headers["Authorization"] = f"Bearer {server.key}"
        reference, shooter = Reference(browser), Shooter(server.client, kept)
        try:
            for group, pages in groups.items():
                results[group] = {}
                for name, url in pages.items():
                    if only in name:
                        taken = await _compare(shooter, reference, name, url, rounds)
                        results[group][name] = taken
                        print(_line(name, taken), file=sys.stderr, flush=True)
        finally:
            await reference.close()
    return results


def _line(name: str, taken: Taken) -> str:
    if not all(taken.ms.values()):
        return f"{name}: {taken.faults}"
    told = " ".join(f"{wait} {taken.similarity(wait):.4f} {taken.median_ms(wait):.0f} ms" for wait in _WAITS)
    less = " LESS COMPLETE" if taken.is_less_complete else ""
    waits = [
        f"{each['what']} {each['ms']}{'' if each['ended'] else ' (given up)'}" for each in taken.meta["waited_for"]
    ]
    verdict = f" verdict {json.dumps(taken.meta['verdict'])}" if taken.meta.get("verdict", "ok") != "ok" else ""
    return f"{name}: {told} reference {taken.of_reference:.4f}{less}{verdict} {taken.faults or ''} [{', '.join(waits)}]"


def section(results: dict[str, dict[str, Taken]], load: str) -> tuple[str, bool]:
    """Return the Markdown, and whether every limit is kept."""
    real, everything = results["real"], {**results["real"], **results["fixtures"]}
    rows = [
        [
            name,
            f"{taken.similarity('settled'):.4f}",
            f"{taken.similarity('networkidle'):.4f}",
            f"{taken.of_reference:.4f}",
            f"{taken.median_ms('settled'):.0f}",
            f"{taken.median_ms('networkidle'):.0f}",
            f"{taken.ratio:.2f}",
        ]
        for name, taken in everything.items()
    ]
    like = sum(taken.similarity("settled") >= LEAST_SIMILARITY for taken in real.values())
    blank = [name for name, taken in everything.items() if taken.is_blank]
    less = [name for name, taken in everything.items() if taken.is_less_complete]
    faults = [f"{name}: {fault}" for name, taken in everything.items() for fault in taken.faults]
    ratios = {group: statistics.median(taken.ratio for taken in pages.values()) for group, pages in results.items()}
    verdicts = {name: taken.meta["verdict"] for name, taken in real.items() if taken.meta["verdict"] != "ok"}
    is_good = like >= LEAST_SHARE * len(real) and not blank and not less and not faults
    is_good &= max(ratios.values()) <= MOST_TIME
    head = ["page", "like, settled", "like, networkidle", "like, itself", "settled ms", "networkidle ms", "ratio"]
    summary = [
        ["real pages like the reference, of " + str(len(real)), str(like), f">= {LEAST_SHARE * len(real):.0f}"],
        ["blank", ", ".join(blank) or "0", "0"],
        ["less complete than networkidle", ", ".join(less) or "0", "0"],
        ["failed or partial", "; ".join(faults) or "0", "0"],
        *(
            [f"time to networkidle's, median, {group}", f"{ratio:.2f}", f"<= {MOST_TIME}"]
            for group, ratio in ratios.items()
        ),
    ]
    if verdicts:
        summary.append(["verdicts", "; ".join(f"{name}: {json.dumps(told)}" for name, told in verdicts.items()), ""])
    text = f"""{REAL_PAGES_HEADING}

Made by `python -m bench.settled --write-docs`: pages of unrelated templates from npm, pinned, and those of the tests'
site, by a real server with `settled` and with `networkidle` in turns, 1280x720; nothing outside of the packages can be
reached. Like: share of the pixels none of whose channels differs by more than {CHANNEL_TOLERANCE} of 255 from a careful
reference (load event, 500 ms without a request, four seconds more; animations of CSS are brought to their end on both
sides), taken twice: the nearer one counts, and "like, itself" is how the two agree. A page counts as like from
{LEAST_SIMILARITY} on. Times are the server's `elapsed_ms`, medians.

{table(["", "measured", "limit"], summary)}

{table(head, rows)}

{load}
"""
    return text, is_good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="pages whose name has this in it")
    parser.add_argument("--keep", type=Path, help="directory for the pictures")
    parser.add_argument("--browser", help="executable for the reference; the server's own unless given")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory for the packages")
    parser.add_argument("--write-docs", action="store_true", help=f"write the section {REAL_PAGES_HEADING!r}")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    before = os.getloadavg()[0]
    results = uvloop.run(_measure(arguments.only, arguments.rounds, arguments.keep, arguments.cache, arguments.browser))
    if arguments.only:
        return 0
    load = f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, shared; load average {before:.1f} before the run, "
    text, is_good = section(results, f"{load}{os.getloadavg()[0]:.1f} after it; {arguments.rounds} rounds.")
    print(text)
    if arguments.write_docs:
        _DOCS.write_text(with_section(_DOCS.read_text(), text))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
