"""Signed links: a capture that a web page can embed, without the key that pays for it. Pure; docs/signed-links.md.

A link carries the key's id in the clear, the time until which it holds, and an HMAC-SHA256 over all its parameters.
What is signed are the decoded parameters, in the order of their bytes, so that no proxy, browser or library that writes
the same query otherwise breaks it, and nothing that the server reads is outside the signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

PATH = "/v1/screenshot"
KEY_ID, EXPIRES, SIGNATURE = "key_id", "expires", "signature"
PARAMETERS = frozenset({KEY_ID, EXPIRES, SIGNATURE})
"""What a link has beside the parameters of its capture."""

_SECRET_PURPOSE = b"calotype signed links v1"
_WEBHOOK_PURPOSE = b"calotype webhook"
_EXPIRES = re.compile(r"[0-9]{1,12}")

Query = Sequence[tuple[str, str]]
"""Decoded names and values; a name may come again."""


@dataclass(frozen=True, slots=True)
class SignedLink:
    """What a link says of itself; nothing of it is known to be true."""

    key_id: str
    expires_s: int
    """Seconds since 1970; from then on the link is refused."""
    signature: str
    _query: Query = field(repr=False)

    def is_signed_with(self, secret: bytes) -> bool:
        # The texts, not the bytes they stand for: four texts in base64 stand for the same 32 bytes.
        return hmac.compare_digest(self.signature.encode(), signature_of(self._query, secret).encode())


def link_secret(key_secret: str) -> bytes:
    """Derive what links are signed with from the secret part of a key: the one thing that the server keeps of it."""
    return hmac.digest(key_secret.encode(), _SECRET_PURPOSE, hashlib.sha256)


def webhook_secret(link_secret: bytes) -> bytes:
    """Derive what a key's webhooks are signed with: its user can, from his key; the server can. docs/webhooks.md."""
    return hmac.digest(link_secret, _WEBHOOK_PURPOSE, hashlib.sha256)


def canonical_query(query: Iterable[tuple[str, str]]) -> str:
    """Write parameters in the one way that is signed: sorted as UTF-8, everything but RFC 3986's unreserved encoded.

    Raises:
        UnicodeEncodeError: a text has a lone surrogate.
    """
    pairs = sorted((name.encode(), value.encode()) for name, value in query)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def signature_of(query: Iterable[tuple[str, str]], secret: bytes) -> str:
    """Sign all parameters but the signature: base64url (RFC 4648, section 5) without padding."""
    canonical = canonical_query((name, value) for name, value in query if name != SIGNATURE)
    digest = hmac.digest(secret, f"GET\n{PATH}\n{canonical}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sign(query: Query, *, key_id: str, secret: bytes, expires_s: int) -> str:
    """Return the query string of the link; `query` has the capture's parameters only."""
    whole = [*query, (KEY_ID, key_id), (EXPIRES, str(expires_s))]
    return f"{canonical_query(whole)}&{SIGNATURE}={signature_of(whole, secret)}"


def is_signed(query: Query) -> bool:
    """Whether this means to be a link; one that has lost a part is a broken link, not a request without a key."""
    return any(name in (KEY_ID, SIGNATURE) for name, _ in query)


def read_link(query: Query) -> SignedLink | None:
    """Return what the link says, or None if a part is missing, repeated or malformed."""
    own = [(name, value) for name, value in query if name in PARAMETERS]
    parts = dict(own)
    if len(own) != len(PARAMETERS) or len(parts) != len(PARAMETERS) or not _EXPIRES.fullmatch(parts[EXPIRES]):
        return None
    return SignedLink(parts[KEY_ID], int(parts[EXPIRES]), parts[SIGNATURE], query)
