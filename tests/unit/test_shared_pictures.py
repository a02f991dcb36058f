"""One copy in memory for all who read a job's picture at the same time."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from calotype.jobs.pictures import SharedPictures
from calotype.storage.directory import DirectoryStorage


class CountingStorage(DirectoryStorage):
    """Counts reads, each of which lasts until `may_end`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.error: OSError | None = None

    async def get(self, name: str) -> bytes | None:
        self.reads += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return await super().get(name)


@pytest.fixture
async def storage(tmp_path: Path) -> CountingStorage:
    storage = CountingStorage(tmp_path)
    await storage.put("one", b"picture one")
    await storage.put("two", b"picture two")
    return storage


async def test_who_asks_at_the_same_time_or_while_it_is_held_shares_it(storage: CountingStorage) -> None:
    pictures = SharedPictures(storage)
    held: list[Any] = await asyncio.gather(*(pictures.get("one") for _ in range(50)))
    held.append(await pictures.get("one"))
    assert {id(each) for each in held} == {id(held[0])}
    assert bytes(held[0]) == b"picture one"
    other = await pictures.get("two")
    assert other is not None
    assert bytes(other) == b"picture two"
    assert storage.reads == 2
    del held
    gc.collect()
    await storage.delete("one")
    assert await pictures.get("one") is None  # nothing is kept that nobody holds
    assert storage.reads == 3


async def test_who_leaves_takes_it_from_nobody(storage: CountingStorage) -> None:
    pictures = SharedPictures(storage)
    storage.may_end.clear()
    first, second = (asyncio.create_task(pictures.get("one")) for _ in range(2))
    while not storage.reads:  # noqa: ASYNC110
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    storage.may_end.set()
    picture = await second
    assert picture is not None
    assert bytes(picture) == b"picture one"
    assert storage.reads == 1


async def test_a_failure_is_of_those_who_asked_then(storage: CountingStorage) -> None:
    pictures = SharedPictures(storage)
    storage.error = OSError("away")
    answers = await asyncio.gather(*(pictures.get("one") for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError] * 3
    storage.error = None
    assert await pictures.get("one") is not None
