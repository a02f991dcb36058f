"""The tables, as SQLAlchemy Core knows them. `migrations/` brings a database to this state."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

SERVICE = "screenshot"
FIRST_START = "first_start"
OPERATOR = "operator"
RESERVED, SETTLED, REFUNDED = "reserved", "settled", "refunded"
LEASE_ENDED = "lease_ended"
CACHE_HIT = "cache_hit"
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
FINAL = (DONE, FAILED, CANCELLED)
PENDING, DELIVERED = "pending", "delivered"  # or FAILED
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
    Column("link_secret", LargeBinary(32)),  # masked with the pepper; none of keys made before there were signed links
    Column("service", String(32), nullable=False),
    Column("plan", String(32), nullable=False),
    Column("name", String(NAME_MAX_CHARS)),
    Column("allow", JSON, nullable=False),
    Column("deny", JSON, nullable=False),
    Column("origin", String(16), nullable=False),  # FIRST_START or OPERATOR
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # Of a key that replaces another: the first of their line, whose usage all of them share. None: its own.
    Column("account_id", String(16)),
    Column("replaced_by", String(16)),  # the key that a rotation made in its place
)

# Of several servers that start at once on one database, one makes the first key: also where reading takes no lock.
Index(
    "uq_api_keys_first_start",
    api_keys.c.origin,
    unique=True,
    sqlite_where=api_keys.c.origin == FIRST_START,
    postgresql_where=api_keys.c.origin == FIRST_START,
)

# What an account has used: one row, so that admitting a capture locks one row and no more. In this table and the two
# below, `key_id` is the account: a key, or the first of those that replaced each other.
key_usage = Table(
    "key_usage",
    metadata,
    Column("key_id", String(16), ForeignKey("api_keys.id"), primary_key=True),
    Column("arrival_us", BigInteger, nullable=False),  # GCRA's theoretical arrival time, microseconds since 1970
    Column("period_start", UtcDateTime, nullable=False),  # of the month that the two below count
    Column("reserved", Integer, nullable=False),
    Column("settled", Integer, nullable=False),
)

# One row per capture that was admitted, whatever became of it.
ledger = Table(
    "ledger",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("key_id", String(16), ForeignKey("api_keys.id"), nullable=False),
    Column("period_start", UtcDateTime, nullable=False),
    Column("state", String(8), nullable=False),  # RESERVED, SETTLED or REFUNDED
    Column("reason", String(32)),  # of a refund: the error's code, LEASE_ENDED or CACHE_HIT
    Column("created_us", BigInteger, nullable=False),
    Column("lease_us", BigInteger, nullable=False),  # until when a reservation holds that nobody extends
    Index(None, "state", "lease_us"),
    Index(None, "key_id", "period_start"),
)

# Answers that are given again: to an Idempotency-Key, or from the result cache. While a capture runs, the row is its
# owner's claim, under which others wait.
answers = Table(
    "answers",
    metadata,
    Column("key_id", String(16), ForeignKey("api_keys.id"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),  # of the request: another one under this name is a conflict
    Column("request_id", String(64), nullable=False),  # the owner's
    Column("is_done", Boolean, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("ends_us", BigInteger, nullable=False),  # of a claim: its lease; of an answer: its time to live
    Column("object_name", String(96)),  # in the storage; none for an error
    Column("content", JSON),  # `{"content_type", "meta"}`, or `{"code", "message", "details"}` of an error
    Index(None, "ends_us"),
)

# One row per job: the queue itself, and what came of it. Its credit is a row of the ledger with the job's id.
jobs = Table(
    "jobs",
    metadata,
    # SQLite counts up by itself only a column of the type INTEGER.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),  # order of arrival
    Column("id", String(36), nullable=False, unique=True),  # UUIDv4
    Column("key_id", String(16), ForeignKey("api_keys.id"), nullable=False),  # who asked
    Column("account_id", String(16), ForeignKey("api_keys.id"), nullable=False),  # who pays
    Column("status", String(9), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("rank", BigInteger, nullable=False),  # lower first, then by number, as an index reads; see jobs.table
    Column("body", JSON(none_as_null=True)),  # as it was sent, without the key; forgotten at the end
    Column("webhook", JSON(none_as_null=True)),  # `{"url", "events"}`
    Column("created_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),  # when it may be tried (again)
    Column("started_us", BigInteger),  # the last try
    Column("finished_us", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("worker", String(32)),  # who runs it
    Column("lease_us", BigInteger),  # until when that is believed
    Column("is_cancel_requested", Boolean, nullable=False),
    Column("object_name", String(96)),  # of the picture in the storage
    Column("result", JSON(none_as_null=True)),  # `{"content_type", "meta"}`
    Column("error", JSON(none_as_null=True)),  # `{"code", "message", "details"}`, also of a try that will be repeated
    Column("traceparent", String(55)),  # of the span that accepted it
    Index(None, "status", "rank", "number"),
    Index(None, "status", "lease_us"),
    Index(None, "status", "finished_us"),
    Index(None, "account_id", "number"),
)

# Messages to users' receivers, until they are delivered or given up; then for as long as their jobs are kept.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(40), primary_key=True),  # the receiver sees it: the same in every try
    Column("job_id", String(36), nullable=False),
    Column("key_id", String(16), ForeignKey("api_keys.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(320), nullable=False),  # `host:port` of the URL
    Column("body", Text, nullable=False),  # never changed, so that each try sends the same bytes
    Column("status", String(9), nullable=False),  # PENDING, DELIVERED or FAILED
    Column("attempts", Integer, nullable=False),  # tries begun
    Column("created_us", BigInteger, nullable=False),
    Column("since_us", BigInteger, nullable=False),  # from when the schedule counts: made, or asked for again
    Column("next_us", BigInteger, nullable=False),  # from when it may be tried; while it is: the end of the lease
    Column("lease_us", BigInteger, nullable=False),  # 0, or of the try under way, whose token it is
    Column("ended_us", BigInteger),
    Column("log", JSON, nullable=False),  # of the last tries: `{"at_us", "status_code" or "error", "elapsed_ms"}`
    Index(None, "job_id"),
    Index(None, "status", "next_us", "host", "key_id", "id"),  # all that a claim reads of the rows that it leaves
    Index(None, "ended_us"),
)
