"""What the client gives back."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from calotype.client.errors import JobFailed

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]
_FINAL = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Screenshot:
    """A picture and its facts."""

    image: bytes = field(repr=False)
    content_type: str
    meta: dict[str, Any] = field(repr=False)
    """As in the answer: `width`, `height`, `title`, `final_url`, `partial`, `verdict`, `warnings`, `timings`, …"""

    @property
    def is_complete(self) -> bool:
        """Whether the picture is what was asked for: not cut short by the timeout, and nothing suspicious about it."""
        return not self.meta.get("partial") and self.meta.get("verdict", "ok") == "ok"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture, whole or not at all; return where."""
        target = Path(path)
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            draft.write_bytes(self.image)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return target


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was when the server was asked."""

    id: str
    status: JobStatus
    priority: int = 0
    attempts: int = 0
    created_at: str | None = None
    """RFC 3339, as the two below."""
    started_at: str | None = None
    finished_at: str | None = None
    queue_position: int | None = None
    error: str | None = None
    error_code: str | None = None
    picture: Screenshot | None = None
    """Of a job that is done; None also when the picture is gone from the server, or was not asked for."""
    image_url: str | None = None

    @property
    def is_final(self) -> bool:
        return self.status in _FINAL

    def screenshot(self) -> Screenshot:
        """
        Raises:
            JobFailed: there is none.
        """
        if self.picture is None:
            raise JobFailed(self)
        return self.picture


def screenshot_of(answer: dict[str, Any]) -> Screenshot:
    """Read the answer of `POST /v1/screenshot`, or a job's result that has its picture."""
    return Screenshot(base64.b64decode(answer["image_base64"]), answer["content_type"], answer["meta"])


def job_of(answer: dict[str, Any]) -> Job:
    """Read a job object (contract, section 4)."""
    result: dict[str, Any] = answer.get("result") or {}
    known = ("priority", "attempts", "created_at", "started_at", "finished_at", "queue_position", "error", "error_code")
    return Job(
        id=answer["job_id"],
        status=answer["status"],
        picture=screenshot_of(result) if result.get("image_base64") is not None else None,
        image_url=result.get("image_url"),
        **{name: answer[name] for name in known if name in answer},
    )
