"""Signed links: what a key signs them with. Keys from before have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("link_secret", sa.LargeBinary(32)))


def downgrade() -> None:
    op.drop_column("api_keys", "link_secret")
