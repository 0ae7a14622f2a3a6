"""Maintenance windows as rows, and the episodes a window is tried on before it is saved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import Connection, Row, Select, bindparam, func, insert, or_, select, update

from bridge.maintenance import LONGEST, Window
from bridge.matchers import Matcher
from bridge.model import OPEN, Incident
from bridge.store.history import Page, page_of
from bridge.store.incidents import from_row as incident_from_row
from bridge.store.schema import alerts, incidents
from bridge.store.schema import maintenance as table

_AT_ONCE = 1000
# Built once: intake asks this in every transaction.
_MAYBE = (
    select(table)
    .where(table.c.cancelled_at.is_(None))
    .where(or_(table.c.rrule != "", table.c.starts_at > bindparam("since")))
    .order_by(table.c.id)
)


class NoSuchWindow(LookupError):
    """There is no maintenance window with this number."""


class Tried(msgspec.Struct, frozen=True):
    """What a preview needs to know of an episode; `client` is that of its incident."""

    starts_at: datetime
    firing: bool
    labels: dict[str, str]
    rule: str
    priority: str
    client: str
    incident: int | None


def add(connection: Connection, window: Window) -> Window:
    """Store a new window; it comes back with its number."""
    values = asdict(window)
    del values["id"]
    row = connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one()
    return replace(window, id=row)


def cancel(connection: Connection, number: int, by: str, at: datetime) -> Window:
    """End a window for ever. Raises NoSuchWindow; one that was cancelled before stays as it was."""
    connection.execute(
        update(table)
        .where(table.c.id == number, table.c.cancelled_at.is_(None))
        .values(cancelled_at=at, cancelled_by=by)
    )
    return read(connection, number)


def read(connection: Connection, number: int) -> Window:
    """One window; raises NoSuchWindow."""
    row = connection.execute(select(table).where(table.c.id == number)).one_or_none()
    if row is None:
        raise NoSuchWindow(f"there is no maintenance window {number}")
    return _window(row)


def list_windows(connection: Connection, client: str | None, limit: int, cursor: str = "") -> Page:
    """Windows, newest first; of a client only its own. Raises BadCursor."""
    where = [] if client is None else [table.c.client == client]
    total = connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
    query = select(table).where(*where).order_by(table.c.id.desc())
    rows, following = page_of(connection, query, table.c.id, limit, cursor)
    return Page([_window(row) for row in rows], following, total)


def active(connection: Connection, now: datetime) -> tuple[Window, ...]:
    """Windows that are on or may still come: all that recur, and those that are not surely over."""
    return tuple(_window(row) for row in connection.execute(_MAYBE, {"since": now - LONGEST}))


def episodes(connection: Connection, since: datetime, most: int) -> Iterator[Tried]:
    """Episodes heard of since a moment, newest first, at most so many; then older ones that still fire."""
    # Numbers rise with time: reading ends at the first episode that is too old, no index is needed.
    newest = _tried().order_by(alerts.c.id.desc()).limit(most)
    with connection.execute(newest, execution_options={"yield_per": _AT_ONCE}) as rows:
        for row in rows:
            if row.first_seen < since:
                break
            yield _episode(row)
    older = _tried().where(alerts.c.ends_at.is_(None), alerts.c.first_seen < since)
    for row in connection.execute(older.limit(most)):
        yield _episode(row)


def muted(connection: Connection, now: datetime) -> list[Incident]:
    """Open incidents that page nobody now."""
    query = select(incidents).where(incidents.c.muted_until > now, incidents.c.status.in_(OPEN))
    return [incident_from_row(row) for row in connection.execute(query.order_by(incidents.c.number))]


def firing_labels(connection: Connection, number: int) -> list[dict[str, str]]:
    """The labels of everything of an incident that has not ended."""
    query = select(alerts.c.labels).where(alerts.c.incident == number, alerts.c.ends_at.is_(None))
    return list(connection.execute(query).scalars())


def _tried() -> Select[Any]:
    columns = (alerts.c.starts_at, alerts.c.ends_at, alerts.c.first_seen, alerts.c.labels, alerts.c.incident)
    said = (
        func.coalesce(func.nullif(alerts.c.rule, ""), incidents.c.rule).label("rule"),
        func.coalesce(func.nullif(alerts.c.priority, ""), incidents.c.priority).label("priority"),
        incidents.c.client,
    )
    return select(*columns, *said).join(incidents, incidents.c.number == alerts.c.incident, isouter=True)


def _episode(row: Row[Any]) -> Tried:
    return Tried(
        starts_at=row.starts_at,
        firing=row.ends_at is None,
        labels=row.labels,
        rule=row.rule or "",
        priority=row.priority or "",
        client=row.client or "",
        incident=row.incident,
    )


def _window(row: Row[Any]) -> Window:
    values = row._mapping  # noqa: SLF001  # SQLAlchemy's public name for it
    return Window(**{**values, "match": msgspec.convert(values["match"], tuple[Matcher, ...])})
