"""One try: a POST to the receiver, over a connection that the guard's policy has allowed, and what came of it.

The name is looked up once for each try, every address is judged, and one of the judged addresses is dialled, never the
name. The certificate is checked against the name, with the system's authorities. Nothing of the environment, no
cookies, no redirects, no connection kept.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import cast

import httpcore
import structlog

from calotype import __version__
from calotype.guard.address import IPAddress
from calotype.guard.dialer import alternate
from calotype.guard.pins import Pins
from calotype.guard.policy import EgressPolicy
from calotype.settings import TargetRules
from calotype.webhooks.destination import Destination
from calotype.webhooks.schedule import Outcome

TRY_TIMEOUT_S = 15.0
"""For all of a try: DNS, connecting, the certificate, the answer."""

_CONNECT_TIMEOUT_S = 4.0  # for one of several addresses
_MAX_ADDRESSES = 4
_BODY_MAX_BYTES = 4096
_BODY_TIMEOUT_S = 1.0
_log = structlog.get_logger(__name__)

Connect = Callable[[IPAddress, int], Awaitable[httpcore.AsyncNetworkStream]]
"""Opens a connection to an address that was checked; the seam at which tests stand in for the internet.

Raises:
    httpcore.ConnectError, httpcore.ConnectTimeout
"""


async def connect_address(address: IPAddress, port: int) -> httpcore.AsyncNetworkStream:
    """The real one. A literal address: nothing is looked up."""
    backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
    return await backend.connect_tcp(str(address), port)


class Sender:
    """Makes tries. Keeps nothing between them."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        connect: Connect = connect_address,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TRY_TIMEOUT_S,
    ) -> None:
        """
        Args:
            tls: None: the system's certificate authorities (OpenSSL's `SSL_CERT_FILE` and `SSL_CERT_DIR` count).
        """
        self._policy = policy
        self._connect = connect
        self._given_tls = tls
        self._timeout_s = timeout_s

    async def send(self, to: Destination, headers: dict[str, str], body: bytes, rules: TargetRules) -> Outcome:
        """Make one try, with the rules of its key. Never raises for anything that the receiver does."""
        began_s = time.monotonic()
        answer = _Answer()
        error = None
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._exchange(to, headers, body, rules, answer)
        except _Refused as refusal:
            error = refusal.word
        except TimeoutError:
            error = "timeout"
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as failure:
            error = _word_for(failure)
        if answer.status_code is not None:
            error = None  # what came after the status changes nothing
        return Outcome(answer.status_code, error, round((time.monotonic() - began_s) * 1000), answer.retry_after_s)

    async def _exchange(
        self, to: Destination, headers: dict[str, str], body: bytes, rules: TargetRules, answer: _Answer
    ) -> None:
        scheme, host = ("https" if to.is_tls else "http"), to.host.removeprefix("[").removesuffix("]")
        every: dict[str | bytes, str | bytes] = {
            **{"Host": to.host_header, "Content-Length": str(len(body)), "Content-Type": "application/json"},
            **{"User-Agent": f"calotype/{__version__}", "Accept": "*/*", "Connection": "close", **headers},
        }
        way_out = _Guarded(self._policy, to, rules, self._connect)
        connection = httpcore.AsyncHTTPConnection(
            httpcore.Origin(scheme.encode(), host.encode(), to.port),
            ssl_context=self._tls if to.is_tls else None,
            network_backend=way_out,
        )
        async with way_out, connection:
            url = httpcore.URL(scheme=scheme, host=host, port=to.port, target=to.path)
            async with connection.stream("POST", url, headers=every, content=body) as response:
                answer.status_code = response.status
                answer.retry_after_s = _retry_after_s(response.headers)
                async with asyncio.timeout(_BODY_TIMEOUT_S):
                    await _read_some(response)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()


@dataclass(slots=True)
class _Answer:
    """What is known of the answer so far."""

    status_code: int | None = None
    retry_after_s: float = 0.0


class _Refused(Exception):
    """The policy says no."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class _Guarded(httpcore.AsyncNetworkBackend):
    """The only way out of one try: whatever is asked for, it asks the policy about the destination and dials that.

    Closes the connection at the end of its block: httpcore 1.0.9 forgets it when a TLS handshake is cancelled.
    """

    def __init__(self, policy: EgressPolicy, to: Destination, rules: TargetRules, connect: Connect) -> None:
        self._policy = policy
        self._to = to
        self._rules = rules
        self._connect = connect
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *error: object) -> None:
        if self._stream is not None:
            await self._stream.aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._checked_addresses()
        error: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S if address != addresses[-1] else None):
                    self._stream = await self._connect(address, self._to.port)
                    return self._stream
            except (httpcore.ConnectError, httpcore.ConnectTimeout, TimeoutError) as failure:
                error = failure
        raise error

    async def _checked_addresses(self) -> list[IPAddress]:
        pins = Pins()
        try:
            decision = await self._policy.decide(self._to.host, self._to.port, pins, self._rules)
        finally:
            await pins.close()
        if not decision.allowed:
            _log.info("webhook_refused", host=self._to.host_and_port, reason=decision.reason)
            raise _Refused("unresolvable_host" if decision.reason == "unresolvable" else "blocked_target")
        return alternate(decision.addresses)[:_MAX_ADDRESSES]


async def _read_some(response: httpcore.Response) -> None:
    """Let the receiver say what it has to, within bounds: some take a connection closed early for a failure."""
    size = 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        if size >= _BODY_MAX_BYTES:
            break


def _retry_after_s(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """RFC 9110 section 10.2.3: seconds, or a date; 0 if there is none that can be read."""
    text = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0


def _word_for(failure: Exception) -> str:
    causes: list[BaseException] = []
    cause: BaseException | None = failure
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return "tls_failed"
    if isinstance(failure, httpcore.TimeoutException):
        return "timeout"
    return "unreachable" if isinstance(failure, httpcore.ConnectError) else "bad_answer"
