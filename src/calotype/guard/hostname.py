"""Host names and literals as a browser reads them, and the names that never lead to the public internet.

Pure, no DNS. The WHATWG parser decides what is an address: `0x7f.1` and `2130706433` are 127.0.0.1 here as well.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

import ada_url

from calotype.guard.address import IPAddress, parse_address

DEFAULT_PORTS = {"http:": 80, "https:": 443, "ws:": 80, "wss:": 443}
"""By the protocol of a URL, as the URL parser spells it. No other protocol gets as far as the network."""

LOCALHOST_ADDRESSES: tuple[IPAddress, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
"""What `localhost` and everything below it is (RFC 6761 section 6.3); DNS is never asked."""

_INTERNAL_ZONES = (
    ".localdomain",  # the classic /etc/hosts name of a machine
    ".local",  # RFC 6762 section 3 (mDNS); Kubernetes' cluster.local
    ".internal",  # reserved by ICANN for private use; Docker's and Google Cloud's own names
    ".home.arpa",  # RFC 8375
    *(".intranet", ".private", ".corp", ".home", ".lan"),  # RFC 6762 appendix G: private zones, never to be delegated
)
_NAME_MAX_CHARS = 253  # RFC 1035 section 2.3.4, without the root's dot
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_BARE_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[^\s/?#@\\:\[\]]+")


def parse_host(text: str) -> IPAddress | str:
    """Return the address that a browser takes the host for, or the name in lower-case ASCII without the root's dot.

    Raises:
        ValueError: a browser would not take it, or no DNS name can be like that.
    """
    if not _BARE_HOST.fullmatch(text):
        raise ValueError("not a host")
    try:
        hostname = str(ada_url.URL(f"http://{text}/").hostname)
    except ValueError:
        raise ValueError("not a host") from None
    if hostname.startswith("["):
        return parse_address(hostname[1:-1])
    name = hostname.removesuffix(".")
    if _is_dotted_quad(name):
        return parse_address(name)
    if len(name) > _NAME_MAX_CHARS or not _NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name


def split_port(text: str) -> tuple[str, int | None]:
    """Split `host`, `host:port`, `[ipv6]:port` or a bare IPv6 address, which comes back in brackets.

    Raises:
        ValueError: what stands for the port is none.
    """
    if text.count(":") > 1 and not text.startswith("["):
        return f"[{text}]", None
    host, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, None
    if not (digits.isascii() and digits.isdecimal() and 0 < int(digits) < 65536):
        raise ValueError("the port must be 1 to 65535")
    return host, int(digits)


def is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def is_internal(name: str) -> bool:
    """Whether the name can only mean something of the inner network: one label, or in a private zone. Not localhost."""
    return not is_localhost(name) and ("." not in name or name.endswith(_INTERNAL_ZONES))


def _is_dotted_quad(name: str) -> bool:
    # The parser has turned every spelling of an IPv4 address into this one; a name can't end in a number.
    return name.rpartition(".")[2].isdecimal()
