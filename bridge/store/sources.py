"""What is known of each source: when it was heard and looked at, and whether it can see at all.

A source may be blind for several causes at once, each told and withdrawn by whoever noticed it: its API does
not answer, its Prometheus does not, a heartbeat it feeds is late. It sees again when the last one is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from bridge.store import bulk
from bridge.store.schema import sources

MOST_RECEIVERS = 100
SILENT = "Alertmanager does not answer"
_BETWEEN = "; "
_ALL = select(sources)  # built once: intake asks it in every transaction


class SourceState(msgspec.Struct, frozen=True):
    """One source. `receivers` are those its deliveries named; `answered_at` is its API's last good answer.

    Blind since `blind_since` for all the causes in `blind_why`; None when it sees.
    """

    name: str
    delivered_at: datetime | None = None
    receivers: tuple[str, ...] = ()
    looked_at: datetime | None = None
    answered_at: datetime | None = None
    blind_since: datetime | None = None
    blind_why: str = ""

    @property
    def doubted_since(self) -> datetime | None:
        """Since when its word on ends counts for nothing; None while it does.

        That its API is silent proves nothing against a delivery: whoever delivers is alive.
        """
        return self.blind_since if set(self.causes) - {SILENT} else None

    @property
    def causes(self) -> tuple[str, ...]:
        """Why it is blind, one sentence each."""
        return tuple(self.blind_why.split(_BETWEEN)) if self.blind_why else ()


def states(connection: Connection) -> dict[str, SourceState]:
    """Every source that was ever heard or looked at, by name."""
    return {row.name: _state(row) for row in connection.execute(_ALL)}


def state(connection: Connection, name: str) -> SourceState:
    """One source; an empty state when nothing is known of it."""
    row = connection.execute(select(sources).where(sources.c.name == name)).one_or_none()
    return SourceState(name) if row is None else _state(row)


def delivered(connection: Connection, name: str, at: datetime, receivers: Collection[str]) -> None:
    """It delivered, to these of its receivers."""
    known = _there(connection, name).receivers
    new = tuple(sorted(set(receivers) - set(known)))
    values: dict[str, Any] = {"delivered_at": at}
    if new:
        # Names of long ago make room: a receiver that is still used will be named again.
        values["receivers"] = (*known, *new)[-MOST_RECEIVERS:]
    _write(connection, name, **values)


def claim(connection: Connection, name: str, before: datetime | None, at: datetime) -> bool:
    """Take the right to look at it now; False when somebody looked since `before`."""
    _there(connection, name)
    unchanged = sources.c.looked_at.is_(None) if before is None else sources.c.looked_at == before
    result = connection.execute(update(sources).where(sources.c.name == name, unchanged).values(looked_at=at))
    return result.rowcount == 1


def answered(connection: Connection, name: str, at: datetime) -> None:
    """Its API has shown what fires."""
    _write(connection, name, answered_at=at)


def blind(connection: Connection, name: str, cause: str, at: datetime) -> bool:
    """It cannot see since `at`, for this cause; True when that was not known yet."""
    found = _there(connection, name)
    cause = cause.replace(_BETWEEN, ", ")
    if cause in found.causes:
        return False
    why = _BETWEEN.join((*found.causes, cause))
    _write(connection, name, blind_since=min(found.blind_since or at, at), blind_why=why)
    return True


def seeing(connection: Connection, name: str, *causes: str) -> bool:
    """These causes are gone; True when one of them had made it blind."""
    found = state(connection, name)
    gone = {cause.replace(_BETWEEN, ", ") for cause in causes}
    left = tuple(cause for cause in found.causes if cause not in gone)
    if left == found.causes:
        return False
    _write(connection, name, blind_since=found.blind_since if left else None, blind_why=_BETWEEN.join(left))
    return True


def _there(connection: Connection, name: str) -> SourceState:
    """The source's row, made when it is missing."""
    row = connection.execute(select(sources).where(sources.c.name == name)).one_or_none()
    if row is not None:
        return _state(row)
    new = bulk.upsert(connection, sources).values(name=name, receivers=(), blind_why="")
    connection.execute(new.on_conflict_do_nothing(index_elements=["name"]))
    return state(connection, name)


def _write(connection: Connection, name: str, **values: object) -> None:
    connection.execute(update(sources).where(sources.c.name == name).values(**values))


def _state(row: Any) -> SourceState:
    found: Mapping[str, Any] = row._mapping  # noqa: SLF001  # SQLAlchemy's name for the row as a mapping
    return SourceState(**{**found, "receivers": tuple(found["receivers"])})
