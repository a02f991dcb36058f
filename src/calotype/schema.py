"""The tables, as SQLAlchemy Core knows them. `migrations/` brings a database to this state."""

from __future__ import annotations

from sqlalchemy import JSON, Column, DateTime, LargeBinary, MetaData, String, Table

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=False),  # HMAC-SHA256 of the secret part, keyed with the pepper
    Column("service", String(32), nullable=False),
    Column("plan", String(32), nullable=False),
    Column("name", String(200)),
    Column("allow", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)
