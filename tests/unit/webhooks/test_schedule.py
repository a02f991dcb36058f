"""Pauses grow over a day; what a receiver asks for counts, within bounds."""

from __future__ import annotations

import pytest

from calotype.webhooks.schedule import PAUSES_S, WINDOW_S, Outcome, pause_s

REFUSED = Outcome(503)


def test_the_plan_lasts_a_day() -> None:
    assert [pause_s(attempts, 0, REFUSED, 0) for attempts in range(1, 12)] == [*PAUSES_S, None]
    assert 0.95 * WINDOW_S < sum(PAUSES_S) < WINDOW_S


@pytest.mark.parametrize(("spread", "expected_s"), [(-1, 4.5), (0.5, 5.25), (1, 5.5)])
def test_pauses_are_spread(spread: float, expected_s: float) -> None:
    assert pause_s(1, 0, REFUSED, spread) == pytest.approx(expected_s)


def test_after_a_day_no_other_try_is_planned() -> None:
    assert pause_s(2, WINDOW_S - 1, REFUSED, 0) == PAUSES_S[1]
    assert pause_s(2, WINDOW_S, REFUSED, 0) is None


def test_what_is_final_is_the_last() -> None:
    assert pause_s(1, 0, Outcome(410), 0) is None
    assert pause_s(1, 0, Outcome(error="key_unusable", is_final=True), 0) is None


@pytest.mark.parametrize(
    ("asked_s", "attempts", "expected_s"), [(0, 1, 5), (60, 1, 60), (9e9, 1, 3600), (60, 9, 28800)]
)
def test_a_receivers_wish_makes_pauses_longer_only(asked_s: float, attempts: int, expected_s: float) -> None:
    assert pause_s(attempts, 0, Outcome(429, retry_after_s=asked_s), 0) == expected_s


@pytest.mark.parametrize("status_code", [200, 204, 299])
def test_two_hundreds_are_success(status_code: int) -> None:
    assert Outcome(status_code).is_success


@pytest.mark.parametrize("outcome", [Outcome(199), Outcome(300), Outcome(302), Outcome(404), Outcome(error="timeout")])
def test_all_else_is_not(outcome: Outcome) -> None:
    assert not outcome.is_success
