"""Alembic migrations, run by `database.Database.migrate`; there is no alembic.ini to keep."""
