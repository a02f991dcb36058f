"""Pictures of jobs as they are read: all who want the same one at the same time share one copy of it in memory."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from calotype.storage import Storage


class SharedPictures:
    """What `get` has returned is shared for as long as anybody holds it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._held: WeakValueDictionary[str, memoryview] = WeakValueDictionary()  # bytes can't be referred to weakly
        self._reading: dict[str, asyncio.Task[memoryview | None]] = {}

    async def get(self, object_name: str) -> memoryview | None:
        """Return a picture, which never changes; None if there is none.

        Raises:
            OSError: the storage does not answer.
        """
        if (held := self._held.get(object_name)) is not None:
            return held
        reading = self._reading.get(object_name)
        if reading is None:
            reading = asyncio.create_task(self._read(object_name), name=f"picture-{object_name}")
            self._reading[object_name] = reading
            reading.add_done_callback(lambda task: self._was_read(object_name, task))
        return await asyncio.shield(reading)  # who leaves takes it from nobody

    async def _read(self, object_name: str) -> memoryview | None:
        content = await self._storage.get(object_name)
        if content is None:
            return None
        picture = self._held[object_name] = memoryview(content)
        return picture

    def _was_read(self, object_name: str, task: asyncio.Task[memoryview | None]) -> None:
        del self._reading[object_name]
        if not task.cancelled():
            task.exception()  # if all have left, nobody else takes note of it
