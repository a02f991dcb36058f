"""Alembic's entry: migrate on the connection, and in the transaction, that the caller has opened."""

from __future__ import annotations

from alembic import context

from calotype.schema import metadata

# Batches: SQLite alters most things by copying the table.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
