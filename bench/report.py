"""Turns the results of a run into Markdown. Reads nothing else, so an old run can be reported on."""

from __future__ import annotations

import math
import statistics
from typing import Any

_INTRODUCTION = """# Benchmarks

Made by `make bench` (`bench/README.md` says what is measured and how); do not edit by hand. Read the ratios: absolute
figures belong to the machine, and on one machine they drift by some 15% between runs. All sides run in turns in the
same run, with the same browser binary and flags, the same pages, and the same readiness rule.

- **floor**: the leanest loop over the DevTools pipe; no API, no guard.
- **calotype**: `POST /v1/screenshot` of a real server, through its guard.
- **playwright**: a Playwright loop with `page.screenshot()`; **playwright-cdp**: the same with the capture done through
  DevTools with `optimizeForSpeed`, as the floor and calotype do.
"""

EGRESS_HEADING = "## What the guard costs"
ADMISSION_HEADING = "## Admission"
CACHE_HEADING = "## Cache hits"
RATE_HEADING = "## Rate"
JOBS_HEADING = "## Jobs"
REAL_PAGES_HEADING = "## Real pages"
_OWN_SECTIONS = (
    EGRESS_HEADING,
    ADMISSION_HEADING,
    CACHE_HEADING,
    RATE_HEADING,
    JOBS_HEADING,
    REAL_PAGES_HEADING,
)  # of programs of their own


def median(values: list[float]) -> float:
    return statistics.median(values) if values else math.nan


def percentile(values: list[float], percent: float) -> float:
    """Give the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratios(rounds: list[dict[str, dict[str, float]]], side: str, against: str) -> list[float]:
    """Give the ratio of each round, in which both sides ran next to each other."""
    return [
        blocks[side]["shots_per_s"] / blocks[against]["shots_per_s"]
        for blocks in rounds
        if side in blocks and blocks.get(against, {}).get("shots_per_s")
    ]


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else "-"


def latency_table(latency: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    sides = list(latency)
    pages = list(dict.fromkeys(page for shots in latency.values() for page in shots))
    rows: list[list[str]] = []
    medians: dict[str, list[float]] = {side: [] for side in sides}
    for page in pages:
        cells: list[str] = []
        for side in sides:
            times = [shot["ms"] for shot in latency[side].get(page, [])]
            medians[side].append(median(times))
            cells.append(f"{median(times):.0f} / {percentile(times, 95):.0f}")
        rows.append([page, *cells])
    rows.append(["geometric mean of medians", *(f"{statistics.geometric_mean(medians[side]):.0f}" for side in sides)])
    return table(["page", *sides], rows)


def throughput_table(throughput: dict[str, list[dict[str, dict[str, float]]]]) -> str:
    rows: list[list[str]] = []
    for clients, rounds in throughput.items():
        for side in rounds[0]:
            blocks = [found[side] for found in rounds]
            rows.append(
                [
                    clients,
                    side,
                    f"{median([block['shots_per_s'] for block in blocks]):.2f}",
                    _spread(_ratios(rounds, side, "floor")),
                    _spread(_ratios(rounds, side, "playwright")),
                    f"{median([block['median_ms'] for block in blocks]):.0f}",
                    f"{median([block['p95_ms'] for block in blocks]):.0f}",
                    f"{median([block['shots_per_cpu_s'] for block in blocks]):.2f}",
                ]
            )
    ratios = ["ratio to floor", "ratio to playwright"]
    return table(["clients", "side", "captures/s", *ratios, "median ms", "p95 ms", "captures/CPU s"], rows)


def memory_table(memory: dict[str, list[dict[str, float]]]) -> str:
    rows: list[list[str]] = []
    for side, samples in memory.items():
        shown = sorted({0, 1, len(samples) // 4, len(samples) // 2, 3 * len(samples) // 4, len(samples) - 1})
        rows += [
            [
                side,
                f"{sample['captures']:.0f}",
                f"{sample['own_rss_mb']:.0f} / {sample['own_pss_mb']:.0f}",
                f"{sample['browser_pss_mb']:.0f}",
                f"{sample['browser_busy_pss_mb']:.0f}",
                f"{sample['browser_processes']:.0f}",
                f"{sample['other_pss_mb']:.0f}",
            ]
            for sample in (samples[number] for number in shown if number < len(samples))
        ]
    browser = ["browser PSS idle, MB", "browser PSS peak, MB", "browser processes idle"]
    return table(["side", "after captures", "own process RSS / PSS, MB", *browser, "other children PSS, MB"], rows)


def timings_table(latency: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """Show where calotype says that the milliseconds went, next to what the client measured."""
    pages = latency.get("calotype", {})
    names = list(next(iter(pages.values()), [{"timings": {}}])[0]["timings"])
    rows = [
        [
            page,
            *(f"{median([shot['timings'].get(name, 0) for shot in shots]):.0f}" for name in names),
            f"{median([shot['ms'] for shot in shots]):.0f}",
        ]
        for page, shots in pages.items()
    ]
    return table(["page", *names, "client ms"], rows)


def faults_line(results: dict[str, Any]) -> str:
    """Each picture of a run was checked: size, format, and known colours at known places."""
    counted = ", ".join(f"{side} {len(faults)}" for side, faults in results["faults"].items())
    first = "".join(
        f"\n- {side}: {fault['page']}: {fault['fault']}"
        for side, faults in results["faults"].items()
        for fault in faults[:3]
    )
    return f"Failed or wrong pictures: {counted}.{first}"


def machine_line(machine: dict[str, Any]) -> str:
    browser = f"Chromium {machine['chromium']} ({machine['chromium_binary']})"
    versions = f"Python {machine['python']}, Playwright {machine['playwright']}, calotype {machine['calotype']}"
    load = f"before the run {machine['load_before']}, after it {machine['load_after']}"
    return (
        f"{machine['started'][:10]}: {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, {browser}, {versions}. Load average {load}. "
        f"CPU counted by: {machine['cpu_counted_by']}."
    )


def markdown(results: dict[str, Any]) -> str:
    options = results["options"]
    parts = [machine_line(results["machine"]), f"Format {options['format']}, viewport 1280x720.", faults_line(results)]
    if "latency" in results:
        shots = options["latency_rounds"]
        parts += [
            "## Latency, one capture at a time",
            f"Milliseconds until the picture is decoded, median / p95 of {shots} shots per page and side.",
            latency_table(results["latency"]),
        ]
        if "calotype" in results["latency"]:
            parts += ["calotype's own account of them (medians):", timings_table(results["latency"])]
    if "throughput" in results:
        parts += [
            "## Throughput",
            f"Closed loop over all pages, {options['rounds']} blocks of {options['shots']} captures per line; medians "
            "of the blocks. Ratios: median of the rounds (lowest-highest).",
            throughput_table(results["throughput"]),
        ]
    if "memory" in results:
        parts += [
            "## Memory",
            "4 clients; MB is 10^6 bytes. Idle: between two blocks; peak: the most seen during the block before.",
            memory_table(results["memory"]),
        ]
    return "\n\n".join(parts) + "\n"


def with_section(document: str, section: str) -> str:
    """Put a program's own section, which begins with its heading, in the place of its last one or at the end."""
    heading = section.partition("\n")[0]
    before, found, after = document.partition(f"{heading}\n")
    _, next_heading, rest = after.partition("\n## ") if found else ("", "", "")
    return f"{before.rstrip()}\n\n{section.rstrip()}\n" + (f"{next_heading}{rest}" if next_heading else "")


def own_sections(document: str) -> str:
    """Give the sections of the programs that have one of their own; "" if there is none."""
    parts = document.split("\n## ")
    return "\n".join(f"## {part}" for part in parts[1:] if f"## {part}".partition("\n")[0] in _OWN_SECTIONS)


def document(results: dict[str, Any]) -> str:
    return f"{_INTRODUCTION}\n{markdown(results)}"
