"""What the client raises.

ClientError
├── ApiError        RequestRefused Unauthorized QuotaReached RateLimited Overloaded ServerFault
├── JobFailed
├── NoAnswer
└── WaitEnded
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from calotype.client.answers import Job


class ClientError(Exception):
    """Base of all below."""


class ApiError(ClientError):
    """The server answered with an error. Program against `code` (docs/errors.md), not against the message."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        details: list[dict[str, Any]],
        request_id: str | None,
        retry_after_s: float | None,
    ) -> None:
        self.message = message
        self.status = status
        self.code = code
        """`unknown` if the answer was not the server's own, but a proxy's, say."""
        self.details = details
        """What is wrong with which field: `field` and `message` in each."""
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        super().__init__(f"{message} ({code}, status {status})")


class RequestRefused(ApiError):
    """400 to 415: the request can't be met as it is. Sending it again does not help."""


class Unauthorized(ApiError):
    """401: no key, or not a valid one."""


class QuotaReached(ApiError):
    """422: the plan's credits are used up."""


class RateLimited(ApiError):
    """429, after all retries."""


class Overloaded(ApiError):
    """503, after all retries: the server has as much to do as it accepts, or is stopping."""


class ServerFault(ApiError):
    """500 and others: the page could not be captured (`capture_timeout`, `page_crashed`, …), or the server failed."""


class JobFailed(ClientError):
    """The job has ended without a picture."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.code = job.error_code
        super().__init__(f"The job {job.id} is {job.status}: {job.error or 'it has no picture'}")


class NoAnswer(ClientError):
    """The server could not be reached, or the connection broke off, after all retries. `__cause__` says how."""


class WaitEnded(ClientError):
    """The job was not final in time. It goes on; wait again with its id."""

    def __init__(self, job: Job) -> None:
        self.job = job
        super().__init__(f"The job {job.id} is still {job.status}.")


_BY_STATUS = {401: Unauthorized, 422: QuotaReached, 429: RateLimited, 503: Overloaded}


def error_of(status: int, headers: Mapping[str, str], body: Any) -> ApiError:
    """Make the error from a failure's answer; `body` is its JSON, None if it had none."""
    told = _object(_object(body).get("error"))
    if not told:
        told["code"] = "unknown"
        told["message"] = f"The answer has status {status} and is not calotype's."
    kind = _BY_STATUS.get(status) or (RequestRefused if status < 500 else ServerFault)
    return kind(
        str(told.get("message")),
        status=status,
        code=str(told.get("code")),
        details=list(told.get("details") or ()),
        request_id=told.get("request_id") or headers.get("x-request-id"),
        retry_after_s=_seconds(headers.get("retry-after")),
    )


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _seconds(text: str | None) -> float | None:
    # A date (RFC 9110 section 10.2.3) comes from proxies only; the pause without a hint is good enough then.
    return float(text) if text is not None and text.strip().isdecimal() else None
