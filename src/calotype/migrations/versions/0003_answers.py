"""Answers that are given again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answers",
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("is_done", sa.Boolean, nullable=False),
        sa.Column("made_us", sa.BigInteger, nullable=False),
        sa.Column("ends_us", sa.BigInteger, nullable=False),
        sa.Column("object_name", sa.String(96)),
        sa.Column("content", sa.JSON),
        sa.PrimaryKeyConstraint("key_id", "name", name="pk_answers"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_answers_key_id_api_keys"),
    )
    op.create_index("ix_answers_ends_us", "answers", ["ends_us"])


def downgrade() -> None:
    op.drop_table("answers")
