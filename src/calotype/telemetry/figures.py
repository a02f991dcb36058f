"""What the parts know of themselves: read when it is asked for, never kept."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from calotype import __version__
from calotype.telemetry.metrics import MetricFacts, Metrics


class PoolFigures(Protocol):
    """`browser.pool.BrowserPool` is the real one."""

    @property
    def size(self) -> int: ...
    @property
    def active(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def queue(self) -> int: ...
    @property
    def browsers(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def starts(self) -> int: ...
    @property
    def start_failures(self) -> int: ...
    @property
    def restarts(self) -> Mapping[str, int]: ...


class GuardFigures(Protocol):
    """`guard.proxy.EgressProxy` is the real one."""

    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def bytes_received(self) -> int: ...
    @property
    def connections(self) -> int: ...


class JailFigures(Protocol):
    """`browser.jail.levels.Jail` is the real one."""

    @property
    def level(self) -> str: ...


class RunnerFigures(Protocol):
    """`jobs.runner.Runner` is the real one."""

    @property
    def running(self) -> int: ...
    @property
    def concurrency(self) -> int: ...


class Parts(Protocol):
    """Whoever has the parts: `app.Services`, or a worker's."""

    @property
    def pool(self) -> PoolFigures: ...
    @property
    def guard(self) -> GuardFigures: ...
    @property
    def jail(self) -> JailFigures: ...
    @property
    def runner(self) -> RunnerFigures | None: ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the database, for all processes on it together."""

    queued: int
    running: int
    oldest_queued_s: float
    """0: none waits."""
    webhooks_pending: int


Samples = Iterable[tuple[tuple[str, ...], float]]
"""Each with the values of its labels."""

_RESTART_REASONS = ("captures", "exited", "memory", "unhealthy")

_FACTS = {
    facts.name: facts
    for facts in (
        MetricFacts("calotype_build_info", "gauge", ("version", "python"), "Always 1; the versions are its labels."),
        MetricFacts("calotype_guard_jail_info", "gauge", ("level",), "Always 1; the level of the browser's jail."),
        MetricFacts("calotype_pages", "gauge", ("state",), "Places for captures, by state: busy, idle."),
        MetricFacts("calotype_pages_limit", "gauge", (), "Captures that run at once at most (`browser.pages`)."),
        MetricFacts("calotype_queue_length", "gauge", (), "Captures that wait for a page."),
        MetricFacts("calotype_queue_limit", "gauge", (), "Captures that may wait (`browser.queue`)."),
        MetricFacts("calotype_browsers", "gauge", (), "Browsers that take captures."),
        MetricFacts("calotype_browser_starts_total", "counter", (), "Browsers started."),
        MetricFacts("calotype_browser_start_failures_total", "counter", (), "Browsers that did not start."),
        MetricFacts(
            "calotype_browser_restarts_total",
            "counter",
            ("reason",),
            "Browsers replaced: exited and unhealthy are faults, captures and memory are planned.",
        ),
        MetricFacts(
            "calotype_browser_memory_bytes",
            "gauge",
            (),
            "Memory (PSS) of all browser processes, as of the last probe, 10 s ago at most.",
        ),
        MetricFacts(
            "calotype_guard_decisions_total",
            "counter",
            ("reason",),
            "The guard's decisions on a host and port, once per capture, and limits that captures reached.",
        ),
        MetricFacts("calotype_guard_received_bytes_total", "counter", (), "Bytes that captures received."),
        MetricFacts("calotype_guard_connections_total", "counter", (), "Connections that captures made."),
        MetricFacts("calotype_runner_jobs", "gauge", (), "Jobs that this process runs."),
        MetricFacts("calotype_runner_jobs_limit", "gauge", (), "Jobs that this process runs at most."),
        MetricFacts(
            "calotype_jobs",
            "gauge",
            ("state",),
            "Jobs in the database, queued and running. Every process on it says the same: take the max, not the sum.",
        ),
        MetricFacts(
            "calotype_jobs_oldest_queued_seconds",
            "gauge",
            (),
            "Age of the job that was accepted first of those queued; 0: none is. The same in every process.",
        ),
        MetricFacts("calotype_webhooks_pending", "gauge", (), "Webhooks not yet delivered. The same in every process."),
    )
}


class Figures(Collector):
    """The figures of the parts at this moment."""

    def __init__(self, parts: Parts | None, backlog: Backlog | None) -> None:
        """
        Args:
            parts: None: say what there is, without a value.
            backlog: None: the database did not say.
        """
        self._parts = parts
        self._backlog = backlog

    def collect(self) -> Iterator[Metric]:
        samples: dict[str, Samples] = {}
        if self._parts is not None:
            samples |= _of_parts(self._parts)
        if self._backlog is not None:
            samples |= _of_backlog(self._backlog)
        for name, facts in _FACTS.items():
            yield _family(facts, samples.get(name, ()))

    def describe(self) -> Iterator[Metric]:
        return (_family(facts, ()) for facts in _FACTS.values())


class Everything(Collector):
    """All metrics of a process, for an encoder."""

    def __init__(self, metrics: Metrics, figures: Figures) -> None:
        self._metrics = metrics
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics.registry.collect()
        yield from self._figures.collect()


def reference_registry() -> CollectorRegistry:
    """Every metric of ours registered, without a server behind it."""
    registry = Metrics().registry
    registry.register(Figures(None, None))
    return registry


def reference() -> list[MetricFacts]:
    """Every metric of ours. Beside them stand `process_…`, as in all programs with Prometheus' client."""
    return [*Metrics().facts, *_FACTS.values()]


def _of_parts(parts: Parts) -> dict[str, Samples]:
    pool, guard, runner = parts.pool, parts.guard, parts.runner
    restarts = {**dict.fromkeys(_RESTART_REASONS, 0), **pool.restarts}
    samples: dict[str, Samples] = {
        "calotype_build_info": [((__version__, platform.python_version()), 1)],
        "calotype_guard_jail_info": [((str(parts.jail.level),), 1)],
        "calotype_pages": [(("busy",), pool.active), (("idle",), pool.size - pool.active)],
        "calotype_pages_limit": [((), pool.size)],
        "calotype_queue_length": [((), pool.waiting)],
        "calotype_queue_limit": [((), pool.queue)],
        "calotype_browsers": [((), pool.browsers)],
        "calotype_browser_starts_total": [((), pool.starts)],
        "calotype_browser_start_failures_total": [((), pool.start_failures)],
        "calotype_browser_restarts_total": [((reason,), count) for reason, count in sorted(restarts.items())],
        "calotype_browser_memory_bytes": [((), pool.memory_bytes)],
        "calotype_guard_decisions_total": [((reason,), count) for reason, count in sorted(guard.counts.items())],
        "calotype_guard_received_bytes_total": [((), guard.bytes_received)],
        "calotype_guard_connections_total": [((), guard.connections)],
    }
    if runner is not None:
        samples["calotype_runner_jobs"] = [((), runner.running)]
        samples["calotype_runner_jobs_limit"] = [((), runner.concurrency)]
    return samples


def _of_backlog(backlog: Backlog) -> dict[str, Samples]:
    return {
        "calotype_jobs": [(("queued",), backlog.queued), (("running",), backlog.running)],
        "calotype_jobs_oldest_queued_seconds": [((), backlog.oldest_queued_s)],
        "calotype_webhooks_pending": [((), backlog.webhooks_pending)],
    }


def _family(facts: MetricFacts, samples: Samples) -> Metric:
    kind = CounterMetricFamily if facts.kind == "counter" else GaugeMetricFamily
    family = kind(facts.name.removesuffix("_total"), facts.help, labels=facts.labels)
    for labels, value in samples:
        family.add_metric(list(labels), value)
    return family
