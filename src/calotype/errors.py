"""Every error calotype raises on purpose, and the one table of what each means.

    CalotypeError
    ├── RequestError    InvalidRequest InvalidUrl NotFound MethodNotAllowed BodyTooLarge UnsupportedMediaType
    │                   IdempotencyConflict JobFinished
    ├── AuthError       ApiKeyMissing ApiKeyInvalid
    ├── LimitError      QuotaReached RateLimited Overloaded ShuttingDown
    ├── TargetError     BlockedTarget UnresolvableHost TargetUnreachable TargetStatus
    ├── CaptureError    SelectorNotFound ActionFailed ResultTooLarge CaptureTimeout PageCrashed
    └── InternalError

Domain code raises these; only `http/envelope.py`, `cli.py` and the job runner translate them (to an HTTP answer, an
exit status, a retry). Statuses and codes are the contract's, section 4, and permanent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

Detail = dict[str, Any]
"""One entry of an error's `details`: `{"field": "viewport.width", "message": "…", …}`."""


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """What an error code means to everybody who handles it."""

    status: int
    when: str
    retryable: bool = False
    """A later try of the same request may succeed: jobs retry, clients may."""
    refunded: bool = True
    """The reserved credit is given back."""
    log_level: str = "info"


ERRORS: dict[str, ErrorSpec] = {
    "invalid_request": ErrorSpec(400, "A field is missing, of the wrong type, out of bounds or contradicts another."),
    "invalid_url": ErrorSpec(400, "The URL can't be parsed, or is not http or https."),
    "blocked_target": ErrorSpec(400, "The page is, or leads to, an address that this server does not visit."),
    "unresolvable_host": ErrorSpec(400, "The page's host name has no address."),
    "selector_not_found": ErrorSpec(400, "No element matched the selector before the timeout."),
    "action_failed": ErrorSpec(400, "A step of `actions` that is not optional failed."),
    "target_status": ErrorSpec(400, "The page answered with a status listed in `fail_on_status`."),
    "result_too_large": ErrorSpec(400, "The picture is larger than its format, or this server, can hold."),
    "api_key_missing": ErrorSpec(401, "The request carries no API key, or for the operator's API no admin token."),
    "api_key_invalid": ErrorSpec(
        401,
        "The API key, signed link or admin token is unknown, altered, revoked, expired, or for another service.",
    ),
    "not_found": ErrorSpec(404, "There is nothing at this path, or no such job or key."),
    "method_not_allowed": ErrorSpec(405, "The path exists, but not for this HTTP method."),
    "idempotency_conflict": ErrorSpec(409, "The Idempotency-Key was used with another body."),
    "job_finished": ErrorSpec(409, "The job is final and can't be cancelled."),
    "body_too_large": ErrorSpec(413, "The request body is over the server's limit."),
    "unsupported_media_type": ErrorSpec(415, "The request body is not application/json."),
    "quota_reached": ErrorSpec(422, "The credits of the plan are used up."),
    "rate_limited": ErrorSpec(429, "More requests per second than the plan allows.", retryable=True),
    "capture_timeout": ErrorSpec(500, "The page was not ready within `render.timeout_ms`.", retryable=True),
    "target_unreachable": ErrorSpec(500, "The page's server refused, reset or never answered.", retryable=True),
    "page_crashed": ErrorSpec(
        500, "The page took its renderer, or the browser, down.", retryable=True, log_level="warning"
    ),
    "internal_error": ErrorSpec(
        500, "A fault of this server; the log has it under the request id.", retryable=True, log_level="error"
    ),
    "overloaded": ErrorSpec(
        503, "This server has as many captures waiting as it accepts.", retryable=True, log_level="warning"
    ),
    "shutting_down": ErrorSpec(503, "This server is stopping.", retryable=True),
}


class CalotypeError(Exception):
    """Base of every error below. `message` is public: it names the field and the fix and leaks nothing internal."""

    code: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str | None = None, *, details: Sequence[Detail] = (), retry_after_s: float | None = None
    ) -> None:
        self.message = message or self.spec.when
        self.details: list[Detail] = list(details)
        self.retry_after_s = retry_after_s
        super().__init__(self.message)

    @property
    def spec(self) -> ErrorSpec:
        return ERRORS[self.code]


class RequestError(CalotypeError):
    """The request can't be understood or applied."""


class AuthError(CalotypeError):
    """The caller is not known."""


class LimitError(CalotypeError):
    """The caller, or this server, is at a limit."""


class TargetError(CalotypeError):
    """The page's server is the reason."""


class CaptureError(CalotypeError):
    """The page loaded, the capture failed."""


class InternalError(CalotypeError):
    """Ours. Raised with the default message only; the cause is chained and logged."""

    code = "internal_error"


class InvalidRequest(RequestError):
    code = "invalid_request"


class InvalidUrl(RequestError):
    code = "invalid_url"


class NotFound(RequestError):
    code = "not_found"


class MethodNotAllowed(RequestError):
    code = "method_not_allowed"


class BodyTooLarge(RequestError):
    code = "body_too_large"


class UnsupportedMediaType(RequestError):
    code = "unsupported_media_type"


class IdempotencyConflict(RequestError):
    code = "idempotency_conflict"


class JobFinished(RequestError):
    code = "job_finished"


class ApiKeyMissing(AuthError):
    code = "api_key_missing"


class ApiKeyInvalid(AuthError):
    code = "api_key_invalid"


class QuotaReached(LimitError):
    code = "quota_reached"


class RateLimited(LimitError):
    code = "rate_limited"


class Overloaded(LimitError):
    code = "overloaded"


class ShuttingDown(LimitError):
    code = "shutting_down"


class BlockedTarget(TargetError):
    code = "blocked_target"


class UnresolvableHost(TargetError):
    code = "unresolvable_host"


class TargetUnreachable(TargetError):
    code = "target_unreachable"


class TargetStatus(TargetError):
    code = "target_status"


class SelectorNotFound(CaptureError):
    code = "selector_not_found"


class ActionFailed(CaptureError):
    code = "action_failed"


class ResultTooLarge(CaptureError):
    code = "result_too_large"


class CaptureTimeout(CaptureError):
    code = "capture_timeout"


class PageCrashed(CaptureError):
    code = "page_crashed"


def error_from(content: Mapping[str, Any]) -> CalotypeError:
    """Make an error again from its `code`, `message` and `details`."""
    kind = _BY_CODE.get(content["code"], InternalError)
    return kind(content["message"], details=content["details"])


def _kinds(kind: type[CalotypeError]) -> Iterator[type[CalotypeError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


_BY_CODE = {kind.code: kind for kind in _kinds(CalotypeError) if not kind.__subclasses__()}
