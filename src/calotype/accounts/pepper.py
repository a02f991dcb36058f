"""The pepper: the secret that keys are hashed with, without which a copy of the database is of no use.

From the settings, or made once in a file of the data directory that only its owner can read. Every server of a database
needs the same one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from calotype.errors import CalotypeError
from calotype.settings import Settings

_PEPPER_BYTES = 32


class PepperUnusable(CalotypeError):
    """There is a pepper, but an empty one."""


def load_pepper(settings: Settings) -> bytes:
    """The secret that keys are hashed with: the setting, or the one in `<data_dir>/pepper`, made at first use.

    Raises:
        PepperUnusable: it is empty.
        OSError: the file can't be made or read.
    """
    if settings.keys.pepper is not None:
        pepper = settings.keys.pepper.get_secret_value().encode()
        if not pepper:
            raise PepperUnusable("CALOTYPE_KEYS__PEPPER is empty: give it a long random text, or unset it.")
        return pepper
    path = settings.data_dir / "pepper"
    if not path.exists():
        _write_once(path, secrets.token_hex(_PEPPER_BYTES).encode())
    pepper = path.read_bytes().strip()
    if not pepper:
        raise PepperUnusable(f"{path} is empty: restore it, or remove it and make all keys anew.")
    return pepper


def _write_once(path: Path, content: bytes) -> None:
    """Create a file that is whole from the moment it exists; of several writers at once, the first wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(descriptor)
        Path(draft).unlink()
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    # The database survives a power cut; without the pepper its keys would be worth nothing.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
