"""Where pictures are kept between requests: a directory, or a bucket by its URL.

An object is written once under a name of its own and then only read or deleted. What `put` has returned from survives a
power cut.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from calotype.errors import CalotypeError

_BUCKETS = frozenset({"s3", "gs", "az"})
_FORMS = "file:///var/lib/calotype/images, s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix"


class StorageUnusable(CalotypeError):
    """The storage named in the settings can't be used; the message names the fix."""


class StorageFailed(OSError):
    """A storage that worked at the start does not, now."""


class Storage(Protocol):
    """Objects by name: letters, digits, `-`."""

    async def put(self, name: str, content: bytes, *, content_type: str = ...) -> None:
        """Keep an object. Raises OSError, and then nothing is kept. Cancelled, it may be kept or not."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return an object; None if there is none. Raises OSError."""
        ...

    async def delete(self, name: str) -> None:
        """Delete an object, if it is there. Raises OSError."""
        ...

    async def presigned_url(self, name: str, *, expires_s: float) -> str | None:
        """A URL at which anybody gets the object, for that long; None if this storage has none. Raises OSError."""
        ...

    async def sweep(self) -> int:
        """Delete what those have left who died while they wrote; return how many that were. Raises OSError."""
        ...

    async def ping(self) -> None:
        """Ask the storage something. Raises OSError if it is not there."""
        ...


def open_storage(url: str) -> Storage:
    """
    Raises:
        StorageUnusable: the URL is not one of a storage that there is.
    """
    parsed = urlsplit(url)
    if parsed.scheme in _BUCKETS and parsed.netloc:
        if find_spec("obstore") is None:
            raise StorageUnusable(
                "CALOTYPE_STORAGE__URL names a bucket, but its driver is not installed: pip install obstore."
            )
        from calotype.storage.bucket import BucketStorage  # 30 ms that a directory does without

        return BucketStorage(url)
    path = Path(unquote(parsed.path))
    if parsed.scheme != "file" or parsed.netloc not in ("", "localhost") or not path.is_absolute():
        raise StorageUnusable(f"CALOTYPE_STORAGE__URL must be one of these: {_FORMS}.")
    from calotype.storage.directory import DirectoryStorage

    return DirectoryStorage(path)


def check_name(name: str) -> str:
    """
    Raises:
        ValueError: it can't be an object's name.
    """
    if not name.replace("-", "").isalnum() or not name.isascii():
        raise ValueError(f"not the name of an object: {name!r}")
    return name
