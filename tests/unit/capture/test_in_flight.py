"""Which requests a picture waits for, and what callers are told of those that it did not get."""

from __future__ import annotations

from typing import Any

import pytest

from calotype.capture.in_flight import RequestsInFlight


class Requests(RequestsInFlight):
    """With a clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        super().__init__(clock=lambda: self.now_s)

    def ask(self, id_: str, url: str, kind: str = "Fetch", *, after_load: bool = True, **more: Any) -> None:
        event = {"requestId": id_, "type": kind, "loaderId": "L1", "frameId": "main", "request": {"url": url}}
        self.begin(event | more, is_after_load=after_load)


@pytest.mark.parametrize(
    ("kind", "after_load", "matters"),
    [
        ("Fetch", False, False),
        ("XHR", True, False),
        ("Image", True, False),
        ("Image", False, True),
        ("Script", True, True),
        ("Font", True, True),
        ("Stylesheet", True, True),
    ],
)
def test_what_is_held_open_stops_to_matter(kind: str, after_load: bool, matters: bool) -> None:
    requests = Requests()
    requests.ask("1", "http://a/1", kind, after_load=after_load)
    requests.now_s += 4.9
    assert requests.that_matter() == ["http://a/1"]
    requests.now_s += 0.2
    assert bool(requests.that_matter()) is matters
    assert requests.any_may_end_waiting() is not matters


def beat(requests: Requests, times: int, url: str = "http://a/alive?n=") -> None:
    for number in range(times):
        requests.ask(str(number), f"{url}{number}")
        requests.end(str(number))


def test_a_heartbeat_stops_to_matter_until_something_comes_of_it() -> None:
    requests = Requests()
    beat(requests, 2)
    requests.ask("x", "http://a/alive?n=x")
    assert requests.that_matter() == ["http://a/alive?n=x"]
    requests.end("x")
    begun = requests.started
    requests.ask("y", "http://a/alive?n=y")
    assert requests.that_matter() == []
    assert requests.started == begun
    requests.ask("z", "http://a/other")
    assert requests.that_matter() == ["http://a/other"]
    requests.something_came_of_them()
    assert requests.that_matter() == ["http://a/alive?n=y", "http://a/other"]


def test_scripts_and_what_was_asked_before_the_load_event_are_no_heartbeat() -> None:
    requests = Requests()
    for number in range(9):
        requests.ask(str(number), f"http://a/chunk?{number}", "Script")
        requests.end(str(number))
        requests.ask(str(number), f"http://a/data?{number}", after_load=False)
        requests.end(str(number))
    requests.ask("s", "http://a/chunk", "Script")
    requests.ask("f", "http://a/data")
    assert requests.that_matter() == ["http://a/chunk", "http://a/data"]


def test_a_frame_that_is_taken_away_takes_its_requests_along() -> None:
    requests = Requests()
    requests.ask("1", "http://ads/frame", "Document", frameId="ad")
    requests.ask("2", "http://a/1.css", "Stylesheet")
    requests.drop_of_frame("ad")
    assert requests.that_matter() == ["http://a/1.css"]


def test_a_redirect_does_not_begin_anew() -> None:
    requests = Requests()
    requests.ask("1", "http://a/old")
    requests.now_s += 3
    requests.ask("1", "http://a/new")
    assert [(each.url, each.ms) for each in requests.told()] == [("http://a/new", 3000)]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://a/b.png", "http://a/b.png"),
        ("http://user:pass@a/b@c?token=secret#key", "http://a/b@c?…"),
        ("https://token@a", "https://a"),
        ("http://a/#access_token=secret", "http://a/"),
        ("http://a/b@c", "http://a/b@c"),
        ("http://a/" + "x" * 3000 + "?q=1", "http://a/" + "x" * 290 + "…"),
    ],
)
def test_callers_are_told_no_secrets(url: str, told: str) -> None:
    requests = Requests()
    requests.ask("1", url)
    (found,) = requests.told()
    assert found.url == told
    assert len(found.url) <= 300


def test_callers_are_told_of_the_oldest() -> None:
    requests = Requests()
    for number in range(30):
        requests.ask(str(number), f"http://a/{number}", "Image")
        requests.now_s += 1
    told = requests.told()
    assert [each.url for each in told] == [f"http://a/{number}" for number in range(20)]
    assert (told[0].type, told[0].ms) == ("Image", 30_000)
