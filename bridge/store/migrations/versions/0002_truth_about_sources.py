"""What is known about sources, heartbeats, maintenance; more about deliveries, alerts and incidents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from bridge.store.columns import Json, UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("receiver", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("route_labels", Json(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("fingerprints", Json(), nullable=False, server_default="[]"))
    where = sa.text("hidden > 0")
    op.create_index(
        "ix_deliveries_cut_off", "deliveries", ["received_at"], sqlite_where=where, postgresql_where=where
    )
    with op.batch_alter_table("quarantine") as table:
        table.add_column(sa.Column("kind", sa.String(40), nullable=False, server_default=""))
        table.add_column(sa.Column("content_type", sa.String(200), nullable=False, server_default=""))
        table.add_column(sa.Column("version", sa.String(40), nullable=False, server_default=""))
        table.add_column(sa.Column("settled_at", UTCDateTime()))
        table.add_column(sa.Column("outcome", sa.Text(), nullable=False, server_default=""))
    _incidents()
    _alerts()
    _new_tables()


def _incidents() -> None:
    for column in (
        sa.Column("follows", sa.BigInteger()),
        sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("reopens", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("flapping_at", UTCDateTime()),
        sa.Column("settle_at", UTCDateTime()),
        sa.Column("muted_until", UTCDateTime()),
    ):
        op.add_column("incidents", column)
    for name in ("settle_at", "muted_until"):
        where = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_incidents_{name}", "incidents", [name], sqlite_where=where, postgresql_where=where
        )


def _alerts() -> None:
    with op.batch_alter_table("alerts") as table:
        table.drop_constraint("fk_alerts_delivery", type_="foreignkey")
        table.drop_constraint("fk_alerts_incident", type_="foreignkey")
        table.add_column(sa.Column("rule", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("priority", sa.String(2), nullable=False, server_default=""))
        table.add_column(sa.Column("undated", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("held_by", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("absent_since", UTCDateTime()))
    where = sa.text("ends_at IS NULL")
    series = ["source", "fingerprint"]
    op.create_index("ix_alerts_unended", "alerts", series, sqlite_where=where, postgresql_where=where)
    where = sa.text("inferred")
    op.create_index("ix_alerts_inferred", "alerts", series, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_alerts_delivery", "alerts", ["delivery"])


def _new_tables() -> None:
    op.create_table(
        "sources",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("delivered_at", UTCDateTime()),
        sa.Column("receivers", Json(), nullable=False),
        sa.Column("looked_at", UTCDateTime()),
        sa.Column("answered_at", UTCDateTime()),
        sa.Column("blind_since", UTCDateTime()),
        sa.Column("blind_why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sources"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("last_at", UTCDateTime()),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("late_since", UTCDateTime()),
        sa.PrimaryKeyConstraint("name", name="pk_heartbeats"),
    )
    op.create_index("ix_heartbeats_due_at", "heartbeats", ["due_at"])
    op.create_table(
        "maintenance",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("client", sa.String(100), nullable=False),
        sa.Column("match", Json(), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("rrule", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.String(60), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("cancelled_at", UTCDateTime()),
        sa.Column("cancelled_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_maintenance"),
    )


def downgrade() -> None:
    for name in ("maintenance", "heartbeats", "sources"):
        op.drop_table(name)
    with op.batch_alter_table("alerts") as table:
        table.drop_index("ix_alerts_unended")
        table.drop_index("ix_alerts_inferred")
        table.drop_index("ix_alerts_delivery")
        for column in ("rule", "priority", "undated", "held_by", "absent_since"):
            table.drop_column(column)
        table.create_foreign_key("fk_alerts_delivery", "deliveries", ["delivery"], ["id"])
        table.create_foreign_key("fk_alerts_incident", "incidents", ["incident"], ["number"])
    op.drop_index("ix_deliveries_cut_off", "deliveries")
    for name in ("settle_at", "muted_until"):
        op.drop_index(f"ix_incidents_{name}", "incidents")
    for name in ("follows", "held", "reopens", "flapping_at", "settle_at", "muted_until"):
        op.drop_column("incidents", name)
    for table_name, columns in (
        ("quarantine", ("kind", "content_type", "version", "settled_at", "outcome")),
        ("deliveries", ("receiver", "route_labels", "fingerprints")),
    ):
        with op.batch_alter_table(table_name) as table:
            for column in columns:
                table.drop_column(column)
