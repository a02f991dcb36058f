"""A key's text stays with whom it was given to: it is in no byte of the database's files, and in no log line."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from calotype.accounts.keys import KeyRing
from calotype.accounts.pepper import load_pepper
from calotype.database import Database
from calotype.errors import ApiKeyInvalid
from calotype.settings import LogSettings, Settings
from calotype.telemetry import configure_logging

_NAMES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that anybody logs, down to each statement in the database with its values."""
    root, statements = logging.getLogger(), logging.getLogger("sqlalchemy.engine")
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(LogSettings(level="debug", format="json"), stream)
    statements.setLevel(logging.INFO)
    yield stream
    statements.setLevel(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_NAMES, is_revoked=st.booleans())
def test_no_byte_of_the_files_and_no_log_line_gives_a_key_away(
    tmp_path_factory: pytest.TempPathFactory, log: io.StringIO, name: str | None, is_revoked: bool
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    text, while_open = asyncio.run(_lead_a_life(data_dir, name, is_revoked=is_revoked))
    secret = text.rpartition("_")[2]
    after = _bytes_of(data_dir)
    assert {"calotype.db", "calotype.db-wal"} <= while_open.keys()
    for content in (*while_open.values(), *after.values()):
        assert secret.encode() not in content
        assert text.encode() not in content
    assert "INSERT INTO api_keys" in log.getvalue()  # the statements are there, each with its values
    assert secret not in log.getvalue()


async def _lead_a_life(data_dir: Path, name: str | None, *, is_revoked: bool) -> tuple[str, dict[str, bytes]]:
    """Make a key, use it well and badly, and read all files while the database is open."""
    settings = Settings(data_dir=data_dir)
    database = Database(settings.database_url)
    await database.open()
    await database.migrate()
    ring = KeyRing(database, pepper=load_pepper(settings), plans=settings.plan, clock=lambda: datetime.now(UTC))
    key = await ring.create("free", name=name)
    await ring.authenticate(key.text)
    if is_revoked:
        await ring.revoke(key.key_id)
    for wrong in (key.text, f"{key.text}x", key.text[:-1], key.text.replace(key.key_id, "zzzzzzzz")):
        try:
            await ring.authenticate(wrong)
        except ApiKeyInvalid:
            logging.getLogger(__name__).exception("refused %s", wrong)
    files = _bytes_of(data_dir)
    await database.close()
    return key.text, files


def _bytes_of(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.iterdir()}
