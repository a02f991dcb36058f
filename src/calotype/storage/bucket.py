"""A bucket: S3 and what speaks its protocol (R2, MinIO, Ceph, …), Google Cloud Storage, Azure, by obstore.

Credentials, region and endpoint are those that each cloud's own tools read from the environment and from the machine's
role. A put has been stored when it returns; what fails is retried for a few seconds only, because somebody waits.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from obstore import list_with_delimiter_async, sign_async  # pyright: ignore[reportUnknownVariableType] - of Arrow
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from calotype.storage import StorageFailed, StorageUnusable, check_name

_CONNECT_TIMEOUT = timedelta(seconds=5)
_TIMEOUT = timedelta(seconds=30)  # of one request: 20 MB at 5.6 Mbit/s
_RETRIES = 3
_RETRY_TIMEOUT = timedelta(seconds=20)
_PING_NAME = "ping"
_PING_HOLDS_S = 5.0  # each is paid for


class BucketStorage:
    """Objects below the URL's path."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            StorageUnusable: something that the store needs is missing in the environment.
        """
        client: Any = {"connect_timeout": _CONNECT_TIMEOUT, "timeout": _TIMEOUT, "allow_http": True}
        retries: Any = {"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT}
        try:
            store = from_url(url, client_options=client, retry_config=retries)
        except (BaseError, ValueError) as error:
            raise StorageUnusable(f"CALOTYPE_STORAGE__URL can't be used: {_first_line(error)}.") from error
        assert isinstance(store, S3Store | GCSStore | AzureStore)  # noqa: S101 - by the URL's scheme
        self._store = store
        self._answered_s = float("-inf")

    async def put(self, name: str, content: bytes, *, content_type: str = "application/octet-stream") -> None:
        try:
            await self._store.put_async(check_name(name), content, attributes={"Content-Type": content_type})
        except (BaseError, FileNotFoundError) as error:  # not found: the bucket
            raise StorageFailed(_first_line(error)) from error

    async def get(self, name: str) -> bytes | None:
        try:
            answer = await self._store.get_async(check_name(name))
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise StorageFailed(_first_line(error)) from error

    async def delete(self, name: str) -> None:
        try:
            await self._store.delete_async(check_name(name))
        except FileNotFoundError:
            return
        except BaseError as error:
            raise StorageFailed(_first_line(error)) from error

    async def presigned_url(self, name: str, *, expires_s: float) -> str | None:
        try:
            return await sign_async(self._store, "GET", check_name(name), timedelta(seconds=expires_s))
        except BaseError as error:
            raise StorageFailed(_first_line(error)) from error

    async def sweep(self) -> int:
        return 0  # obstore lists no parts of uploads that were cut off; docs/storage.md says what to do

    async def ping(self) -> None:
        if time.monotonic() - self._answered_s < _PING_HOLDS_S:
            return
        try:
            # A list, because a bucket's absence is an error of it, and an object's is not.
            await list_with_delimiter_async(self._store, _PING_NAME)
        except (BaseError, FileNotFoundError) as error:
            raise StorageFailed(_first_line(error)) from error
        self._answered_s = time.monotonic()


def _first_line(error: Exception) -> str:
    """Without the answer's XML and the library's own tree of causes."""
    line = str(error).strip().partition("\n")[0].partition(": <")[0]
    return line.rstrip(".") or type(error).__name__
