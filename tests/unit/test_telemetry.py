"""No secret reaches a log line, whoever wrote it, and every line has one format."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from calotype.settings import LogSettings
from calotype.telemetry import configure_logging, mask

KEY = "calo_screenshot_0123456789abcdef"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; what was configured before comes back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"whsec_{KEY[5:]}",
        f"GET /v1?url=x&api_key={KEY}&width=5",
        "GET /v1?api_key=unheard-of-format&width=5".replace("unheard-of-format", KEY[5:]),
        f"GET /v1/screenshot?expires=1&signature={KEY[5:]}",
        {"api_key": KEY[5:]},
        {"headers": [{"Authorization": f"Basic {KEY[5:]}"}]},
        {"X-API-Key": KEY[5:]},
        f"Authorization: Bearer {KEY[5:]}",
        {"note": f"bearer {KEY[5:]}"},
        json.dumps({"url": "x", "api_key": KEY[5:]}),
        ("nested", {"deeper": [KEY.encode()]}),
        ValueError(f"no such key: {KEY}"),
        f"postgresql://calotype:{KEY[5:]}@db/calotype",
        f"Cookie: session={KEY[5:]}; other=1",
        {f"as a name {KEY}": 1},
    ],
    ids=str,
)
def test_secrets_are_masked_wherever_they_stand(value: object) -> None:
    masked = mask(value)
    assert KEY[5:] not in json.dumps(masked)
    assert "***" in json.dumps(masked)


@pytest.mark.parametrize(
    "value", ["example.com", 5, None, True, 1.5, {"url": "https://example.com/a?b=c"}, ["calotype"]]
)
def test_what_is_no_secret_stays(value: object) -> None:
    assert mask(value) == value


def test_a_structure_without_end_is_cut() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert mask(endless)


def test_lines_of_ours_and_of_libraries_are_alike(stream: io.StringIO) -> None:
    configure_logging(LogSettings(format="json"), stream)
    structlog.contextvars.bind_contextvars(request_id="r1")
    structlog.get_logger("calotype.test").info("thing_done", key=KEY)
    logging.getLogger("uvicorn.error").warning("odd: %s", f"api_key={KEY}")
    ours, theirs = lines(stream)
    assert ours["event"] == "thing_done"
    assert theirs["event"] == "odd: api_key=***"
    assert ours["key"] == "***"
    for line in (ours, theirs):
        assert line["request_id"] == "r1"
        assert line["level"]
        assert line["timestamp"].endswith("Z")


def test_a_traceback_is_masked_and_on_the_same_line(stream: io.StringIO) -> None:
    configure_logging(LogSettings(format="json"), stream)
    try:
        raise RuntimeError(f"with {KEY}")
    except RuntimeError:
        structlog.get_logger().exception("crashed")
        logging.getLogger("library").exception("crashed too")
    for line in lines(stream):
        assert "RuntimeError" in line["exception"]
        assert KEY not in line["exception"]


def test_the_level_holds_for_everyone(stream: io.StringIO) -> None:
    configure_logging(LogSettings(level="warning", format="json"), stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    assert stream.getvalue() == ""


def test_uvicorn_does_not_repeat_what_we_say(stream: io.StringIO) -> None:
    configure_logging(LogSettings(format="json"), stream)
    logging.getLogger("uvicorn.error").info("Started server process")
    assert stream.getvalue() == ""


def test_a_console_line_is_for_people(stream: io.StringIO) -> None:
    configure_logging(LogSettings(format="console"), stream)
    structlog.get_logger().warning("thing_odd", key=KEY, url="https://example.com")
    assert "thing_odd" in stream.getvalue()
    assert "https://example.com" in stream.getvalue()
    assert KEY not in stream.getvalue()
