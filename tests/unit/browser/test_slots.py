"""The bounded queue in front of the browser."""

from __future__ import annotations

import asyncio

import pytest

from calotype.browser.slots import Slots
from calotype.errors import Overloaded, ShuttingDown


async def _waiting(slots: Slots, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(slots.acquire(60)) for _ in range(count)]
    while slots.waiting < count:  # noqa: ASYNC110 - one turn of the loop each, until they have queued
        await asyncio.sleep(0)
    return tasks


async def test_slots_are_handed_out_in_order_of_arrival() -> None:
    slots = Slots(1, queue=3)
    await slots.acquire(1)
    order: list[int] = []
    tasks = await _waiting(slots, 3)
    for number, task in enumerate(tasks):
        task.add_done_callback(lambda _, number=number: order.append(number))
    for _ in tasks:
        slots.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]
    assert slots.active == 1


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    slots = Slots(1, queue=1)
    await slots.acquire(1)
    [waiter] = await _waiting(slots, 1)
    with pytest.raises(Overloaded) as refused:
        await slots.acquire(1)
    assert refused.value.retry_after_s is not None
    slots.release()
    await waiter


async def test_without_a_queue_the_second_caller_is_refused() -> None:
    slots = Slots(1, queue=0)
    await slots.acquire(1)
    with pytest.raises(Overloaded):
        await slots.acquire(1)


async def test_waiting_ends_with_the_timeout_and_leaves_no_place_taken() -> None:
    slots = Slots(1, queue=1)
    await slots.acquire(1)
    with pytest.raises(Overloaded):
        await slots.acquire(0.01)
    assert slots.waiting == 0
    slots.release()
    await slots.acquire(1)


async def test_a_cancelled_waiter_gives_back_a_slot_handed_over_in_the_same_moment() -> None:
    slots = Slots(1, queue=1)
    await slots.acquire(1)
    [waiter] = await _waiting(slots, 1)
    slots.release()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert slots.active == 0


async def test_closing_refuses_those_who_wait_and_those_who_come() -> None:
    slots = Slots(1, queue=1)
    await slots.acquire(1)
    [waiter] = await _waiting(slots, 1)
    slots.close(ShuttingDown)
    with pytest.raises(ShuttingDown):
        await waiter
    with pytest.raises(ShuttingDown):
        await slots.acquire(1)
