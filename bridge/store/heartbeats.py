"""Heartbeats: when each was heard last, by when the next one is due, and since when it is late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, insert, select, update

from bridge.store.schema import heartbeats

_ALL = select(heartbeats).order_by(heartbeats.c.name)


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One expected heartbeat. `last_at` is None until it is heard, `late_since` while it is not late."""

    name: str
    last_at: datetime | None
    due_at: datetime
    late_since: datetime | None


def every(connection: Connection) -> dict[str, Heartbeat]:
    """All expected heartbeats by name."""
    return _by_name(connection, _ALL)


def expect(connection: Connection, due: Mapping[str, datetime]) -> dict[str, Heartbeat]:
    """Expect exactly these: new ones by their time; those no longer named are removed and returned."""
    known = every(connection)
    rows = [{"name": name, "due_at": at} for name, at in due.items() if name not in known]
    if rows:
        connection.execute(insert(heartbeats), rows)
    gone = {name: found for name, found in known.items() if name not in due}
    if gone:
        connection.execute(delete(heartbeats).where(heartbeats.c.name.in_(gone)))
    return gone


def beat(connection: Connection, name: str, at: datetime, due_at: datetime) -> datetime | None:
    """It was heard; the next one is due by `due_at`. Since when it had been late, None when it was not."""
    row = connection.execute(
        select(heartbeats.c.last_at, heartbeats.c.late_since).where(heartbeats.c.name == name)
    ).one_or_none()
    if row is None:
        connection.execute(insert(heartbeats).values(name=name, last_at=at, due_at=due_at))
        return None
    if row.last_at is not None and row.last_at > at:
        return None  # another replica heard a later one: that one counts
    heard = update(heartbeats).where(heartbeats.c.name == name)
    connection.execute(heard.values(last_at=at, due_at=due_at, late_since=None))
    since: datetime | None = row.late_since
    return since


def late(connection: Connection, now: datetime) -> dict[str, Heartbeat]:
    """Those that are due and not yet marked late, by name."""
    due = _ALL.where(heartbeats.c.due_at <= now, heartbeats.c.late_since.is_(None))
    return _by_name(connection, due)


def mark_late(connection: Connection, name: str, at: datetime) -> None:
    """It is late since `at`."""
    connection.execute(update(heartbeats).where(heartbeats.c.name == name).values(late_since=at))


def put_off(connection: Connection, name: str, due_at: datetime) -> None:
    """Expect the next one later: nobody listened meanwhile. Never earlier: it may just have been heard."""
    earlier = update(heartbeats).where(heartbeats.c.name == name, heartbeats.c.due_at < due_at)
    connection.execute(earlier.values(due_at=due_at))


def _by_name(connection: Connection, query: Select[Any]) -> dict[str, Heartbeat]:
    rows = connection.execute(query)
    return {row.name: Heartbeat(**row._mapping) for row in rows}  # noqa: SLF001  # SQLAlchemy's public name
