"""The server's certificate: TLS 1.2 and 1.3, read anew when asked, without ending a connection.

Ciphers are those of Mozilla's "intermediate" list (https://wiki.mozilla.org/Security/Server_Side_TLS) without
finite-field Diffie-Hellman, which no current client needs; those of TLS 1.3 are all sound.
"""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import structlog

from calotype.errors import CalotypeError
from calotype.settings import ServerSettings

_log = structlog.get_logger(__name__)

_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}" for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)  # fmt: skip
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class CertificateUnusable(CalotypeError):
    """The message names the file and what is wrong with it."""


class Certificate:
    """`context` is what to serve with; `reload` reads the files again."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises CertificateUnusable."""
        self._cert, self._key = cert, key
        self._newest = self.context = self._read()
        self.context.sni_callback = self._choose

    @classmethod
    def of(cls, settings: ServerSettings) -> Certificate | None:
        """The one of the settings; None: none is set. Raises CertificateUnusable."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key)

    def reload(self) -> None:
        """Use the files as they are now, for connections to come; the old ones if they are no good."""
        try:
            self._newest = self._read()
        except CertificateUnusable as error:
            _log.error("certificate_not_reloaded", error=error.message)
        else:
            _log.info("certificate_reloaded", cert=str(self._cert))

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # Called for every handshake, with or without a name. A context that has served can't unlearn its old key.
        connection.context = self._newest

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        for path in (self._cert, self._key):
            try:
                path.read_bytes()
            except OSError as error:
                raise CertificateUnusable(f"Can't read {path}: {error.strerror}.") from error
        try:
            context.load_cert_chain(self._cert, self._key, password=self._no_password)
        except ssl.SSLError as error:
            raise CertificateUnusable(f"Can't use {self._cert} with {self._key}: {_reason(error)}.") from error
        if self._key.stat().st_mode & _OPEN_TO_OTHERS:
            _log.warning("key_readable_by_others", key=str(self._key), fix=f"chmod 600 {self._key}")
        return context

    def _no_password(self) -> str:
        # Else OpenSSL asks for it on the terminal.
        raise CertificateUnusable(f"{self._key} is encrypted. Write it without a password: openssl pkey -in … -out ….")


def _reason(error: ssl.SSLError) -> str:
    words = {
        "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
        "EE_KEY_TOO_SMALL": "the key is too small",
    }
    if error.reason in (None, "NO_START_LINE"):
        return "there is no certificate in PEM in the one, or no key in the other"
    return words.get(error.reason, error.reason.replace("_", " ").lower())
