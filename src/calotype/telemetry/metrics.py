"""What is counted as it happens, in Prometheus' terms, and the list of every metric there is.

No label's values come from a caller: they are routes, codes, states and words of this program, so that their number is
bounded. Names follow https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

from calotype.errors import ERRORS

STAGES = ("queue", "navigate", "settle", "actions", "capture", "encode")
CAPTURE_KINDS = ("sync", "job")
PICTURE_OUTCOMES = ("ok", "partial")

_CAPTURE_ERRORS = (
    *("invalid_url", "blocked_target", "unresolvable_host", "target_unreachable", "target_status"),
    *("selector_not_found", "action_failed", "result_too_large", "capture_timeout", "page_crashed"),
    *("internal_error", "overloaded", "shutting_down"),
)
_OTHER_OUTCOMES = ("cached", "replayed", "cancelled")
_FLAWS = (
    *("blank", "http_error", "challenge", "login_wall", "consent_banner", "pending_images", "missing_glyphs"),
    "ok",
)
_CAPTURE_BUCKETS_S = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
_STAGE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_REQUEST_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_JOB_BUCKETS_S = (0.05, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """A metric as the reference lists it."""

    name: str
    """As it is scraped: a counter's ends in `_total`; a histogram has `_bucket`, `_sum` and `_count` behind it."""
    kind: str
    """`counter`, `gauge` or `histogram`."""
    labels: tuple[str, ...]
    help: str


class Metrics:
    """The counters and histograms of one process, in a registry of their own. Safe to use from any thread."""

    def __init__(self) -> None:
        # A gauge beside each series, of when it was made: it doubles what is scraped, and nobody asks for it.
        disable_created_metrics()
        self.registry = CollectorRegistry(auto_describe=True)
        self.facts: list[MetricFacts] = []
        ProcessCollector(registry=self.registry)
        self.captures = self._counter(
            "calotype_captures",
            "Captures that ended, by outcome: ok, partial, cancelled, or the error's code; cached and replayed were "
            "given without one. Each try of a job is one.",
            ("kind", "outcome"),
        )
        self.capture_seconds = self._histogram(
            "calotype_capture_seconds",
            "From accepting a capture to having its picture, waiting for a page included. Of pictures only.",
            _CAPTURE_BUCKETS_S,
            ("kind",),
        )
        self.stage_seconds = self._histogram(
            "calotype_capture_stage_seconds",
            "Each stage of a capture that gave a picture: queue, navigate, settle, actions, capture, encode; the "
            "stages that it had.",
            _STAGE_BUCKETS_S,
            ("stage",),
        )
        self.verdicts = self._counter(
            "calotype_capture_verdicts",
            "What was said of pictures: ok, or each flaw that was found.",
            ("kind",),
        )
        self.picture_bytes = self._counter("calotype_picture_bytes", "Size of the pictures made.", ("format",))
        self.http_requests = self._counter(
            "calotype_http_requests",
            "Requests answered, by the route's template; 499: the caller left.",
            ("method", "route", "status"),
        )
        self.http_seconds = self._histogram(
            "calotype_http_request_seconds",
            "From a request's first byte to the end of its answer. A job may be awaited for 60 s.",
            _REQUEST_BUCKETS_S,
            ("method", "route"),
        )
        self.http_errors = self._counter(
            "calotype_http_errors",
            "Requests answered with an error, by its code: quota_reached and rate_limited are plans' refusals, "
            "overloaded and shutting_down this server's.",
            ("code",),
        )
        self.jobs_enqueued = self._counter("calotype_jobs_enqueued", "Jobs accepted by this process.")
        self.jobs_finished = self._counter(
            "calotype_jobs_finished", "Jobs that this process brought to their end.", ("status",)
        )
        self.jobs_failed = self._counter("calotype_jobs_failed", "Jobs that failed for good.", ("code",))
        self.job_tries = self._counter(
            "calotype_job_tries",
            "Tries of jobs that ended: done, failed, again (queued again), lost (another worker has it), stopped "
            "(cancelled, or this process stopped).",
            ("outcome",),
        )
        self.job_wait_seconds = self._histogram(
            "calotype_job_wait_seconds", "From accepting a job to the beginning of its last try.", _JOB_BUCKETS_S
        )
        self.job_seconds = self._histogram("calotype_job_seconds", "From accepting a job to its end.", _JOB_BUCKETS_S)
        self.webhook_tries = self._counter(
            "calotype_webhook_tries",
            "Tries to deliver a webhook, by the answer's class (2xx, 4xx) or the word for why there was none.",
            ("outcome",),
        )
        self.webhook_seconds = self._histogram(
            "calotype_webhook_try_seconds", "What a try to deliver a webhook took.", _STAGE_BUCKETS_S
        )
        self.webhooks_ended = self._counter(
            "calotype_webhooks_ended", "Webhooks delivered, or given up after all tries.", ("status",)
        )
        self._begin_at_zero()

    def capture_gave(
        self, kind: str, *, is_partial: bool, elapsed_s: float, stages_s: Mapping[str, float], flaws: Sequence[str]
    ) -> None:
        """Count a picture.

        Args:
            stages_s: of the stages that the capture had.
            flaws: kinds; none means that it is ok.
        """
        self.captures.labels(kind, "partial" if is_partial else "ok").inc()
        self.capture_seconds.labels(kind).observe(elapsed_s)
        for stage, seconds in stages_s.items():
            self.stage_seconds.labels(stage).observe(seconds)
        for flaw in flaws or ("ok",):
            self.verdicts.labels(flaw).inc()

    def job_ended(self, status: str, *, wait_s: float | None, elapsed_s: float, error_code: str | None) -> None:
        """Count a job that is final.

        Args:
            wait_s: None: it was never tried.
        """
        self.jobs_finished.labels(status).inc()
        self.job_seconds.observe(elapsed_s)
        if wait_s is not None:
            self.job_wait_seconds.observe(wait_s)
        if error_code is not None:
            self.jobs_failed.labels(error_code).inc()

    def webhook_tried(self, *, status_code: int | None, error: str | None, elapsed_s: float, now: str | None) -> None:
        """Count a try of a webhook, whose delivery is `now` delivered, failed or pending."""
        outcome = f"{status_code // 100}xx" if status_code is not None else error or "internal_error"
        self.webhook_tries.labels(outcome).inc()
        self.webhook_seconds.observe(elapsed_s)
        if now in ("delivered", "failed"):
            self.webhooks_ended.labels(now).inc()

    def _begin_at_zero(self) -> None:
        """Show what can happen before it does: else the first of a kind is no increase to Prometheus."""
        for kind in CAPTURE_KINDS:
            self.capture_seconds.labels(kind)
            for outcome in (*PICTURE_OUTCOMES, *_OTHER_OUTCOMES, *_CAPTURE_ERRORS):
                self.captures.labels(kind, outcome)
        for stage in STAGES:
            self.stage_seconds.labels(stage)
        for flaw in _FLAWS:
            self.verdicts.labels(flaw)
        for code in ERRORS:
            self.http_errors.labels(code)
        for status in ("done", "failed", "cancelled"):
            self.jobs_finished.labels(status)
        for outcome in ("done", "failed", "again", "lost", "stopped"):
            self.job_tries.labels(outcome)
        for status in ("delivered", "failed"):
            self.webhooks_ended.labels(status)

    def _counter(self, name: str, help_: str, labels: tuple[str, ...] = ()) -> Counter:
        self.facts.append(MetricFacts(f"{name}_total", "counter", labels, help_))
        return Counter(name, help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str, buckets_s: Sequence[float], labels: tuple[str, ...] = ()) -> Histogram:
        self.facts.append(MetricFacts(name, "histogram", labels, help_))
        return Histogram(name, help_, labels, buckets=buckets_s, registry=self.registry)
