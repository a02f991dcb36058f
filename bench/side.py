"""What the sides share: one worker process per side that shoots the pages it is told to and checks its pictures.

The worker reads one JSON command per line from standard input and answers each with one line: `run` (shoot these URLs
with so many clients in a closed loop), `verify` (decode the pictures of the last run and check them; apart, so that it
is neither timed nor counted as CPU of the side). It ends with its input.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

WIDTH, HEIGHT = 1280, 720
JPEG_QUALITY = 80
SHOT_TIMEOUT_S = 60.0
_COLOUR_TOLERANCE = {"png": 8, "jpeg": 40}


@dataclass(frozen=True)
class Picture:
    data: bytes
    timings: dict[str, float] = field(default_factory=dict)


class Side(Protocol):
    async def open(self) -> None: ...
    async def shoot(self, url: str, image_format: str) -> Picture:
        """Return as soon as the bytes of the picture are decoded; cleaning up may go on."""
        ...

    async def quiesce(self) -> None:
        """Wait until what `shoot` left behind is cleaned up."""
        ...

    async def close(self) -> None: ...


@dataclass
class _Shot:
    page: str
    image_format: str
    latency_ms: float
    picture: Picture | None = None
    error: str | None = None

    def report(self) -> dict[str, Any]:
        picture = self.picture or Picture(b"")
        return {
            "page": self.page,
            "ms": round(self.latency_ms, 2),
            "bytes": len(picture.data),
            "error": self.error,
            "timings": picture.timings,
        }


async def _shoot_timed(side: Side, page: str, url: str, image_format: str) -> _Shot:
    began = time.perf_counter()
    picture, error = None, None
    try:
        async with asyncio.timeout(SHOT_TIMEOUT_S):
            picture = await side.shoot(url, image_format)
    except Exception as failure:  # a failed shot is a result, whatever the side's library raised
        error = f"{type(failure).__name__}: {failure}".splitlines()[0][:300]
    return _Shot(page, image_format, (time.perf_counter() - began) * 1000, picture, error)


async def run_block(side: Side, targets: list[list[str]], clients: int, image_format: str) -> tuple[float, list[_Shot]]:
    """Shoot all `targets` ([page, url]) with `clients` at once; give the seconds until all is cleaned up."""
    waiting = iter(targets)
    shots: list[_Shot] = []

    async def client() -> None:
        for page, url in waiting:
            shots.append(await _shoot_timed(side, page, url, image_format))

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    await side.quiesce()
    return time.perf_counter() - began, shots


def _fault(shot: _Shot, probes: list[list[list[int]]]) -> str | None:
    """Say what is wrong with a picture: its size, or a place that lacks the colour it must have."""
    if shot.picture is None:
        return shot.error
    with Image.open(io.BytesIO(shot.picture.data)) as image:
        if image.size != (WIDTH, HEIGHT):
            return f"size {image.size}"
        if (image.format or "").lower() != shot.image_format:
            return f"format {image.format}"
        rgb = image.convert("RGB")
    for place, wanted in probes:
        got = rgb.getpixel((place[0], place[1]))
        assert isinstance(got, tuple)
        if any(abs(a - b) > _COLOUR_TOLERANCE[shot.image_format] for a, b in zip(got, wanted, strict=True)):
            return f"colour {got} at {place}, not {wanted}"
    return None


def verify(shots: list[_Shot], probes: dict[str, list[list[list[int]]]]) -> list[dict[str, str]]:
    faults = ((shot.page, _fault(shot, probes.get(shot.page, []))) for shot in shots)
    return [{"page": page, "fault": fault} for page, fault in faults if fault]


async def work(side: Side) -> None:
    """Serve commands until the end of input."""
    shots: list[_Shot] = []
    await side.open()
    print(json.dumps({"ready": True}), flush=True)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            if command["do"] == "run":
                elapsed_s, shots = await run_block(side, command["targets"], command["clients"], command["format"])
                answer = {"elapsed_s": elapsed_s, "shots": [shot.report() for shot in shots]}
            else:
                answer = {"faults": verify(shots, command["probes"])}
                shots = []
            print(json.dumps(answer), flush=True)
    finally:
        await side.close()
