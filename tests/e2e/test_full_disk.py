"""A disk that is full, a real one: what fails then costs nothing, what is answered goes on, and space heals all."""

from __future__ import annotations

import base64
import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.receiver import running_receiver
from tests.site import blocks
from tests.site.pictures import assert_pixels, opened
from tests.site.server import Site

from .job_shop import Shop, error_of, make_key, noise, settings_for
from .server_process import running_server

_DISK_BYTES = 24 * 2**20
_SPARE_BYTES = 2**20
LARGE = noise(900)  # 2.4 MB, more than is spare


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=700", "tmpfs", directory]
        try:
            mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no `mount`")
        if mounted.returncode:
            pytest.skip(f"a file system can be mounted by root only: {mounted.stderr.strip()}")
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def filled(disk: Path, *, spare_bytes: int) -> Iterator[None]:
    """No more than this is free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(file.tell() - spare_bytes)
    try:
        yield
    finally:
        ballast.unlink()


def test_a_full_disk(small_disk: Path, site: Site) -> None:
    with running_receiver() as receiver, running_server(small_disk, **settings_for(site)) as server:
        shop = Shop(server, site, receiver)
        key, images = make_key(small_disk, "thousand"), small_disk / "images"
        before = shop.job_id(shop.colour("ff0000"), key)
        assert shop.ended(before)["status"] == "done"

        with filled(small_disk, spare_bytes=_SPARE_BYTES):  # for the database, and not for this picture
            job = shop.ended(shop.job_id(LARGE, key))
            assert (job["status"], job["error_code"], job["attempts"]) == ("failed", "internal_error", 3)
            assert "result" not in job
            assert error_of(shop.server.client.get(f"/v1/jobs/{job['job_id']}/image")) == (404, "not_found")
            kept = shop.call("POST", "/v1/screenshot", key, json={**LARGE, "cache": {"ttl_s": 60}})
            assert error_of(kept) == (500, "internal_error")
            assert shop.call("POST", "/v1/screenshot", key, json=LARGE).status_code == 200  # it is kept nowhere
            assert shop.ended(shop.job_id(shop.colour("00ff00"), key))["status"] == "done"
            assert shop.credits_used(key) == (3, 0)
            assert sorted(files_of(images)) == sorted(
                f"{each['job_id']}-1" for each in shop.call("GET", "/v1/jobs", key).json()["jobs"] if "result" in each
            )

        accepted: list[str] = []
        with filled(small_disk, spare_bytes=0):  # nor for the database
            for _ in range(20):
                answer = shop.post(shop.colour("0000ff") | {"css": f"/*{'x' * 100_000}*/"}, key)
                if answer.status_code == 202:
                    accepted.append(answer.json()["job_id"])
                    continue
                assert error_of(answer) == (500, "internal_error")
            assert len(accepted) < 20
            for path in ("/healthz", f"/v1/jobs/{before}/image", f"/v1/jobs/{before}"):
                assert shop.server.client.get(path).status_code == 200

        job = shop.ended(shop.job_id(LARGE, key))
        assert (job["status"], job["attempts"]) == ("done", 1)
        assert len(base64.b64decode(job["result"]["image_base64"])) > _SPARE_BYTES
        ended = [shop.ended(job_id) for job_id in accepted]
        for each in ended:
            if each["status"] == "done":
                assert_pixels(opened(base64.b64decode(each["result"]["image_base64"])), {(32, 32): blocks.BLUE})
            else:
                assert each["error_code"] == "internal_error"
        assert shop.credits_used(key) == (4 + [each["status"] for each in ended].count("done"), 0)


def files_of(directory: Path) -> list[str]:
    return [name for _, _, names in os.walk(directory) for name in names]
