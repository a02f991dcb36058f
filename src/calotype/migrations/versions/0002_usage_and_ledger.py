"""What keys have used, and the ledger of captures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_usage",
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("arrival_us", sa.BigInteger, nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("settled", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_key_usage"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_key_usage_key_id_api_keys"),
    )
    op.create_table(
        "ledger",
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("lease_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_ledger"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_ledger_key_id_api_keys"),
    )
    op.create_index("ix_ledger_state_lease_us", "ledger", ["state", "lease_us"])
    op.create_index("ix_ledger_key_id_period_start", "ledger", ["key_id", "period_start"])


def downgrade() -> None:
    op.drop_table("ledger")
    op.drop_table("key_usage")
