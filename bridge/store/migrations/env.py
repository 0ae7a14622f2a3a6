"""Alembic runs this with the connection that `database.upgrade` opened."""

from __future__ import annotations

from alembic import context

from bridge.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction holds all steps
)
context.run_migrations()
