"""What is stored of a key's secret: nothing that gives it back without the pepper.

Of the secret (256 random bits) only an HMAC-SHA256, keyed with the pepper, is stored. A fast hash is right for a secret
of that size. What the key's links are signed with has to be known, not only recognised: it is derived from the secret
one way, and stored XORed with a pad of its own that the pepper makes. So a copy of the database alone signs nothing.
"""

from __future__ import annotations

import hashlib
import hmac

from calotype.accounts.key_text import KeyText
from calotype.signing import link_secret


class KeySecrets:
    """Hashes secrets with the pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def columns(self, key: KeyText) -> dict[str, bytes]:
        """What a key's row has of its secret."""
        return {
            "secret_hash": self._hash(key.secret),
            "link_secret": self._masked(link_secret(key.secret), key.key_id),
        }

    def is_right(self, secret: str, secret_hash: bytes | None) -> bool:
        """Whether the hash is this secret's; takes as long if there is none."""
        given = self._hash(secret)
        return hmac.compare_digest(given, bytes(len(given)) if secret_hash is None else secret_hash)

    def link_secret(self, masked: bytes, key_id: str) -> bytes:
        """What the links of a key are signed with."""
        return self._masked(masked, key_id)

    def _hash(self, secret: str) -> bytes:
        return hmac.digest(self._pepper, secret.encode(), hashlib.sha256)

    def _masked(self, secret: bytes, key_id: str) -> bytes:
        """Mask a link secret, or unmask it. No other text that the pepper hashes has a colon; ids are used once."""
        pad = hmac.digest(self._pepper, f"link:{key_id}".encode(), hashlib.sha256)
        return bytes(one ^ other for one, other in zip(secret, pad, strict=True))
