"""Counts what becomes of jobs and of their webhooks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from calotype.jobs.announcing import announce
from calotype.telemetry.metrics import Metrics
from calotype.webhooks.schedule import Outcome
from calotype.webhooks.table import Claimed

_SECOND_US = 1_000_000


class JobCounts:
    """Its methods are the hooks of `Endings` and `Courier`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_final(self, connection: Connection, row: Row[Any]) -> None:
        """Announce and count. In the transaction: a commit that fails has counted a job that ends once more later."""
        announce(connection, row)
        wait_us = None if row.started_us is None else row.started_us - row.created_us
        self._metrics.job_ended(
            row.status,
            wait_s=None if wait_us is None else max(0, wait_us) / _SECOND_US,
            elapsed_s=max(0, row.finished_us - row.created_us) / _SECOND_US,
            error_code=row.error["code"] if row.error and row.status == "failed" else None,
        )

    def on_tried(self, claimed: Claimed, outcome: Outcome, status: str | None) -> None:
        self._metrics.webhook_tried(
            status_code=outcome.status_code, error=outcome.error, elapsed_s=outcome.elapsed_ms / 1000, now=status
        )
