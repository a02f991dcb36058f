"""The tables, as SQLAlchemy Core knows them. `migrations/` brings a database to this state."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import JSON, Column, DateTime, Dialect, Index, LargeBinary, MetaData, String, Table, TypeDecorator

FIRST_START = "first_start"
OPERATOR = "operator"
NAME_MAX_CHARS = 200


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: with a zone on our side, UTC in the database (SQLite has no zones and would forget another)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a moment without a zone: {value}")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# Rows stay for ever: the ledger names keys, and "was a key ever made" decides whether there is a first start.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=False),  # HMAC-SHA256 of the secret part, keyed with the pepper
    Column("service", String(32), nullable=False),
    Column("plan", String(32), nullable=False),
    Column("name", String(NAME_MAX_CHARS)),
    Column("allow", JSON, nullable=False),
    Column("deny", JSON, nullable=False),
    Column("origin", String(16), nullable=False),  # FIRST_START or OPERATOR
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

# Of several servers that start at once on one database, one makes the first key: also where reading takes no lock.
Index(
    "uq_api_keys_first_start",
    api_keys.c.origin,
    unique=True,
    sqlite_where=api_keys.c.origin == FIRST_START,
    postgresql_where=api_keys.c.origin == FIRST_START,
)
