"""What the guard costs: `python -m bench.egress [--write-docs]`, see `bench/README.md`.

One Chromium, a fresh context for each load; its way out is either straight to the origin or a channel of the guard,
which runs in this process as it does in the server. Both take part in each round, in random order, and the ratio is
made within the round. Then the floor's loop over the mixed corpus, with and without a channel per capture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from bench.chromium import find_executable, has_sandbox
from bench.corpus import PAGES, make_corpus
from bench.floor import Floor
from bench.loop import run
from bench.origin import IMAGES, LARGE_BYTES, Origin
from bench.report import EGRESS_HEADING, table, with_section
from bench.run import machine_facts
from bench.side import Picture, run_block, verify
from calotype.browser.page import Channel, Page
from calotype.browser.process import ChromiumProcess, Launcher
from calotype.guard.policy import EgressPolicy
from calotype.guard.proxy import EgressProxy
from calotype.settings import GuardSettings, TargetRules

_RESULTS = Path(__file__).parent / "results"
_DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_LIMITS = {"images, HTTP/1.1": 1.25, "images, HTTP/2": 1.05, "20 MB, http": 1.15, "20 MB, https": 1.15}
_CORPUS_LIMIT = 0.93
# The guard's flags keep Chromium from every address but the channels'; the last of a flag counts.
_LET_OUT = ("--host-resolver-rules=", "--ignore-certificate-errors")
_SETTINGS = GuardSettings(allow=("127.0.0.1",))
_LOADED = f"document.images.length === {IMAGES} && [...document.images].every((image) => image.naturalWidth)"


class _Straight:
    """In place of a channel: no proxy at all."""

    request_id: str | None = None
    server = "direct://"

    def apply(self, rules: TargetRules) -> None: ...

    def verdict_for(self, url: str) -> None: ...

    def blocked(self) -> Sequence[Any]:
        return ()

    def limits_reached(self) -> Sequence[str]:
        return ()

    async def close(self) -> None: ...


async def _open_straight() -> Channel:
    return _Straight()


async def _load_images(page: Page, url: str) -> float:
    """Give the seconds from the call to the load event."""
    loaded = asyncio.Event()
    page.session.on("Page.loadEventFired", lambda _: loaded.set())
    began = time.perf_counter()
    await _navigate(page, url)
    await loaded.wait()
    took_s = time.perf_counter() - began
    if await _value(page, _LOADED) is not True:
        raise RuntimeError(f"{url}: images are missing")
    return took_s


async def _load_large(page: Page, url: str) -> float:
    """Give the seconds from the call until the page's script has all bytes."""
    began = time.perf_counter()
    loaded = asyncio.Event()
    page.session.on("Page.domContentEventFired", lambda _: loaded.set())
    await _navigate(page, url)
    await loaded.wait()
    received = await _value(page, "window.done")
    took_s = time.perf_counter() - began
    if received != LARGE_BYTES:
        raise RuntimeError(f"{url}: {received} bytes")
    return took_s


async def _navigate(page: Page, url: str) -> None:
    answer = await page.session.call("Page.navigate", url=url)
    if error := answer.get("errorText"):
        raise RuntimeError(f"{url}: {error}")


async def _value(page: Page, expression: str) -> Any:
    answer = await page.session.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
    return answer["result"].get("value")


_Load = Callable[[Page, str], Awaitable[float]]
_Sample = dict[str, dict[str, float]]


class Loads:
    """Single loads of one page at a time."""

    def __init__(self, browser: ChromiumProcess, proxy: EgressProxy) -> None:
        self._browser = browser
        self._ways = {"direct": _open_straight, "guarded": proxy.open_channel}

    async def sample(self, load: _Load, url: str) -> _Sample:
        """Load once each way, in random order."""
        return {way: await self._once(way, load, url) for way in random.sample(list(self._ways), 2)}

    async def _once(self, way: str, load: _Load, url: str) -> dict[str, float]:
        page = await Page.open(self._browser.connection, self._ways[way])
        try:
            cpu_s = time.process_time()
            async with asyncio.timeout(60):
                took_s = await load(page, url)
            return {"ms": took_s * 1000, "cpu_ms": (time.process_time() - cpu_s) * 1000}
        finally:
            await page.close()


class GuardedFloor(Floor):
    """The floor with, if `proxy` is set, a channel per capture."""

    proxy: EgressProxy | None = None

    async def shoot(self, url: str, image_format: str) -> Picture:
        if self.proxy is None:
            return await super().shoot(url, image_format)
        pipe = self._pipe
        channel = await self.proxy.open_channel()
        ways = {"proxyServer": channel.server, "proxyBypassList": "<-loopback>"}
        context = (await pipe.send("Target.createBrowserContext", **ways))["browserContextId"]
        try:
            return await self._shoot_in(context, url, image_format)
        finally:
            self._disposals.append(asyncio.ensure_future(self._dispose(context, channel)))

    async def _dispose(self, context: str, channel: Channel) -> dict[str, Any]:
        try:
            return await self._pipe.send("Target.disposeBrowserContext", browserContextId=context)
        finally:
            await channel.close()


async def measure_loads(origin: Origin, proxy: EgressProxy, rounds: int) -> dict[str, list[_Sample]]:
    cases: dict[str, tuple[_Load, str]] = {
        "images, HTTP/1.1": (_load_images, f"{origin.http}/images.html"),
        "20 MB, http": (_load_large, f"{origin.http}/large.html"),
    }
    if origin.https:
        cases["images, HTTP/2"] = (_load_images, f"{origin.https}/images.html")
        cases["20 MB, https"] = (_load_large, f"{origin.https}/large.html")
    launcher = Launcher(("/bin/sh", "-c", f'exec "$@" {" ".join(_LET_OUT)}', "sh"))
    browser = ChromiumProcess(Path(find_executable()), sandbox=has_sandbox(), launcher=launcher)
    await browser.start()
    try:
        loads = Loads(browser, proxy)
        for load, url in cases.values():
            await loads.sample(load, url)
        samples: dict[str, list[_Sample]] = {name: [] for name in cases}
        for number in range(rounds):
            for name in random.sample(list(cases), len(cases)):
                samples[name].append(await loads.sample(*cases[name]))
            _progress(f"loads {number + 1}/{rounds}")
        return samples
    finally:
        await browser.stop()


async def measure_corpus(proxy: EgressProxy, *, rounds: int, clients: int, copies: int) -> list[_Sample]:
    """Blocks of `copies` of the corpus by so many clients, with and without the guard in turn."""
    with tempfile.TemporaryDirectory(prefix="calotype-bench-") as made:
        make_corpus(Path(made))
        site = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.site", made),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert site.stdout is not None
        base = f"http://127.0.0.1:{int(await site.stdout.readline())}"
        floor = GuardedFloor()
        await floor.open()
        try:
            targets = [[page.name, base + page.path] for page in PAGES] * copies
            return [await _corpus_round(floor, proxy, targets, clients, number) for number in range(-1, rounds)][1:]
        finally:
            await floor.close()
            site.terminate()
            await site.wait()


async def _corpus_round(
    floor: GuardedFloor, proxy: EgressProxy, targets: list[list[str]], clients: int, number: int
) -> _Sample:
    random.shuffle(targets)
    found: _Sample = {}
    for way in random.sample(["direct", "guarded"], 2):
        floor.proxy = proxy if way == "guarded" else None
        cpu_s = time.process_time()
        elapsed_s, shots = await run_block(floor, targets, clients, "png")
        cpu_s = time.process_time() - cpu_s
        faults = verify(shots, {page.name: json.loads(json.dumps(page.probes)) for page in PAGES})
        if faults:
            _progress(f"{way}: {faults}")
        per_s = (len(shots) - len(faults)) / elapsed_s
        found[way] = {"per_s": per_s, "cpu_ms": cpu_s * 1000 / len(shots), "faults": len(faults)}
    _progress(f"corpus {number + 1}: " + ", ".join(f"{way} {block['per_s']:.2f}/s" for way, block in found.items()))
    return found


def _row(name: str, samples: list[_Sample], figure: str, limit: str) -> list[str]:
    ratios = [sample["guarded"][figure] / sample["direct"][figure] for sample in samples]
    low, middle, high = statistics.quantiles(ratios, n=4)
    medians = [f"{statistics.median(sample[way][figure] for sample in samples):.1f}" for way in ("direct", "guarded")]
    cpu = [f"{statistics.median(sample[way]['cpu_ms'] for sample in samples):.1f}" for way in ("direct", "guarded")]
    return [name, *medians, f"{middle:.3f} ({low:.3f}-{high:.3f})", limit, str(len(samples)), " / ".join(cpu)]


def section(results: dict[str, Any]) -> str:
    """Give the Markdown that `docs/benchmarks.md` ends with."""
    rows = [_row(name, samples, "ms", f"<= {_LIMITS[name]}") for name, samples in results["loads"].items()]
    if corpus := results["corpus"]:
        rows.append(_row(f"mixed corpus, {results['options']['clients']} clients", corpus, "per_s", ">= 0.93"))
    machine = results["machine"]
    faults = {way: f"{sum(block[way]['faults'] for block in corpus):.0f}" for way in ("direct", "guarded")}
    return "\n\n".join(
        [
            EGRESS_HEADING,
            "Made by `python -m bench.egress --write-docs`: the same browser with a fresh context per load, straight "
            "to the origin or through a channel of the guard; both in each round, in random order. Loads: milliseconds "
            f"until the load event ({IMAGES} images) or until the page's script has all bytes (20 MB); corpus: "
            "captures per second. The ratio is guarded to direct within a round: median (quartiles). CPU is that of "
            "the process "
            "with the guard and the DevTools connection, per load or capture, direct / guarded.",
            table(["", "direct", "guarded", "ratio", "limit", "rounds", "CPU ms"], rows),
            f"Failed or wrong pictures: direct {faults['direct']}, guarded {faults['guarded']}.",
            f"{machine['started'][:10]}, {machine['cores']} cores, Chromium {machine['chromium']}, origin "
            f"{results['origin']} on loopback, Python {machine['python']}, load average {machine['load_before']}.",
        ]
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    results: dict[str, Any] = {
        "machine": machine_facts(find_executable()),
        "options": {name: value for name, value in vars(options).items() if name != "write_docs"},
    }
    proxy = EgressProxy(EgressPolicy(_SETTINGS), _SETTINGS)
    await proxy.start()
    try:
        with Origin() as origin:
            results["origin"] = origin.name
            results["loads"] = await measure_loads(origin, proxy, options.rounds) if options.rounds else {}
        results["corpus"] = await measure_corpus(
            proxy, rounds=options.corpus_rounds, clients=options.clients, copies=options.copies
        )
    finally:
        await proxy.stop()
    return results


def _progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.egress", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="loads of each page each way (%(default)s)")
    parser.add_argument("--corpus-rounds", type=int, default=16, help="blocks of the corpus each way (%(default)s)")
    parser.add_argument("--copies", type=int, default=4, help="of the corpus in a block (%(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="at once, in the corpus (%(default)s)")
    parser.add_argument("--write-docs", action="store_true", help="write the section of docs/benchmarks.md")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))  # as the server by default
    results = await measure(options)
    _RESULTS.mkdir(exist_ok=True)
    (_RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-egress.json").write_text(json.dumps(results, indent=1))
    text = section(results)
    print(text)
    if options.write_docs:
        _DOCS.write_text(with_section(_DOCS.read_text(), text))


if __name__ == "__main__":
    run(main())
