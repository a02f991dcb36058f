"""Where pictures are kept between requests: a directory, so far.

An object is written once under a name of its own and then only read or deleted. What `put` has returned from survives a
power cut.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from calotype.errors import CalotypeError


class StorageUnusable(CalotypeError):
    """The storage named in the settings can't be used; the message names the fix."""


class Storage(Protocol):
    """Objects by name: letters, digits, `-`."""

    async def put(self, name: str, content: bytes) -> None:
        """Keep an object. Raises OSError, and then nothing is kept."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return an object; None if there is none."""
        ...

    async def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        ...


class DirectoryStorage:
    """A file for each object, below one of 256 directories."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, content: bytes) -> None:
        await asyncio.to_thread(_write, self._path(name), content)

    async def get(self, name: str) -> bytes | None:
        return await asyncio.to_thread(_read, self._path(name))

    async def delete(self, name: str) -> None:
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    def _path(self, name: str) -> Path:
        if not name.replace("-", "").isalnum():
            raise ValueError(f"not the name of an object: {name!r}")
        return self._root / name[:2] / name


def open_storage(url: str) -> Storage:
    """
    Raises:
        StorageUnusable: the URL is not one of a storage that there is.
    """
    parsed = urlsplit(url)
    path = Path(unquote(parsed.path))
    if parsed.scheme != "file" or parsed.netloc not in ("", "localhost") or not path.is_absolute():
        raise StorageUnusable("CALOTYPE_STORAGE__URL must be a directory: file:///var/lib/calotype/images.")
    return DirectoryStorage(path)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=".", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the name, too, has to survive
    finally:
        os.close(directory)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
