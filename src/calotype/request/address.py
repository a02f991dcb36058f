"""URLs as browsers read them (WHATWG), by the parser that decides like Chromium does.

`urllib` reads many spellings otherwise, and every difference is a hole or a wrong refusal. Nothing is resolved here.
"""

from __future__ import annotations

import re

import ada_url

from calotype.request.kinds import Refusal

URL_MAX_CHARS = 2_048
_INPUT_MAX_CHARS = 65_536
"""Nothing longer is worth looking at, white space around it included."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"[^/?#\\@:]+:[0-9]{1,5}(?:[/?#\\]|$)")
_OTHER_SCHEMES = frozenset(
    {"about", "blob", "chrome", "data", "file", "filesystem", "ftp", "ftps", "gopher", "intent", "javascript", "mailto"}
    | {"sms", "ssh", "tel", "urn", "view-source", "ws", "wss"}
)
"""Known not to be host names, so that `javascript:1` is not taken for a host and a port."""
_C0_AND_SPACE = "".join(map(chr, range(0x21)))


def normalise_url(text: str) -> str:
    """Return the URL as the browser will ask for it; `example.com` and `example.com:8080/x` get `https://`.

    Raises:
        Refusal: of kind `invalid_url`.
    """
    if len(text) > _INPUT_MAX_CHARS:
        raise _too_long(len(text))
    text = text.strip(_C0_AND_SPACE)
    if len(text) > URL_MAX_CHARS:
        raise _too_long(len(text))
    url = _parse(_with_scheme(text))
    if url.username or url.password:
        raise _invalid("must not contain a user name or password; send `basic_auth`")
    if len(url.href) > URL_MAX_CHARS:
        raise _too_long(len(url.href))
    return url.href


def normalise_origin(text: str) -> str:
    """Return `https://host:port` of an origin; a path, query or fragment is refused rather than cut off."""
    href = normalise_url(text)
    origin = str(ada_url.URL(href).origin)
    if href != f"{origin}/":
        raise _invalid("must be an origin alone, such as https://cdn.example.com, with no path or query")
    return origin


def _with_scheme(text: str) -> str:
    if not text:
        raise _invalid("must not be empty; send an address such as https://example.com")
    if text.startswith(("//", "\\\\")):
        return f"https:{text}"
    match = _SCHEME.match(text)
    if match is None:
        return _with_host(text)
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme in {"http", "https"}:
        return text
    if scheme not in _OTHER_SCHEMES and not rest.startswith("/") and (_HOST_AND_PORT.match(text) or "@" in rest):
        return f"https://{text}"
    raise _invalid(f"must be an http or https URL, not {scheme[:20]}:")


def _with_host(text: str) -> str:
    if text[0] in "/\\?#.":
        raise _invalid("must be a whole URL, such as https://example.com/path; this one has no host")
    return f"https://{text}"


def _parse(text: str) -> ada_url.URL:
    try:
        return ada_url.URL(text)
    except ValueError:
        raise _invalid("can't be parsed as a URL; check its host and port and percent-encode what is special") from None


def _too_long(length: int) -> Refusal:
    return _invalid(
        f"must be at most {URL_MAX_CHARS} characters long, as it is sent and when encoded; this one has {length}"
    )


def _invalid(message: str) -> Refusal:
    return Refusal(message, "invalid_url")
