"""Messages on their way to users' receivers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("host", sa.String(320), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.String(9), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False),
        sa.Column("lease_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("log", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_webhook_deliveries_key_id_api_keys"),
    )
    op.create_index("ix_webhook_deliveries_job_id", "webhook_deliveries", ["job_id"])
    columns = ["status", "next_us", "host", "key_id", "id"]
    op.create_index("ix_webhook_deliveries_status_next_us_host_key_id_id", "webhook_deliveries", columns)
    op.create_index("ix_webhook_deliveries_ended_us", "webhook_deliveries", ["ended_us"])


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
