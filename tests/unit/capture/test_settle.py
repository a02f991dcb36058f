"""When a page counts as ready, from what the page says of itself and what it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from calotype.capture import settle as settling
from calotype.capture.activity import PageActivity
from calotype.capture.deadline import Deadline
from calotype.capture.settle import settle
from calotype.capture.world import World

from .test_activity import Events


class Page(Events):
    """Says the reports in turn, the last one for ever; may ask for something during each look."""

    def __init__(self, reports: Iterable[dict[str, Any]], *, asks: int = 0) -> None:
        super().__init__()
        self.reports, self.asks, self.looks = list(reports), asks, 0
        self.deadline = Deadline(30)
        self.committed("L1", "http://a/")
        self.lifecycle("L1", "load")

    async def run(self, _script: str, *_arguments: Any) -> dict[str, Any]:
        report = self.reports[min(self.looks, len(self.reports) - 1)]
        self.looks += 1
        await asyncio.sleep(0)
        if self.looks <= self.asks:
            self.request("1", f"http://a/{self.looks}", "Fetch")
            self.play("Network.loadingFinished", requestId="1")
        return report

    async def settle(self) -> list[tuple[str, bool]]:
        """The waits that are told, and whether each ended."""
        world, activity = cast("World", self), cast("PageActivity", self.activity)
        await settle(world, activity, self.deadline, area=None, finish_animations=True)
        return [(each.what, each.ended) for each in self.deadline.waited_for()]


def look(signature: int = 1, waiting: str | None = None, **waits: float) -> dict[str, Any]:
    return {"waiting": waiting, "waits": {"fonts": 0, "images": 0, "layout": 0} | waits, "layout": signature}


async def test_one_look_is_enough_for_a_page_that_asks_for_nothing() -> None:
    page = Page([look(fonts=9, images=120)])
    assert await page.settle() == [("images", True)]
    assert page.looks == 1


async def test_what_is_not_there_is_looked_for_again() -> None:
    page = Page([look(waiting="fonts", fonts=250), look(waiting="images", images=250), look(2, images=5)])
    assert await page.settle() == [("fonts", True), ("images", True)]
    assert page.looks == 3


async def test_answers_that_move_nothing_are_not_waited_for() -> None:
    page = Page([look(1), look(2), look(2)], asks=99)
    await page.settle()
    assert page.looks == 3


async def test_a_page_that_asks_and_changes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_ASKING_S", 0.0)
    page = Page([look(1), look(2)], asks=99)
    assert await page.settle() == [("requests", False)]


async def test_a_page_that_moves_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_RESTLESS_S", 0.0)
    page = Page([look(waiting="layout", layout=250)])
    assert await page.settle() == [("layout", False)]
    assert page.deadline.gave_up("layout")
    assert not page.deadline.gave_up("requests")


async def test_a_page_that_was_given_up_gets_less_time_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page([look(waiting="layout", layout=250)])
    monkeypatch.setattr(settling, "_now", lambda: page.looks * 0.25)
    await page.settle()
    first, page.looks = page.looks, 0
    await page.settle()
    assert 0 < page.looks < first / 2
