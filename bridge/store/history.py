"""Reading what happened: lists and pages for API, console, portal and reports. Writes nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, LargeBinary, Select, String, and_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import JSON

from bridge.model import Clock, ClockState, Incident, State, Status
from bridge.store import bulk
from bridge.store.database import LARGEST_NUMBER
from bridge.store.incidents import from_row
from bridge.store.retention import forgotten_alerts
from bridge.store.schema import (
    alerts,
    clocks,
    deliveries,
    failover_runs,
    incidents,
    links,
    quarantine,
    reports,
    tasks,
)

LARGEST_PAGE = 1000
LARGEST_SAMPLE = 20_000  # bytes of a body in a list


class BadCursor(ValueError):
    """The cursor was not one that a list answered."""


@dataclass(frozen=True)
class Filters:
    """Which incidents are wanted. `client` also limits what somebody may see."""

    status: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    client: str | None = None
    service: str | None = None
    q: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """One page of a list, the cursor of the next, and how many there are in all."""

    items: list[Any]
    next: str | None
    total: int


def list_incidents(connection: Connection, filters: Filters, limit: int, cursor: str = "") -> Page:
    """Incidents, newest first. Raises BadCursor."""
    where = _conditions(filters)
    total = connection.execute(select(func.count()).select_from(incidents).where(*where)).scalar_one()
    query = select(incidents).where(*where).order_by(incidents.c.number.desc())
    rows, following = page_of(connection, query, incidents.c.number, limit, cursor)
    return Page([from_row(row) for row in rows], following, total)


def unclosed(connection: Connection, client: str | None, limit: int) -> list[Incident]:
    """What is not closed yet, most urgent first."""
    where = [incidents.c.status != Status.CLOSED]
    if client is not None:
        where.append(incidents.c.client == client)
    query = select(incidents).where(*where).order_by(incidents.c.priority, incidents.c.number.desc())
    return [from_row(row) for row in connection.execute(query.limit(limit))]


def clocks_of(connection: Connection, numbers: Sequence[int]) -> Mapping[int, list[Clock]]:
    """Clocks by incident, as computed when they last changed."""
    found: dict[int, list[Clock]] = {number: [] for number in numbers}
    query = select(clocks).where(clocks.c.incident.in_(numbers)).order_by(clocks.c.due_at)
    for row in connection.execute(query):
        found[row.incident].append(
            Clock(
                target=row.target,
                started_at=row.started_at,
                due_at=row.due_at,
                state=ClockState(row.state),
                stopped_at=row.stopped_at,
                next_at=row.next_at,
            )
        )
    return found


def alert_counts(connection: Connection, numbers: Sequence[int]) -> Mapping[int, int]:
    """How many episodes each incident has had; those that are deleted by now count as well."""
    query = (
        select(alerts.c.incident, func.count())
        .where(alerts.c.incident.in_(numbers))
        .group_by(alerts.c.incident)
    )
    counts = {row[0]: row[1] for row in connection.execute(query)}
    forgotten = forgotten_alerts(connection, numbers)
    return {number: counts.get(number, 0) + forgotten.get(number, 0) for number in numbers}


def alerts_of(connection: Connection, number: int, limit: int = 200) -> list[Any]:
    """Episodes of an incident, firing ones first."""
    query = (
        select(alerts)
        .where(alerts.c.incident == number)
        .order_by(alerts.c.state != State.FIRING, alerts.c.starts_at.desc(), alerts.c.id.desc())
    )
    return list(connection.execute(query.limit(limit)))


def alert_names(connection: Connection, number: int) -> list[tuple[str, int]]:
    """An incident's episodes counted by alert name, the commonest first."""
    labels = alerts.c.labels
    of_sqlite, of_postgresql = (
        func.json_extract(labels, "$.alertname"),
        cast(labels, JSON)["alertname"].astext,
    )
    told = of_sqlite if bulk.is_sqlite(connection) else of_postgresql
    name = func.coalesce(func.nullif(told, ""), alerts.c.fingerprint)
    query = select(name, func.count()).where(alerts.c.incident == number).group_by(name)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(func.count().desc(), name))]


def list_alerts(connection: Connection, client: str | None, state: str, limit: int, cursor: str = "") -> Page:
    """Episodes, newest first; of a client only those that belong to its incidents."""
    where: list[ColumnElement[bool]] = [alerts.c.state == state] if state else []
    if client is not None:
        mine = select(incidents.c.number).where(incidents.c.client == client)
        where.append(alerts.c.incident.in_(mine))
    total = connection.execute(select(func.count()).select_from(alerts).where(*where)).scalar_one()
    query = select(alerts).where(*where).order_by(alerts.c.id.desc())
    rows, following = page_of(connection, query, alerts.c.id, limit, cursor)
    return Page(rows, following, total)


def list_deliveries(connection: Connection, limit: int, cursor: str = "") -> Page:
    """Deliveries from sources, newest first."""
    return _newest(connection, deliveries, deliveries.c.id, limit, cursor)


def list_quarantine(
    connection: Connection, limit: int, cursor: str = "", *, settled: bool | None = None
) -> Page:
    """Authentic deliveries that could not be understood, newest first; of their bodies only the beginning.

    A body may have many megabytes: `size` says how many bytes it has.
    """
    where: list[ColumnElement[bool]] = []
    if settled is not None:
        where.append(quarantine.c.settled_at.is_not(None) if settled else quarantine.c.settled_at.is_(None))
    total = connection.execute(select(func.count()).select_from(quarantine).where(*where)).scalar_one()
    columns = [column for column in quarantine.c if column is not quarantine.c.body]
    beginning = func.substr(quarantine.c.body, 1, LARGEST_SAMPLE, type_=LargeBinary).label("body")
    query = select(*columns, func.length(quarantine.c.body).label("size"), beginning).where(*where)
    rows, following = page_of(
        connection, query.order_by(quarantine.c.id.desc()), quarantine.c.id, limit, cursor
    )
    return Page(rows, following, total)


def list_failovers(connection: Connection, limit: int, cursor: str = "") -> Page:
    """Failover runs, newest first."""
    return _newest(connection, failover_runs, failover_runs.c.token, limit, cursor)


def failovers_of(connection: Connection, numbers: Sequence[int]) -> list[Any]:
    """Failover runs of some incidents, oldest first."""
    query = select(failover_runs).where(failover_runs.c.incident.in_(numbers))
    return list(connection.execute(query.order_by(failover_runs.c.token)))


def messages_of(connection: Connection, number: int) -> list[Any]:
    """What was to be done outside for an incident, newest first."""
    query = select(tasks).where(tasks.c.incident == number).order_by(tasks.c.id.desc()).limit(200)
    return list(connection.execute(query))


def dead_tasks(connection: Connection, limit: int = 100) -> list[Any]:
    """Tasks that were given up, newest first."""
    query = select(tasks).where(tasks.c.state == "dead").order_by(tasks.c.id.desc())
    return list(connection.execute(query.limit(limit)))


def links_of(connection: Connection, number: int) -> list[Any]:
    """The incident's tickets in other systems."""
    return list(connection.execute(select(links).where(links.c.incident == number)))


def list_reports(connection: Connection, client: str | None) -> list[Any]:
    """Reports that were built, newest month first."""
    query = select(reports).order_by(reports.c.month.desc(), reports.c.client, reports.c.language)
    if client is not None:
        query = query.where(reports.c.client == client)
    return list(connection.execute(query))


def between(connection: Connection, client: str, start: datetime, end: datetime) -> list[Incident]:
    """A client's incidents that were open at any moment of a period, oldest first."""
    over = or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at >= start)
    query = select(incidents).where(incidents.c.client == client, incidents.c.began_at < end, over)
    return [from_row(row) for row in connection.execute(query.order_by(incidents.c.number))]


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    table = incidents.c
    where: list[ColumnElement[bool]] = []
    if filters.status:
        where.append(table.status.in_(filters.status))
    if filters.priority:
        where.append(table.priority.in_(filters.priority))
    if filters.client is not None:
        where.append(table.client == filters.client)
    if filters.service is not None:
        where.append(table.service == filters.service)
    if filters.since is not None:
        where.append(table.opened_at >= filters.since)
    if filters.until is not None:
        where.append(table.opened_at < filters.until)
    for word in filters.q.split()[:8]:
        number = word.upper().removeprefix("INC-")
        where.append(
            or_(
                table.title.icontains(word, autoescape=True),
                table.key.icontains(word, autoescape=True),
                cast(table.number, String) == number,
            )
        )
    return where


def _newest(connection: Connection, table: Any, column: ColumnElement[int], limit: int, cursor: str) -> Page:
    total = connection.execute(select(func.count()).select_from(table)).scalar_one()
    rows, following = page_of(connection, select(table).order_by(column.desc()), column, limit, cursor)
    return Page(rows, following, total)


def page_of(
    connection: Connection, query: Select[Any], column: ColumnElement[int], limit: int, cursor: str
) -> tuple[list[Any], str | None]:
    """One page of a query ordered by this column downwards, and the cursor of the next. Raises BadCursor."""
    limit = min(max(limit, 1), LARGEST_PAGE)
    if cursor:
        query = query.where(and_(column < _opened(cursor)))
    rows = list(connection.execute(query.limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    last = getattr(rows[limit - 1], str(column.key))
    return rows[:limit], base64.urlsafe_b64encode(f"v1:{last}".encode()).decode()


def _opened(cursor: str) -> int:
    try:
        version, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
        if version == "v1" and len(number) < 20 and int(number) <= LARGEST_NUMBER:
            return int(number)
    except (ValueError, binascii.Error):
        pass
    raise BadCursor("this cursor was not made by opsbridge; start without one")
