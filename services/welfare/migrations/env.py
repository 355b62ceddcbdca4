"""Alembic's entry; everything is in shared."""

from shared.database.migrations import run_environment

run_environment()
