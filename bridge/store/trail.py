"""The way of one delivery through opsbridge, read back from what is stored. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from bridge.model import Actor, Fact, Incident
from bridge.store.incidents import read_many
from bridge.store.schema import alerts, deliveries, facts, quarantine, tasks

MOST = 100
# A delivery without new episodes left no mark but the time: what was written this soon after it came.
_AT_ONCE = timedelta(seconds=5)
# What only new episodes do, so that another delivery did it.
_OF_NEW_ONES = ("opened", "alerts_joined")

Rows = Sequence[Any]


class NoSuchDelivery(LookupError):
    """There is no delivery with this trace, or it is forgotten."""


@dataclass(frozen=True)
class Trail:
    """One delivery and everything that came of it; of long lists the first `MOST`.

    `new` are episodes it told first, `known` those that were there, `silent` the fingerprints of which no
    episode is there (an end of nothing, or forgotten). `incidents` are those it touched and `opened` those
    it opened. `facts` were written at its moment; `messages` too, and of an incident it opened all.
    """

    delivery: Any
    quarantined: Rows
    new: Rows
    known: Rows
    silent: tuple[str, ...]
    incidents: Mapping[int, Incident]
    opened: frozenset[int]
    facts: tuple[tuple[int, Fact], ...]
    messages: Rows
    decided_at: datetime | None


def read(connection: Connection, trace: str) -> Trail:
    """The way of the delivery with this trace. Raises NoSuchDelivery."""
    delivery = connection.execute(select(deliveries).where(deliveries.c.trace == trace)).one_or_none()
    if delivery is None:
        raise NoSuchDelivery(f"there is no delivery with the trace {trace}")
    new = connection.execute(
        select(alerts).where(alerts.c.delivery == delivery.id).order_by(alerts.c.id).limit(MOST)
    ).all()
    told = [
        name for name in dict.fromkeys(delivery.fingerprints) if name not in {row.fingerprint for row in new}
    ]
    moment = _decided_at(connection, delivery, new)
    known = _known(connection, delivery, told[:MOST], moment)
    found = {row.fingerprint for row in known}
    numbers = delivery.incidents[:MOST]
    written = _facts(connection, numbers, moment)
    opened = frozenset(
        number for number, fact in written if fact.kind == "opened" and fact.data.get("trace") == trace
    )
    return Trail(
        delivery=delivery,
        quarantined=_quarantined(connection, trace),
        new=new,
        known=known,
        silent=tuple(name for name in told[:MOST] if name not in found),
        incidents=read_many(connection, numbers),
        opened=opened,
        facts=written,
        messages=_messages(connection, numbers, opened, moment),
        decided_at=moment,
    )


def _decided_at(connection: Connection, delivery: Any, new: Rows) -> datetime | None:
    """The moment of its transaction, which all that came of it carries; None when it did nothing new."""
    if new:
        moment: datetime = new[0].first_seen
        return moment
    query = select(func.min(facts.c.at)).where(
        facts.c.incident.in_(delivery.incidents[:MOST]),
        facts.c.via.in_(("intake", "source")),
        facts.c.kind.not_in(_OF_NEW_ONES),
        facts.c.at >= delivery.received_at,
        facts.c.at <= delivery.received_at + _AT_ONCE,
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def _known(connection: Connection, delivery: Any, names: Collection[str], moment: datetime | None) -> Rows:
    """For each series the episode that was its latest then."""
    by_then = moment or delivery.received_at + _AT_ONCE
    latest = (
        select(func.max(alerts.c.id))
        .where(
            alerts.c.fingerprint.in_(names),
            alerts.c.source == delivery.source,
            alerts.c.first_seen <= by_then,
        )
        .group_by(alerts.c.fingerprint)
    )
    return connection.execute(select(alerts).where(alerts.c.id.in_(latest)).order_by(alerts.c.id)).all()


def _quarantined(connection: Connection, trace: str) -> Rows:
    """What of it could not be read, or it itself, without the bodies."""
    columns = [column for column in quarantine.c if column is not quarantine.c.body]
    size = func.length(quarantine.c.body).label("size")
    query = select(*columns, size).where(quarantine.c.trace == trace).order_by(quarantine.c.id)
    return connection.execute(query.limit(MOST)).all()


def _facts(
    connection: Connection, numbers: Collection[int], moment: datetime | None
) -> tuple[tuple[int, Fact], ...]:
    if moment is None:
        return ()
    query = select(facts).where(facts.c.incident.in_(numbers), facts.c.at == moment).order_by(facts.c.id)
    return tuple(
        (
            row.incident,
            Fact(at=row.at, kind=row.kind, by=Actor(row.by, row.via), text=row.text, data=row.data),
        )
        for row in connection.execute(query.limit(2 * MOST))
    )


def _messages(
    connection: Connection, numbers: Collection[int], opened: Collection[int], moment: datetime | None
) -> Rows:
    at_once = and_(tasks.c.incident.in_(numbers), tasks.c.created_at == moment)
    query = select(tasks).where(or_(at_once, tasks.c.incident.in_(opened))).order_by(tasks.c.id)
    return connection.execute(query.limit(MOST)).all()
