"""Keys that replace others, and share their usage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("account_id", sa.String(16)))
    op.add_column("api_keys", sa.Column("replaced_by", sa.String(16)))


def downgrade() -> None:
    op.drop_column("api_keys", "replaced_by")
    op.drop_column("api_keys", "account_id")
