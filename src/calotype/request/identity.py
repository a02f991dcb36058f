"""Who the browser is to the page: cookies, headers, credentials, place, language and time zone.

Cookies and headers come in several shapes and leave here in one. Their values are secrets.
"""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from calotype.request.address import normalise_origin
from calotype.request.kinds import Between, Items, Part, Refusal, Secret, has_control, max_chars, not_empty, secret

COOKIE_MAX_BYTES = 4_096
"""Of name and value together: browsers drop a larger cookie without a word (RFC 6265bis, section 5.6)."""
HEADER_VALUE_MAX_CHARS = 8_192

_BLANK = " \t"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_COOKIE_NAME = re.compile(r"[^\x00-\x20\x7f-\U0010ffff=;,\"\\]+")  # RFC 6265 and the `a[b]` that sites use all the same
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_\-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_\-]*[a-z0-9])?)*|\[[0-9a-f:.]+\]")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_ZONE_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+)*")
_NOT_ZONES = frozenset({"factory", "localtime", "posixrules"})
_FEWEST_ZONES = 100
"""A system that knows fewer has no time zone database: then only the shape of the name is checked."""
_FORBIDDEN_HEADERS = frozenset(
    {"connection", "content-length", "host", "http2-settings", "keep-alive", "te", "trailer", "trailers"}
    | {"transfer-encoding", "upgrade"}
    | {"cookie2", "set-cookie"}  # Chromium refuses to send a request with them (services/network, header_util.cc)
)


def _cookie_name(name: str) -> str:
    if not _COOKIE_NAME.fullmatch(name):
        raise Refusal('must be a cookie name: visible ASCII characters without spaces, = ; , " and backslashes')
    return name


def _cookie_value(value: str) -> str:
    if has_control(value) or ";" in value:
        raise Refusal("must not contain a semicolon or control characters; percent-encode them")
    return value


def _cookie_domain(domain: str) -> str:
    host = domain.lower()
    if not host.isascii():
        raise Refusal("must be a host name in ASCII; write an international name in its xn-- form")
    if len(host) > 253 or not _HOST_NAME.fullmatch(host.removeprefix(".")):
        raise Refusal("must be a host name such as example.com or .example.com, with no scheme, port or path")
    return host


def _cookie_path(path: str) -> str:
    if not path.startswith("/") or has_control(path) or ";" in path:
        raise Refusal("must be a path that begins with /, without semicolons and control characters")
    return path


def _same_site(value: Any) -> Any:
    return value.capitalize() if isinstance(value, str) else value


def _expires(value: Any) -> Any:
    return None if value == -1 else value  # as other tools export session cookies


class Cookie(Part):
    """A cookie that is set before the page is opened."""

    name: Annotated[str, AfterValidator(_cookie_name)] = Field(description="Name.", examples=["session"])
    value: Annotated[Secret, secret(_cookie_value)] = Field(description="Value; never logged.", examples=["d41d8cd98f"])
    domain: Annotated[str, AfterValidator(_cookie_domain)] | None = Field(
        default=None,
        description="Host it is for; with a leading dot, its subdomains too. Unset: the target's host.",
        examples=[".example.com"],
    )
    path: Annotated[str, AfterValidator(_cookie_path)] = Field(
        default="/", description="Path it is for.", examples=["/"]
    )
    secure: bool = Field(default=False, description="Sent over https only.", examples=[True])
    http_only: bool = Field(default=False, description="Hidden from scripts.", examples=[True])
    same_site: Annotated[
        Literal["Strict", "Lax", "None"] | None, BeforeValidator(_same_site, json_schema_input_type=str | None)
    ] = Field(
        default=None, description="`Strict`, `Lax` or `None`, in any case; `None` needs `secure`.", examples=["Lax"]
    )
    expires: Annotated[
        Annotated[float, Between(0, 253_402_300_799)] | None,
        BeforeValidator(_expires, json_schema_input_type=float | None),
    ] = Field(
        default=None,
        description="Seconds since 1970; unset or -1 for a session cookie.",
        examples=[1893456000],
    )

    @model_validator(mode="after")
    def _browsers_keep_it(self) -> Cookie:
        if self.same_site == "None" and not self.secure:
            raise Refusal("has same_site None, which browsers accept with secure: true only", "contradiction")
        size = len(self.name) + len(self.value.get_secret_value().encode())
        if size > COOKIE_MAX_BYTES:
            raise Refusal(f"must be at most {COOKIE_MAX_BYTES} bytes, name and value together", "too_long")
        return self


def one_shape_of_cookies(value: Any) -> Any:
    """Turn `"a=b; c=d"` and `{name: value}` into the list of objects."""
    if isinstance(value, str):
        return [_pair(part) for part in value.split(";") if part.strip()]
    if isinstance(value, Mapping):
        return [{"name": name, "value": content} for name, content in cast("Mapping[Any, Any]", value).items()]
    return value


def _pair(text: str) -> dict[str, str]:
    name, equals, value = text.strip(_BLANK).partition("=")
    if not equals:
        raise Refusal('must be pairs such as "a=b; c=d"; one of them has no equals sign')
    return {"name": name.strip(_BLANK), "value": value.strip(_BLANK)}


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise Refusal("must be a header name: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~ only")
    if name.lower() in _FORBIDDEN_HEADERS or name.lower().startswith("proxy-"):
        raise Refusal("can't be set: the browser fills it in, or never sends it")
    return name


def header_value(value: str) -> str:
    """Check a header's value (RFC 9110, section 5.5) and strip the white space around it."""
    if has_control(value):
        raise Refusal("must not contain line breaks, NUL or other control characters")
    return value.strip(_BLANK)


class HeaderRule(Part):
    """A request header and the origins that get it."""

    name: Annotated[str, StringConstraints(max_length=256), AfterValidator(_header_name)] = Field(
        description="Name; hop-by-hop names, `Host` and `Content-Length` are refused.", examples=["Authorization"]
    )
    value: Annotated[Secret, secret(max_chars(HEADER_VALUE_MAX_CHARS)), secret(header_value)] = Field(
        description="Value; never logged.", examples=["Bearer abc"]
    )
    origins: (
        Annotated[
            Items[Annotated[str, AfterValidator(normalise_origin)]], Field(max_length=20), AfterValidator(not_empty)
        ]
        | None
    ) = Field(
        default=None,
        description="Origins it is sent to. Unset: the target's own.",
        examples=[["https://cdn.example.com"]],
    )


def one_shape_of_headers(value: Any) -> Any:
    """Turn `{name: value}` into the list of rules."""
    if isinstance(value, Mapping):
        return [{"name": name, "value": content} for name, content in cast("Mapping[Any, Any]", value).items()]
    return value


def no_header_twice(rules: tuple[HeaderRule, ...]) -> tuple[HeaderRule, ...]:
    """Refuse two values of one header for one origin: which of them would be sent?"""
    seen: set[tuple[str, str | None]] = set()
    for rule in rules:
        keys = {(rule.name.lower(), origin) for origin in rule.origins or (None,)}
        if keys & seen:
            raise Refusal(
                f"must not give {rule.name[:64]} twice for one origin; header names ignore case", "contradiction"
            )
        seen |= keys
    return rules


class BasicAuth(Part):
    """HTTP authentication of the target."""

    username: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(
        description="User name.", examples=["staging"]
    )
    password: Annotated[Secret, secret(max_chars(1_024))] = Field(
        default=SecretStr(""), description="Password; never logged.", examples=["letmein"]
    )


class Geolocation(Part):
    """Where the page is told that the browser is."""

    latitude: Annotated[float, Between(-90, 90)] = Field(description="Degrees north.", examples=[52.52])
    longitude: Annotated[float, Between(-180, 180)] = Field(description="Degrees east.", examples=[13.405])
    accuracy: Annotated[float, Between(0, 100_000)] = Field(default=0.0, description="Radius in metres.", examples=[10])


def normalise_locale(text: str) -> str:
    """Spell a BCP 47 tag its usual way: `de_de` becomes `de-DE`."""
    tag = text.strip().replace("_", "-")
    if len(tag) > 35 or not _LOCALE.fullmatch(tag):
        raise Refusal("must be a language tag such as en, de-DE or zh-Hant-TW")
    language, *rest = tag.split("-")
    return "-".join([language.lower(), *map(_spell_subtag, rest)])


def _spell_subtag(subtag: str) -> str:
    if len(subtag) == 2:
        return subtag.upper()
    return subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag.lower()


@functools.cache
def known_zones() -> dict[str, str]:
    return {name.lower(): name for name in zoneinfo.available_timezones() if name.lower() not in _NOT_ZONES}


def normalise_timezone(text: str) -> str:
    """Spell an IANA time zone its official way."""
    name = text.strip()
    zones = known_zones()
    known = zones.get(name.lower())
    if known is None and len(zones) < _FEWEST_ZONES and len(name) <= 64 and _ZONE_SHAPE.fullmatch(name):
        known = name
    if known is None:
        raise Refusal("must be an IANA time zone such as Europe/Berlin, Asia/Tokyo or UTC")
    return known


def printable(text: str) -> str:
    """Check a `User-Agent`: visible ASCII and spaces."""
    if not text.isascii() or not text.isprintable():
        raise Refusal("must be visible ASCII characters and spaces")
    return text
