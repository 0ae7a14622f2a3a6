"""Stored episodes with what was decided of them, oldest first, for replay. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from bridge.correlation import STORM
from bridge.model import Alert, Priority
from bridge.replay import Past
from bridge.store.database import Database
from bridge.store.schema import alerts, deliveries, facts, incidents
from bridge.triage import BLIND

_AT_ONCE = 2_000
_BLIND = f"{BLIND}: "
_IN_STORM = f"{STORM}, "


def span(connection: Connection, since: datetime) -> range:
    """The ids of episodes first seen since a moment. Ids rise with time, so a few rows are read, not all."""
    low, last = connection.execute(select(func.min(alerts.c.id), func.max(alerts.c.id))).one()
    if low is None:
        return range(0)
    high = last + 1
    while low < high:
        middle = (low + high) // 2
        query = select(alerts.c.id, alerts.c.first_seen).where(alerts.c.id >= middle)
        found = connection.execute(query.order_by(alerts.c.id).limit(1)).one()
        if found.first_seen >= since:
            high = middle
        else:
            low = found.id + 1
    return range(low, last + 1)


def episodes(database: Database, ids: range, client: str | None = None) -> Iterator[Past]:
    """Episodes of these ids by id, with their incidents; of a client those of its incidents.

    Every part is a read of its own, so that nothing is held for as long as a replay takes. The labels of
    Alertmanager's route are those of the delivery, and unknown where it is forgotten.
    """
    after = ids.start - 1
    while True:
        with database.reading() as connection:
            rows = connection.execute(_query(after, ids.stop, client)).all()
        yield from map(_past, rows)
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].id


def recorded(
    connection: Connection, ids: range, since: datetime, client: str | None = None
) -> tuple[int, int]:
    """What really was: how many incidents these episodes belong to, and how many of them paged since then."""
    mine: list[ColumnElement[bool]] = [alerts.c.id >= ids.start, alerts.c.id < ids.stop]
    if client is not None:
        mine.append(incidents.c.client == client)
    numbers = (
        select(alerts.c.incident)
        .join(incidents, alerts.c.incident == incidents.c.number)
        .where(*mine)
        .distinct()
    )
    count = connection.execute(select(func.count()).select_from(numbers.subquery())).scalar_one()
    paged = select(func.count(facts.c.incident.distinct())).where(
        facts.c.kind == "step_taken", facts.c.at >= since, facts.c.incident.in_(numbers)
    )
    return count, connection.execute(paged).scalar_one()


def _query(after: int, stop: int, client: str | None) -> Any:
    query = (
        select(
            alerts.c.id,
            alerts.c.source,
            alerts.c.fingerprint,
            alerts.c.starts_at,
            alerts.c.ends_at,
            alerts.c.labels,
            alerts.c.first_seen,
            alerts.c.priority,
            incidents.c.number,
            incidents.c.key,
            incidents.c.service,
            incidents.c.priority.label("incident_priority"),
            deliveries.c.route_labels,
        )
        .join(incidents, alerts.c.incident == incidents.c.number)
        .outerjoin(deliveries, alerts.c.delivery == deliveries.c.id)
        .where(alerts.c.id > after, alerts.c.id < stop)
        .order_by(alerts.c.id)
        .limit(_AT_ONCE)
    )
    return query if client is None else query.where(incidents.c.client == client)


def _past(row: Any) -> Past:
    return Past(
        id=row.id,
        alert=Alert(
            source=row.source,
            fingerprint=row.fingerprint,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            labels=row.labels,
            blind=row.key.startswith(_BLIND),
        ),
        first_seen=row.first_seen,
        incident=row.number,
        service=row.service,
        storm=row.key.startswith(_IN_STORM),
        key=row.key,
        # Rows from before decisions were stored: the incident's own says it best.
        priority=Priority(row.priority or row.incident_priority),
        route_labels=row.route_labels or {},
    )
