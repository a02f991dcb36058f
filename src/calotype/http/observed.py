"""Counts and traces requests, for the front. Labels are routes' templates: a path is whatever a caller likes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import cast

from starlette.types import Scope

from calotype.errors import ERRORS
from calotype.http.record import RequestRecord
from calotype.http.services import Operated
from calotype.telemetry.traces import NO_SPAN, Span, logged

UNWATCHED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds, and never of interest: no spans, and log lines only when something is wrong."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE = "none"


class Observer:
    """One per application."""

    def __init__(self, trace_callers: Iterable[str]) -> None:
        """
        Args:
            trace_callers: networks whose traces are continued.
        """
        self._trace_callers: list[IPv4Network | IPv6Network] = [ip_network(each) for each in trace_callers]

    @contextmanager
    def request(self, scope: Scope) -> Generator[Observed]:
        """Watch a request; call `answered` on what this gives."""
        operated = cast("Operated", scope["app"].state.services)
        if scope["path"] in UNWATCHED:
            yield Observed(scope, operated, NO_SPAN)
            return
        with operated.telemetry.traces.request(_method(scope), self._context(scope)) as span, logged(span):
            yield Observed(scope, operated, span)

    def _context(self, scope: Scope) -> dict[str, str]:
        """The trace that the caller is in, if he is trusted to say so."""
        if not self._trace_callers or not self._is_trusted(scope):
            return {}
        names = (b"traceparent", b"tracestate")
        found = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"] if name in names]
        return dict(found) if len({name for name, _ in found}) == len(found) else {}

    def _is_trusted(self, scope: Scope) -> bool:
        client: tuple[str, int] | None = scope.get("client")
        try:
            address = ip_address(client[0]) if client else None
        except ValueError:  # a Unix socket's
            return False
        return address is not None and any(address in network for network in self._trace_callers)


class Observed:
    """A request under way."""

    def __init__(self, scope: Scope, operated: Operated, span: Span) -> None:
        self._scope = scope
        self._metrics = operated.telemetry.metrics
        self._span = span
        self._began_s = time.perf_counter()

    def answered(self, status: int, record: RequestRecord) -> None:
        method, route = _method(self._scope), _route(self._scope)
        self._metrics.http_requests.labels(method, route, str(status)).inc()
        self._metrics.http_seconds.labels(method, route).observe(time.perf_counter() - self._began_s)
        if record.error_code in ERRORS:
            self._metrics.http_errors.labels(record.error_code).inc()
        self._tell(method, route, status, record)

    def _tell(self, method: str, route: str, status: int, record: RequestRecord) -> None:
        # Names: https://opentelemetry.io/docs/specs/semconv/http/http-spans/. No `url.query`: it may hold a key. No
        # `url.path`: the template says what it is, and the id of a job opens it.
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.response.status_code": status,
            "url.scheme": self._scope.get("scheme", "http"),
            "calotype.request_id": record.request_id,
        }
        if route != _NO_ROUTE:
            self._span.rename(f"{method} {route}")
            attributes["http.route"] = route
        if record.key_id is not None:
            attributes["calotype.key_id"] = record.key_id
        if record.error_code is not None:
            attributes["error.type"] = record.error_code
        self._span.set(attributes)
        if status >= 500:  # what a caller did wrong is no error of this side's span
            self._span.fail(record.error_code or str(status))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "_OTHER"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path_format", None) or _NO_ROUTE
