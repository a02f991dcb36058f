"""Encoding in threads: bounded in pixels, in order, and with an end to every wait."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from calotype.capture import encoders
from calotype.capture.encoders import Encoders
from calotype.capture.shoot import Shot
from calotype.errors import CaptureTimeout
from calotype.request import CaptureRequest, parse_body


class Gate:
    """Stands in for the encoder: holds each picture until it is opened, and counts the pixels inside."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered: list[int] = []
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, shot: Shot, request: CaptureRequest) -> Shot:
        pixels = shot.width_px * shot.height_px
        with self._lock:
            self.entered.append(pixels)
            self.inside += pixels
            self.most = max(self.most, self.inside)
        assert self.open.wait(20)
        with self._lock:
            self.inside -= pixels
        return shot


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(encoders, "encode", gate)
    yield gate
    gate.open.set()


def shot(pixels: int) -> Shot:
    return Shot((b"",), "png", pixels, 1)


def request(**body: Any) -> CaptureRequest:
    return parse_body({"html": "<p>", **body}).request


async def test_no_more_pixels_at_once_than_the_budget(gate: Gate) -> None:
    pool = Encoders(max_pixels=100)
    tasks = [asyncio.create_task(pool.encode(shot(60), request())) for _ in range(5)]
    while not gate.entered:  # noqa: ASYNC110 - a thread tells nobody
        await asyncio.sleep(0.001)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert gate.most == 60
    pool.close()


async def test_one_that_is_larger_than_the_budget_goes_alone(gate: Gate) -> None:
    gate.open.set()
    pool = Encoders(max_pixels=100)
    await asyncio.gather(pool.encode(shot(1000), request()), pool.encode(shot(10), request()))
    assert gate.most == 1000
    pool.close()


async def test_a_wait_has_an_end_and_the_budget_comes_back_when_the_thread_is_done(gate: Gate) -> None:
    pool = Encoders(max_pixels=100, timeout_s=0.05)
    with pytest.raises(CaptureTimeout):
        await pool.encode(shot(100), request())
    with pytest.raises(CaptureTimeout):  # the thread still has it
        await pool.encode(shot(1), request())
    assert gate.entered == [100]
    gate.open.set()
    while gate.inside:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await pool.encode(shot(1), request())
    pool.close()


async def test_those_who_leave_the_line_let_the_others_pass(gate: Gate) -> None:
    pool = Encoders(max_pixels=100)
    first = asyncio.create_task(pool.encode(shot(100), request()))
    while not gate.entered:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    large, small = (asyncio.create_task(pool.encode(shot(pixels), request())) for pixels in (100, 10))
    await asyncio.sleep(0)
    large.cancel()
    gate.open.set()
    await asyncio.gather(first, small)
    assert gate.entered == [100, 10]
    pool.close()


async def test_a_picture() -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 32), "red").save(data, "PNG")
    pool = Encoders(max_pixels=100)
    encoded = await pool.encode(Shot((data.getvalue(),), "png", 64, 32), request(format="avif"))
    assert (encoded.format, encoded.width_px, encoded.height_px) == ("avif", 64, 32)
    pool.close()
