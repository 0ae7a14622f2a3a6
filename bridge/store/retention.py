"""Deleting what is old, a few hundred rows at a time. Incidents, facts and clocks are never deleted.

Ids rise with time, so old rows are found by walking ids; most tables have no index on their ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, or_, select

from bridge.model import Status
from bridge.store import bulk
from bridge.store.people import FAILURE_WINDOW
from bridge.store.schema import (
    alerts,
    counters,
    deliveries,
    incidents,
    quarantine,
    sessions,
    sign_in_failures,
    sign_in_links,
    tasks,
)

# Deletes some of what is old and says how many rows that were; fewer than `most` when nothing is left.
Delete = Callable[[Connection, int], int]
_FORGOTTEN = "forgotten/"
# Nobody closes small incidents by hand; what was restored and lay quiet for that long is over too.
_NOT_OPEN = (Status.RESOLVED, Status.CLOSED)


def forgotten_alerts(connection: Connection, numbers: Collection[int]) -> Mapping[int, int]:
    """How many episodes of each of these incidents were deleted; incidents without any are left out."""
    names = [f"{_FORGOTTEN}{number}" for number in numbers]
    rows = connection.execute(select(counters).where(counters.c.name.in_(names)))
    return {int(row.name.removeprefix(_FORGOTTEN)): row.value for row in rows}


def old_alerts(
    connection: Connection, after: int, before: datetime, most: int
) -> tuple[list[int], int | None]:
    """Of the next episodes by id those that can go, and where to go on; None when the rest is young.

    An episode can go when it ended before a moment and its incident, if any, is restored or closed.
    """
    can_go = and_(alerts.c.ends_at < before, _over(alerts.c.incident))
    return _walk(connection, alerts, alerts.c.first_seen, can_go, after, before, most)


def old_tasks(
    connection: Connection, after: int, before: datetime, most: int
) -> tuple[list[int], int | None]:
    """As `old_alerts`: tasks that were done before a moment for incidents that are restored or closed.

    Tasks of no incident stay: a report's key keeps it from being made twice.
    """
    can_go = and_(tasks.c.state == "done", tasks.c.done_at < before, incidents.c.status.in_(_NOT_OPEN))
    return _walk(connection, tasks, tasks.c.created_at, can_go, after, before, most)


def delete_alerts(connection: Connection, ids: Sequence[int]) -> int:
    """Delete episodes and remember how many each incident had. What was reopened meanwhile stays."""
    gone = delete(alerts).where(alerts.c.id.in_(ids), or_(alerts.c.incident.is_(None), _closed(alerts)))
    deleted = connection.execute(gone.returning(alerts.c.incident)).scalars().all()
    counts = Counter(number for number in deleted if number is not None)
    if counts:
        rows = [{"name": f"{_FORGOTTEN}{number}", "value": counts[number]} for number in sorted(counts)]
        row = bulk.upsert(connection, counters)
        more = {"value": counters.c.value + row.excluded.value}
        connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=more), rows)
    return len(deleted)


def delete_tasks(connection: Connection, ids: Sequence[int]) -> int:
    """Delete tasks. What was reopened meanwhile stays."""
    return connection.execute(delete(tasks).where(tasks.c.id.in_(ids), _closed(tasks))).rowcount


def deliveries_before(before: datetime) -> Delete:
    """Deliveries received before a moment, but the newest: its id must not be given again."""
    newest = select(func.max(deliveries.c.id)).scalar_subquery()
    return _some(deliveries, deliveries.c.id, deliveries.c.received_at < before, deliveries.c.id != newest)


def quarantine_before(before: datetime) -> Delete:
    """What was settled before a moment; what is not settled stays."""
    return _some(quarantine, quarantine.c.id, quarantine.c.settled_at < before)


def expired(now: datetime) -> Mapping[str, Delete]:
    """Sessions, sign-in links and failures that count no more, by name."""
    return {
        "sessions": _some(sessions, sessions.c.hash, sessions.c.expires_at < now),
        "sign_in_links": _some(sign_in_links, sign_in_links.c.hash, sign_in_links.c.expires_at < now),
        "sign_in_failures": _some(
            sign_in_failures, sign_in_failures.c.id, sign_in_failures.c.at < now - FAILURE_WINDOW
        ),
    }


def _walk(
    connection: Connection,
    table: Table,
    came: ColumnElement[datetime],
    can_go: ColumnElement[bool],
    after: int,
    before: datetime,
    most: int,
) -> tuple[list[int], int | None]:
    query = (
        select(table.c.id, came.label("came"), can_go.label("can_go"))
        .outerjoin(incidents, table.c.incident == incidents.c.number)
        .where(table.c.id > after)
        .order_by(table.c.id)
        .limit(most)
    )
    rows = connection.execute(query).all()
    old = [row for row in rows if row.came < before]
    following = old[-1].id if len(old) == most else None
    return [row.id for row in old if row.can_go], following


def _over(incident: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(incident.is_(None), incidents.c.status.in_(_NOT_OPEN))


def _closed(table: Table) -> ColumnElement[bool]:
    closed = select(incidents.c.number).where(
        incidents.c.number == table.c.incident, incidents.c.status.in_(_NOT_OPEN)
    )
    return closed.exists()


def _some(table: Table, key: ColumnElement[Any], *old: ColumnElement[bool]) -> Delete:
    def some(connection: Connection, most: int) -> int:
        part = select(key).where(*old).limit(most)
        return connection.execute(delete(table).where(key.in_(part))).rowcount

    return some
