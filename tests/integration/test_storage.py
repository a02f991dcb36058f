"""What every storage does, of each kind there is."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from calotype.storage import Storage, StorageFailed, StorageUnusable, open_storage
from tests.object_store import ObjectStore, running_object_store

PICTURE = bytes(range(256)) * 2_000  # 512 kB


@pytest.fixture(scope="module")
def object_store() -> Iterator[ObjectStore]:
    with running_object_store() as store:
        yield store


@pytest.fixture(params=["directory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "directory":
        return open_storage(f"file://{tmp_path}/images")
    store: ObjectStore = request.getfixturevalue("object_store")
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return open_storage(f"s3://{store.make_bucket()}/some/prefix")


async def test_what_is_put_is_what_is_got(storage: Storage) -> None:
    await storage.put("a-1", PICTURE, content_type="image/png")
    await storage.put("a-2", b"")
    assert await storage.get("a-1") == PICTURE
    assert await storage.get("a-2") == b""


async def test_put_again_replaces(storage: Storage) -> None:
    await storage.put("a", b"first")
    await storage.put("a", b"second")
    assert await storage.get("a") == b"second"


async def test_what_is_not_there_is_none_and_deleting_it_is_no_error(storage: Storage) -> None:
    assert await storage.get("nothing") is None
    await storage.delete("nothing")


async def test_what_is_deleted_is_gone(storage: Storage) -> None:
    await storage.put("a", b"content")
    await storage.delete("a")
    assert await storage.get("a") is None


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".", "a.b", "ä", "a\0"])
async def test_odd_names_reach_nothing(storage: Storage, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of an object"):
        await storage.put(name, b"content")
    with pytest.raises(ValueError, match="not the name of an object"):
        await storage.get(name)


async def test_it_answers_a_ping(storage: Storage) -> None:
    await storage.ping()


async def test_a_presigned_url_gives_the_object_to_anybody_for_a_time(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(f"s3://{object_store.make_bucket()}")
    await storage.put("a", PICTURE, content_type="image/webp")
    url = await storage.presigned_url("a", expires_s=90)
    assert url is not None
    async with httpx.AsyncClient() as anybody:
        answer = await anybody.get(url)
    assert (answer.content, answer.headers["content-type"]) == (PICTURE, "image/webp")
    assert httpx.URL(url).params["X-Amz-Expires"] == "90"
    assert object_store.environment["AWS_SECRET_ACCESS_KEY"] not in url


async def test_a_directory_has_no_urls(tmp_path: Path) -> None:
    storage = open_storage(f"file://{tmp_path}")
    await storage.put("a", b"content")
    assert await storage.presigned_url("a", expires_s=90) is None


async def test_a_bucket_that_is_gone_is_an_error_that_callers_know(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    storage = open_storage("s3://no-such-bucket")
    with pytest.raises(StorageFailed):
        await storage.put("a", b"content")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    nobody = open_storage("s3://bucket")
    with pytest.raises(StorageFailed):
        await nobody.get("a")
    with pytest.raises(StorageFailed):
        await nobody.ping()


@pytest.mark.parametrize("url", ["", "images", "file://elsewhere/images", "s3://", "ftp://host/images", "file:images"])
def test_a_wrong_url_is_refused_with_the_forms_there_are(url: str) -> None:
    with pytest.raises(StorageUnusable, match="CALOTYPE_STORAGE__URL must be one of these: file:///"):
        open_storage(url)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """In a process of its own: a limit on the size of files stands in for the end of the disk."""
    program = f"""
import asyncio, signal
from calotype.storage import open_storage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
storage = open_storage("file://{tmp_path}/images")
async def main():
    await storage.put("small", b"x" * 1000)
    try:
        await storage.put("large", b"x" * 100_000)
    except OSError as error:
        print(error.errno)
    print(await storage.get("large"), len(await storage.get("small")))
asyncio.run(main())
"""
    limited = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert limited.stdout.split() == [str(errno.EFBIG), "None", "1000"]
    assert [path.name for _, _, names in os.walk(tmp_path / "images") for path in map(Path, names)] == ["small"]


async def test_a_put_that_is_cancelled_has_ended_when_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who deletes the object then would be overtaken by the thread that writes it."""
    storage, sync = open_storage(f"file://{tmp_path}/images"), os.fsync
    began, may_go_on = threading.Event(), threading.Event()

    def slow_sync(descriptor: int) -> None:
        began.set()
        assert may_go_on.wait(60)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow_sync)
    putting = asyncio.create_task(storage.put("name", b"content"))
    assert await asyncio.to_thread(began.wait, 60)
    putting.cancel()
    await asyncio.wait({putting}, timeout=0.1)
    is_done_early = putting.done()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert not is_done_early
    assert await storage.get("name") == b"content"


async def test_what_a_killed_writer_has_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    """By several at once; what is being written now, and what is no draft, stays."""
    program = f"""
import asyncio, os, signal
from calotype.storage import open_storage
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(open_storage("file://{tmp_path}/images").put("left", b"half a picture"))
"""
    storages = [open_storage(f"file://{tmp_path}/images") for _ in range(3)]
    assert await storages[0].sweep() == 0  # the directory is not there yet
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    [draft] = (tmp_path / "images").rglob(".*")
    young, others = draft.with_name(f"{draft.name}-young"), [draft.with_name(name) for name in (".nfs0001", "lead")]
    for path in (young, *others):
        path.write_bytes(b"")
    assert await storages[0].sweep() == 0
    for path in (draft, *others):
        os.utime(path, (time.time() - 3_700,) * 2)
    assert sum(await asyncio.gather(*(storage.sweep() for storage in storages))) == 1
    assert {path for path in (tmp_path / "images").rglob("*") if path.is_file()} == {young, *others}
