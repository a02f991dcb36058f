"""A key's text stays with whom it was given to: it is in no byte of the database's files, and in no log line. So does
the admin token, however it is logged."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from calotype.accounts.keys import KeyRing
from calotype.accounts.pepper import load_pepper
from calotype.database import Database
from calotype.errors import ApiKeyInvalid
from calotype.settings import AdminSettings, LogSettings, Settings
from calotype.telemetry import configure_logging

_NAMES = st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
_TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=32, max_size=80).filter(
    lambda text: not text.startswith("calo_")
)


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
@given(name=_NAMES, is_revoked=st.booleans(), grace_s=st.integers(0, 10))
def test_no_byte_of_the_files_and_no_log_line_gives_a_key_away(
    tmp_path_factory: pytest.TempPathFactory, log: io.StringIO, name: str | None, is_revoked: bool, grace_s: int
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    grace = timedelta(seconds=grace_s)
    texts, while_open = asyncio.run(_lead_a_life(data_dir, name, is_revoked=is_revoked, grace=grace))
    after = _bytes_of(data_dir)
    assert {"calotype.db", "calotype.db-wal"} <= while_open.keys()
    assert "INSERT INTO api_keys" in log.getvalue()  # the statements are there, each with its values
    assert len(texts) == 2
    for secret in (text.rpartition("_")[2] for text in texts):
        for content in (*while_open.values(), *after.values()):
            assert secret.encode() not in content
        assert secret not in log.getvalue()


@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=_TOKENS)
def test_no_log_line_gives_the_admin_token_away(log: io.StringIO, token: str) -> None:
    settings = Settings(admin=AdminSettings(token=SecretStr(token)))
    logger = structlog.get_logger(__name__)
    logger.info("settings", settings=settings, admin=settings.admin, tree=settings.model_dump())
    logger.info("plain", admin={"token": token}, Authorization=f"Bearer {token}")
    logging.getLogger(__name__).info("asked with Authorization: Bearer %s", token)
    try:
        AdminSettings(token=SecretStr(f"{token} "))
    except ValidationError:
        logger.exception("refused")
    logged = "".join(json.loads(line)["event"] + line for line in log.getvalue().splitlines())
    assert "refused" in logged
    assert token not in logged
    assert json.dumps(token)[1:-1] not in logged


async def _lead_a_life(
    data_dir: Path, name: str | None, *, is_revoked: bool, grace: timedelta
) -> tuple[list[str], dict[str, bytes]]:
    """Make a key and replace it, use both well and badly, and read all files while the database is open."""
    settings = Settings(data_dir=data_dir)
    database = Database(settings.database_url)
    await database.open()
    await database.migrate()
    ring = KeyRing(database, pepper=load_pepper(settings), plans=settings.plan, clock=lambda: datetime.now(UTC))
    key = await ring.create("free", name=name)
    await ring.authenticate(key.text)
    rotation = await ring.rotate(key.key_id, grace=grace)
    assert rotation is not None
    new = rotation.new
    await ring.authenticate(new.text)
    if is_revoked:
        await ring.revoke(key.key_id)
        await ring.revoke(new.key_id)
    logging.getLogger(__name__).info("made %s and %s", key, rotation)
    for wrong in (key.text, f"{key.text}x", new.text[:-1], new.text, key.text.replace(key.key_id, "zzzzzzzz")):
        try:
            await ring.authenticate(wrong)
        except ApiKeyInvalid:
            logging.getLogger(__name__).exception("refused %s", wrong)
    files = _bytes_of(data_dir)
    await database.close()
    return [key.text, new.text], files


def _bytes_of(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.iterdir()}
