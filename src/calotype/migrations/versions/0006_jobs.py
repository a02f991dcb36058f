"""Jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("account_id", sa.String(16), nullable=False),
        sa.Column("status", sa.String(9), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("body", sa.JSON),
        sa.Column("webhook", sa.JSON),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger, nullable=False),
        sa.Column("started_us", sa.BigInteger),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(32)),
        sa.Column("lease_us", sa.BigInteger),
        sa.Column("is_cancel_requested", sa.Boolean, nullable=False),
        sa.Column("object_name", sa.String(96)),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.PrimaryKeyConstraint("number", name="pk_jobs"),
        sa.UniqueConstraint("id", name="uq_jobs_id"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_jobs_key_id_api_keys"),
        sa.ForeignKeyConstraint(["account_id"], ["api_keys.id"], name="fk_jobs_account_id_api_keys"),
    )
    op.create_index("ix_jobs_status_rank_number", "jobs", ["status", "rank", "number"])
    op.create_index("ix_jobs_status_lease_us", "jobs", ["status", "lease_us"])
    op.create_index("ix_jobs_status_finished_us", "jobs", ["status", "finished_us"])
    op.create_index("ix_jobs_account_id_number", "jobs", ["account_id", "number"])


def downgrade() -> None:
    op.drop_table("jobs")
