"""Every table. Migrations in migrations/ bring a database here; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from bridge.store.columns import Json, UTCDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite only numbers rows by itself for INTEGER keys.
_Id = BigInteger().with_variant(Integer, "sqlite")

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("trace", String(32), nullable=False, unique=True),
    Column("source", String(100), nullable=False),
    Column("received_at", UTCDateTime, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("alerts", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("hidden", Integer, nullable=False),
    Column("group", Text, nullable=False),
    Column("receiver", Text, nullable=False, server_default=""),
    Column("route_labels", Json, nullable=False, server_default="{}"),
    Column("fingerprints", Json, nullable=False, server_default="[]"),
    Column("flaws", Json, nullable=False),
    Column("incidents", Json, nullable=False),
)

_CUT_OFF = text("hidden > 0")
Index("ix_deliveries_cut_off", deliveries.c.received_at, sqlite_where=_CUT_OFF, postgresql_where=_CUT_OFF)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("trace", String(32), nullable=False),
    Column("source", String(100), nullable=False),
    Column("received_at", UTCDateTime, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("kind", String(40), nullable=False, server_default=""),
    Column("content_type", String(200), nullable=False, server_default=""),
    # The version of opsbridge that could not read it: another one tries again.
    Column("version", String(40), nullable=False, server_default=""),
    Column("settled_at", UTCDateTime),
    Column("outcome", Text, nullable=False, server_default=""),
)

incidents = Table(
    "incidents",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("status", String(12), nullable=False),
    Column("priority", String(2), nullable=False),
    Column("client", String(100), nullable=False),
    Column("service", String(120), nullable=False),
    Column("title", Text, nullable=False),
    Column("began_at", UTCDateTime, nullable=False),
    Column("opened_at", UTCDateTime, nullable=False, index=True),
    Column("rule", Text, nullable=False),
    Column("rules_version", String(64), nullable=False),
    Column("policy", Json, nullable=False),
    Column("terms", Json, nullable=False),
    Column("runbook", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("acknowledged_at", UTCDateTime),
    Column("resolved_at", UTCDateTime),
    Column("closed_at", UTCDateTime),
    Column("round_at", UTCDateTime),
    Column("step", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("escalate_at", UTCDateTime),
    Column("firing", Integer, nullable=False),
    Column("follows", BigInteger),
    Column("held", Boolean, nullable=False, server_default=false()),
    Column("reopens", Integer, nullable=False, server_default="0"),
    Column("flapping_at", UTCDateTime),
    Column("settle_at", UTCDateTime),
    Column("muted_until", UTCDateTime),
    Column("version", Integer, nullable=False),
)
_OPEN = text("status IN ('triggered', 'acknowledged')")
# One problem, one ticket: the database forbids a second open incident of the same key.
Index("uq_incidents_open_key", incidents.c.key, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
_DUE = text("escalate_at IS NOT NULL")
Index("ix_incidents_escalate_at", incidents.c.escalate_at, sqlite_where=_DUE, postgresql_where=_DUE)
_SETTLES = text("settle_at IS NOT NULL")
Index("ix_incidents_settle_at", incidents.c.settle_at, sqlite_where=_SETTLES, postgresql_where=_SETTLES)
_MUTED = text("muted_until IS NOT NULL")
Index("ix_incidents_muted_until", incidents.c.muted_until, sqlite_where=_MUTED, postgresql_where=_MUTED)
_UNCLOSED = text("status <> 'closed'")
Index("ix_incidents_unclosed", incidents.c.priority, sqlite_where=_UNCLOSED, postgresql_where=_UNCLOSED)
Index("ix_incidents_key_resolved_at", incidents.c.key, incidents.c.resolved_at)
Index("ix_incidents_client_opened_at", incidents.c.client, incidents.c.opened_at)

alerts = Table(
    "alerts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("source", String(100), nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("starts_at", UTCDateTime, nullable=False),
    Column("ends_at", UTCDateTime),
    Column("inferred", Boolean, nullable=False),
    Column("state", String(10), nullable=False),
    Column("labels", Json, nullable=False),
    Column("annotations", Json, nullable=False),
    Column("link", Text, nullable=False),
    # Not a foreign key: intake writes both in one transaction, and PostgreSQL's check of every row cost
    # more than the row itself (18 of 31 us).
    Column("incident", BigInteger),
    # What this version's rules said of it, for replay and for the delivery's page.
    Column("rule", Text, nullable=False, server_default=""),
    Column("priority", String(2), nullable=False, server_default=""),
    Column("undated", Boolean, nullable=False, server_default=false()),
    # Who or what silences or inhibits it, or why its end is doubted.
    Column("held_by", Text, nullable=False, server_default=""),
    Column("absent_since", UTCDateTime),
    # Not a foreign key: deliveries are forgotten earlier than episodes.
    Column("delivery", _Id),
    Column("first_seen", UTCDateTime, nullable=False),
    Column("last_seen", UTCDateTime, nullable=False),
    Column("occurrences", Integer, nullable=False),
    # The fingerprint first: before its first ANALYZE, PostgreSQL would read everything of a source.
    UniqueConstraint("fingerprint", "source", "starts_at"),
)
Index("ix_alerts_incident", alerts.c.incident, alerts.c.state)
_UNENDED = text("ends_at IS NULL")
Index(
    "ix_alerts_unended",
    alerts.c.source,
    alerts.c.fingerprint,
    sqlite_where=_UNENDED,
    postgresql_where=_UNENDED,
)
_INFERRED = text("inferred")
Index(
    "ix_alerts_inferred",
    alerts.c.source,
    alerts.c.fingerprint,
    sqlite_where=_INFERRED,
    postgresql_where=_INFERRED,
)
Index("ix_alerts_delivery", alerts.c.delivery)

sources = Table(
    "sources",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("delivered_at", UTCDateTime),
    Column("receivers", Json, nullable=False),
    Column("looked_at", UTCDateTime),
    Column("answered_at", UTCDateTime),
    Column("blind_since", UTCDateTime),
    Column("blind_why", Text, nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("last_at", UTCDateTime),
    Column("due_at", UTCDateTime, nullable=False, index=True),
    Column("late_since", UTCDateTime),
)

maintenance = Table(
    "maintenance",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("client", String(100), nullable=False),
    Column("match", Json, nullable=False),
    Column("starts_at", UTCDateTime, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("rrule", Text, nullable=False),
    Column("time_zone", String(60), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("cancelled_at", UTCDateTime),
    Column("cancelled_by", Text, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("incident", BigInteger, ForeignKey("incidents.number"), nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("by", Text, nullable=False),
    Column("via", String(40), nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Json, nullable=False),
)
Index("ix_facts_incident", facts.c.incident, facts.c.id)

clocks = Table(
    "clocks",
    metadata,
    Column("incident", BigInteger, ForeignKey("incidents.number"), primary_key=True),
    Column("target", String(20), primary_key=True),
    Column("started_at", UTCDateTime, nullable=False),
    Column("due_at", UTCDateTime, nullable=False),
    Column("state", String(10), nullable=False),
    Column("stopped_at", UTCDateTime),
    Column("next_at", UTCDateTime),
)
_TICKS = text("next_at IS NOT NULL")
Index("ix_clocks_next_at", clocks.c.next_at, sqlite_where=_TICKS, postgresql_where=_TICKS)

tasks = Table(
    "tasks",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("incident", BigInteger, ForeignKey("incidents.number")),
    Column("priority", String(2), nullable=False),
    Column("channel", String(100), nullable=False),
    Column("data", Json, nullable=False),
    Column("state", String(8), nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("due_at", UTCDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", String(80)),
    Column("lease_until", UTCDateTime),
    Column("done_at", UTCDateTime),
    Column("error", Text, nullable=False),
    Column("receipt", Text, nullable=False),
)
_PENDING = text("state = 'pending'")
Index("ix_tasks_pending", tasks.c.priority, tasks.c.due_at, sqlite_where=_PENDING, postgresql_where=_PENDING)
Index("ix_tasks_incident", tasks.c.incident)
Index("ix_tasks_channel_done_at", tasks.c.channel, tasks.c.done_at)

links = Table(
    "links",
    metadata,
    Column("incident", BigInteger, ForeignKey("incidents.number"), primary_key=True),
    Column("tracker", String(100), primary_key=True),
    Column("ticket", Text, nullable=False),
    Column("url", Text, nullable=False),
)

failover_runs = Table(
    "failover_runs",
    metadata,
    Column("token", _Id, primary_key=True),
    Column("plan", String(100), nullable=False),
    Column("cause", Text, nullable=False, unique=True),
    Column("direction", String(12), nullable=False),
    Column("incident", BigInteger, ForeignKey("incidents.number")),
    Column("mode", String(8), nullable=False),
    Column("state", String(12), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("started_at", UTCDateTime, nullable=False),
    Column("acted_at", UTCDateTime),
    Column("finished_at", UTCDateTime),
    Column("next_at", UTCDateTime),
    Column("owner", String(80)),
    Column("lease_until", UTCDateTime),
    Column("verdicts", Json, nullable=False),
    Column("detail", Text, nullable=False),
    # A fencing token must never be given twice, not even after the newest row was deleted.
    sqlite_autoincrement=True,
)
Index("ix_failover_runs_plan", failover_runs.c.plan, failover_runs.c.started_at)
_RUNNING = text("finished_at IS NULL")
Index(
    "uq_failover_runs_in_flight",
    failover_runs.c.plan,
    unique=True,
    sqlite_where=_RUNNING,
    postgresql_where=_RUNNING,
)

stops = Table(
    "stops",
    metadata,
    Column("scope", String(100), primary_key=True),
    Column("stopped", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("password", Text, nullable=False),
    Column("role", String(20), nullable=False),
    Column("client", String(100), nullable=False),
    Column("language", String(10), nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("disabled_at", UTCDateTime),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user", String(100), ForeignKey("users.name"), nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("used_at", UTCDateTime),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user", String(100), ForeignKey("users.name"), nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("subject", String(120), nullable=False),
    Column("at", UTCDateTime, nullable=False),
)
Index("ix_sign_in_failures_subject", sign_in_failures.c.subject, sign_in_failures.c.at)

tokens = Table(
    "tokens",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", Json, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("revoked_at", UTCDateTime),
)

keys = Table(
    "keys",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("client", String(100), nullable=False),
    Column("month", String(7), nullable=False),
    Column("language", String(10), nullable=False),
    Column("format", String(8), nullable=False),
    Column("made_at", UTCDateTime, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("missing", Json, nullable=False),
    Column("seconds", Float, nullable=False),
    UniqueConstraint("client", "month", "language", "format"),
)
