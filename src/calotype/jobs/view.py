"""The job object of the contract, section 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Row

from calotype.capture.result import CaptureMeta

_ALWAYS = ("started_at", "finished_at")

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]


class JobResult(BaseModel):
    """The picture of a job that is done, and its facts."""

    image_base64: str | None = Field(default=None, description="Null when the picture is gone from the storage.")
    image_url: str = Field(description="Where the picture itself is, as long as the job is kept.")
    content_type: str
    meta: CaptureMeta


class JobAnswer(BaseModel):
    """A job. What does not apply to its status is left out. `ok` is true: the question was answered."""

    ok: bool = True
    job_id: str
    status: JobStatus
    priority: int
    created_at: datetime
    started_at: datetime | None = Field(description="When its last try began.")
    finished_at: datetime | None
    attempts: int = Field(description="Tries so far, the one that runs included.")
    queue_position: int | None = Field(default=None, description="While it waits: 1 is next.")
    result: JobResult | None = None
    error: str | None = Field(default=None, description="One sentence; also why a try that is repeated failed.")
    error_code: str | None = None
    error_details: list[dict[str, Any]] | None = None
    webhook_deliveries: list[dict[str, Any]] | None = Field(
        default=None, description="What was posted to the job's webhook, and how that went."
    )


class JobAccepted(BaseModel):
    """A job that was queued."""

    job_id: str
    status: JobStatus = "queued"
    status_url: str


class JobAcceptedAnswer(JobAccepted):
    """The answer to `POST /v1/jobs`."""

    ok: bool = True
    warnings: list[dict[str, Any]]


class BatchAcceptedAnswer(BaseModel):
    """The answer to `POST /v1/jobs/batch`; the jobs are in the order in which they were sent."""

    ok: bool = True
    jobs: list[JobAccepted]
    warnings: list[dict[str, Any]]


class JobListAnswer(BaseModel):
    """Jobs, newest first, without their pictures."""

    ok: bool = True
    jobs: list[JobAnswer]
    next_cursor: str | None = Field(description="For `cursor`, to go on; null at the end.")


def job_url(job_id: str) -> str:
    return f"/v1/jobs/{job_id}"


def accepted(job_id: str) -> JobAccepted:
    return JobAccepted(job_id=job_id, status_url=job_url(job_id))


def job_of(
    row: Row[Any], *, queue_position: int | None = None, deliveries: Sequence[Mapping[str, Any]] | None = None
) -> JobAnswer:
    """The job of a row of the table `jobs`, without the picture."""
    result = None
    if row.result is not None:
        meta = CaptureMeta.model_validate(row.result["meta"])
        image_url = f"{job_url(row.id)}/image"
        result = JobResult(image_url=image_url, content_type=row.result["content_type"], meta=meta)
    error: dict[str, Any] = row.error or {}
    return JobAnswer(
        job_id=row.id,
        status=row.status,
        priority=row.priority,
        created_at=_moment(row.created_us),
        started_at=_moment(row.started_us) if row.started_us else None,
        finished_at=_moment(row.finished_us) if row.finished_us else None,
        attempts=row.attempts,
        queue_position=queue_position,
        result=result,
        error=error.get("message"),
        error_code=error.get("code"),
        error_details=error.get("details") or None,
        webhook_deliveries=[dict(each) for each in deliveries] if deliveries else None,
    )


def job_json(job: JobAnswer) -> dict[str, Any]:
    """As it is sent: `started_at` and `finished_at` always, other fields only where they say something."""
    fields = job.model_dump(mode="json", exclude_none=True)
    if job.result is not None:
        fields["result"] |= {"meta": job.result.meta.model_dump(mode="json")}
    return {name: fields.get(name) for name in JobAnswer.model_fields if name in fields or name in _ALWAYS}


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
