"""The URL that a user wants his messages at: read as browsers read it, refused early where it can never be dialled."""

from __future__ import annotations

from dataclasses import dataclass

import ada_url

from calotype.errors import BlockedTarget, CalotypeError, InvalidUrl, TargetError
from calotype.guard.hostname import DEFAULT_PORTS
from calotype.guard.policy import EgressPolicy, host_and_port
from calotype.settings import TargetRules

URL_MAX_CHARS = 2048
_FIELD = "webhook.url"
_BLOCKED = "The webhook's URL is at an address or a port that this server does not call."


@dataclass(frozen=True, slots=True)
class Destination:
    """A webhook's URL, taken apart."""

    is_tls: bool
    host: str
    """A name in lower-case ASCII or an address; IPv6 in brackets."""
    port: int
    path: str
    """With the query; percent-encoded."""

    @property
    def host_and_port(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        return self.host if self.port == DEFAULT_PORTS["https:" if self.is_tls else "http:"] else self.host_and_port


def read_destination(url: str) -> Destination:
    """
    Raises:
        InvalidUrl: it can't be parsed, is not http or https, is too long, or has a user's name or password.
    """
    if len(url) > URL_MAX_CHARS:
        raise _invalid(f"The webhook's URL has more than {URL_MAX_CHARS} characters.")
    try:
        host, port = host_and_port(url)
    except InvalidUrl as error:
        raise _invalid(error.message.replace("The URL", "The webhook's URL", 1)) from None
    parsed = ada_url.URL(url)
    if parsed.username or parsed.password:
        raise _invalid("The webhook's URL must not have a user name or a password.")
    return Destination(parsed.protocol == "https:", host, port, f"{parsed.pathname}{parsed.search}")


def check_destination(url: str, policy: EgressPolicy, rules: TargetRules) -> Destination:
    """Refuse a URL that can never be called, before anything is queued. No DNS: a pass promises nothing.

    Raises:
        InvalidUrl, BlockedTarget: `details` name `webhook.url`.
    """
    destination = read_destination(url)
    try:
        policy.precheck(url, rules)
    except TargetError as error:
        raise BlockedTarget(_BLOCKED, details=_details(_BLOCKED, error)) from None
    except InvalidUrl as error:
        raise InvalidUrl(error.message, details=_details(error.message, error)) from None
    return destination


def _details(message: str, error: CalotypeError) -> list[dict[str, str]]:
    reasons = [{"reason": str(detail["reason"])} for detail in error.details if "reason" in detail]
    return [{"field": _FIELD, "message": message, **(reasons[0] if reasons else {})}]


def _invalid(message: str) -> InvalidUrl:
    return InvalidUrl(message, details=[{"field": _FIELD, "message": message}])
