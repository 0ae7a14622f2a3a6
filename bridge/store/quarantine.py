"""Deliveries that could not be understood: read, settled, or refused once more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from bridge.store.schema import quarantine


class NoSuchBody(LookupError):
    """Nothing is kept in quarantine under this number."""


def read(connection: Connection, number: int) -> Any:
    """One row with its whole body. Raises NoSuchBody."""
    row = connection.execute(select(quarantine).where(quarantine.c.id == number)).one_or_none()
    if row is None:
        raise NoSuchBody(f"there is nothing in quarantine under number {number}")
    return row


def unsettled(connection: Connection, other_than: str | None, most: int) -> list[int]:
    """Numbers of what still waits, oldest first; without what this version has looked at, if one is given."""
    query = select(quarantine.c.id).where(quarantine.c.settled_at.is_(None))
    if other_than is not None:
        query = query.where(quarantine.c.version != other_than)
    return list(connection.execute(query.order_by(quarantine.c.id).limit(most)).scalars())


def waits(connection: Connection, source: str) -> bool:
    """Is anything of this source not settled?"""
    query = select(func.count()).where(quarantine.c.source == source, quarantine.c.settled_at.is_(None))
    return connection.execute(query).scalar_one() > 0


def settle(connection: Connection, number: int, outcome: str, now: datetime) -> bool:
    """It need not be looked at again; False when somebody settled it before."""
    done = connection.execute(
        update(quarantine)
        .where(quarantine.c.id == number, quarantine.c.settled_at.is_(None))
        .values(settled_at=now, outcome=outcome)
    )
    return done.rowcount == 1


def refuse(connection: Connection, number: int, reason: str, version: str) -> None:
    """It was looked at again and still cannot be understood."""
    connection.execute(
        update(quarantine)
        .where(quarantine.c.id == number, quarantine.c.settled_at.is_(None))
        .values(reason=reason, version=version)
    )
