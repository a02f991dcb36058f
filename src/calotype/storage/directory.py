"""A directory, on this machine or mounted.

Written to a draft, synced, and renamed: an object is there as a whole or not at all, also after a power cut; obstore's
local store renames too, but syncs nothing.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from calotype.storage import check_name

_DRAFT = ".draft-"  # no object's name, nor what NFS calls a file that is deleted and still open
_DRAFT_MAX_AGE_S = 3_600.0  # a write takes seconds, and machines' clocks differ


class DirectoryStorage:
    """A file for each object, below one of 256 directories."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, content: bytes, *, content_type: str = "") -> None:
        writing = asyncio.create_task(asyncio.to_thread(_write, self._path(name), content))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # A thread can't be cancelled, and who deletes the object now shall find it.
            await asyncio.wait({writing})
            writing.exception()
            raise

    async def get(self, name: str) -> bytes | None:
        return await asyncio.to_thread(_read, self._path(name))

    async def delete(self, name: str) -> None:
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    async def presigned_url(self, name: str, *, expires_s: float) -> str | None:
        return None

    async def sweep(self) -> int:
        return await asyncio.to_thread(_sweep, self._root)

    async def ping(self) -> None:
        await asyncio.to_thread(_writable, self._root)

    def _path(self, name: str) -> Path:
        return self._root / check_name(name)[:2] / name


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=_DRAFT, dir=path.parent)  # mode 0600
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


def _sweep(root: Path) -> int:
    newest_s = time.time() - _DRAFT_MAX_AGE_S
    number = 0
    for draft in root.glob(f"??/{_DRAFT}*"):
        with suppress(FileNotFoundError):  # another process sweeps, too
            if draft.stat().st_mtime < newest_s:
                draft.unlink()
                number += 1
    return number


def _writable(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(root, os.W_OK | os.X_OK):
        raise PermissionError(f"{root} is not writable")
