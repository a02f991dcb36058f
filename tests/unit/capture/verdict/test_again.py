"""Once more, and the better of the two."""

from __future__ import annotations

import pytest

from calotype.browser.cdp import ConnectionLost
from calotype.capture.deadline import DeadlineReached
from calotype.capture.result import Flaw, FlawKind
from calotype.capture.verdict import again
from calotype.errors import BlockedTarget

Picture = tuple[FlawKind, ...]


async def judged(picture: Picture) -> list[Flaw]:
    return [Flaw(kind=kind, evidence="") for kind in picture]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (("blank",), (), "second"),
        (("blank",), ("blank",), "second"),
        (("pending_images",), ("blank",), "first"),
        (("http_error", "challenge"), ("consent_banner",), "second"),
        (("pending_images",), ("http_error",), "first"),
    ],
)
async def test_the_better_one_is_kept(first: Picture, second: Picture, kept: str) -> None:
    rests: list[float] = []

    async def take(rest_s: float) -> Picture:
        rests.append(rest_s)
        return second

    picture, retry = await again(first, take, judged)
    assert picture == (first if kept == "first" else second)
    assert retry is not None
    assert retry.kept == kept
    assert "http_error" not in retry.because
    assert len(rests) == 1
    assert (rests[0] == 0) is (retry.because == ["pending_images"])


@pytest.mark.parametrize("first", [(), ("http_error",), ("login_wall", "consent_banner", "missing_glyphs")])
async def test_time_mends_nothing_else(first: Picture) -> None:
    async def take(rest_s: float) -> Picture:
        raise AssertionError

    assert await again(first, take, judged) == (first, None)


@pytest.mark.parametrize("error", [DeadlineReached("x"), ConnectionLost("x"), BlockedTarget()])
async def test_the_first_is_kept_when_there_is_no_second(error: Exception) -> None:
    async def take(rest_s: float) -> Picture:
        raise error

    picture, retry = await again(("blank",), take, judged)
    assert picture == ("blank",)
    assert retry is not None
    assert (retry.because, retry.kept) == (["blank"], "first")
