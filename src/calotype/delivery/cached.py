"""The result cache for who claims no answer: jobs. They find what captures have kept, and keep what these find."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy import Connection

from calotype.capture.result import CaptureMeta, CaptureResult
from calotype.database import Database
from calotype.database.clock import NowUs
from calotype.delivery import answers
from calotype.delivery.answers import ClaimLost, Found
from calotype.delivery.names import Name
from calotype.storage import Storage

_log = structlog.get_logger(__name__)


def content_of(result: CaptureResult) -> dict[str, Any]:
    """What is kept of a capture beside its picture."""
    return {"content_type": result.content_type, "meta": result.meta.model_dump(mode="json")}


def kept_result(found: Found, image: bytes) -> CaptureResult:
    """What `content_of` has kept."""
    return CaptureResult(image, found.content["content_type"], CaptureMeta.model_validate(found.content["meta"]))


def as_hit(result: CaptureResult, request_id: str) -> CaptureResult:
    """A kept capture as the answer to another request."""
    meta = result.meta.model_copy(update={"request_id": request_id, "cached": True, "elapsed_ms": 0})
    return replace(result, meta=meta)


class ResultCache:
    """`find` before a capture, `store` after it, `keep` in the transaction that ends it."""

    def __init__(self, database: Database, storage: Storage, now_us: NowUs) -> None:
        self._database = database
        self._storage = storage
        self._now_us = now_us

    async def find(self, account_id: str, name: Name, request_id: str) -> CaptureResult | None:
        """The picture that is kept, as the answer to a request; None too while somebody else is making it.

        Raises:
            OSError: the storage does not answer.
        """
        found = await self._database.read(
            lambda connection: answers.find(connection, account_id, [name], self._now_us), autocommit=True
        )
        if found is None or not found.is_done or not found.is_same or found.object_name is None:
            return None
        image = await self._storage.get(found.object_name)
        if image is None:
            _log.warning("answer_without_picture", key_id=account_id, object_name=found.object_name)
            await self._database.write(
                lambda connection: answers.forget(connection, account_id, name, found.object_name)
            )
            return None
        return as_hit(kept_result(found, image), request_id)

    async def store(self, object_name: str, result: CaptureResult) -> bool:
        """Store the cache's own copy of a picture; False if that fails, which is no reason to fail the request."""
        try:
            await self._storage.put(object_name, result.image, content_type=result.content_type)
        except OSError as error:
            _log.warning("picture_not_cached", object_name=object_name, error=repr(error))
            return False
        return True

    def keep(
        self, connection: Connection, account_id: str, name: Name, owner: str, result: CaptureResult, object_name: str
    ) -> list[str]:
        """Give the picture to later requests; a second call, after a commit that nobody has heard of, does no harm.

        Returns:
            The names of pictures to be deleted once this is committed: of what it replaces, or its own if somebody is
            making another at this moment.
        """
        try:
            replaced = answers.claim(
                connection, account_id, [name], owner, is_refresh=True, lease_s=1, now_us=self._now_us
            )
        except ClaimLost:
            return [object_name]
        answers.keep(connection, account_id, name, owner, content_of(result), object_name, self._now_us)
        return [each for each in replaced if each != object_name]
