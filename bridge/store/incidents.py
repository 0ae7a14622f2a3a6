"""Incidents and their facts: struct to row and back, guarded by the row's version."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import Connection, Row, Update, bindparam, func, insert, select, text, update

from bridge.model import OPEN, Actor, Fact, Incident, Policy, Priority, Status, Term
from bridge.store import bulk
from bridge.store.database import Conflict
from bridge.store.schema import alerts, counters, facts, incidents

# Statements that intake repeats are built once: building them costs more than running them.
_KEYS = incidents.c.key.in_(bindparam("keys", expanding=True))
# The literal text lets the index of open keys answer; a key may have a thousand incidents that are over.
_BY_KEY = (
    select(incidents).where(_KEYS, text("status IN ('triggered', 'acknowledged')")),
    select(incidents).where(
        _KEYS, incidents.c.resolved_at >= bindparam("since"), incidents.c.status == Status.RESOLVED.value
    ),
)
_BY_NUMBER = select(incidents).where(incidents.c.number.in_(bindparam("numbers", expanding=True)))
_TERMS = tuple[Term, ...]
_FIELDS = tuple(name for name in Incident.__struct_fields__ if name not in ("number", "version"))
_MOST_AT_ONCE = 500
_MOST_RELATED = 50


class NoSuchIncident(LookupError):
    """There is no incident with this number."""


def next_numbers(connection: Connection, count: int) -> range:
    """Reserve incident numbers; the row's lock makes two replicas take turns."""
    first = bulk.upsert(connection, counters).values(name="incident", value=count)
    last = connection.execute(
        first.on_conflict_do_update(
            index_elements=["name"], set_={"value": counters.c.value + count}
        ).returning(counters.c.value)
    ).scalar_one()
    return range(last - count + 1, last + 1)


def read(connection: Connection, number: int, *, lock: bool = False) -> Incident:
    """One incident; raises NoSuchIncident. `lock` holds the row to the end of the transaction."""
    query = select(incidents).where(incidents.c.number == number)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NoSuchIncident(f"there is no INC-{number}")
    return from_row(row)


def read_many(connection: Connection, numbers: Collection[int]) -> dict[int, Incident]:
    """Incidents by number; unknown numbers are left out."""
    wanted = sorted(numbers)
    parts = (wanted[first : first + _MOST_AT_ONCE] for first in range(0, len(wanted), _MOST_AT_ONCE))
    rows = (row for part in parts for row in connection.execute(_BY_NUMBER, {"numbers": part}))
    return {incident.number: incident for incident in map(from_row, rows)}


def by_key(connection: Connection, keys: Collection[str], restored_since: datetime) -> dict[str, Incident]:
    """For each key its open incident, else the one restored last since a moment and not yet closed."""
    found: dict[str, Incident] = {}
    wanted = sorted(keys)
    for first in range(0, len(wanted), _MOST_AT_ONCE):
        asked = {"keys": wanted[first : first + _MOST_AT_ONCE], "since": restored_since}
        rows = [row for query in _BY_KEY for row in connection.execute(query, asked)]
        for incident in sorted(map(from_row, rows), key=lambda one: one.number):
            if incident.key not in found or not found[incident.key].is_open:
                found[incident.key] = incident
    return found


def open_of_services(connection: Connection, services: Collection[str]) -> tuple[Incident, ...]:
    """Open incidents of some services, the oldest first."""
    rows = connection.execute(
        select(incidents)
        .where(incidents.c.status.in_(OPEN), incidents.c.service.in_(sorted(services)))
        .order_by(incidents.c.number)
        .limit(_MOST_RELATED)
    )
    return tuple(map(from_row, rows))


def opened_since(connection: Connection, clients: Collection[str], since: datetime) -> dict[str, int]:
    """How many incidents were opened for each client since a moment."""
    query = (
        select(incidents.c.client, func.count())
        .where(incidents.c.client.in_(sorted(clients)), incidents.c.opened_at > since)
        .group_by(incidents.c.client)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def newest_of(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    """For each key the number of its newest incident, whatever its status."""
    found: dict[str, int] = {}
    for first in range(0, len(keys), _MOST_AT_ONCE):
        query = (
            select(incidents.c.key, func.max(incidents.c.number))
            .where(incidents.c.key.in_(keys[first : first + _MOST_AT_ONCE]))
            .group_by(incidents.c.key)
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def held_by_source(connection: Connection, source: str) -> list[Incident]:
    """Open incidents in doubt because a source cut alerts off, of which that source has told an alert."""
    told = select(alerts.c.id).where(alerts.c.incident == incidents.c.number, alerts.c.source == source)
    rows = connection.execute(
        select(incidents).where(incidents.c.status.in_(OPEN), incidents.c.held, told.exists())
    )
    return list(map(from_row, rows))


def save_all(connection: Connection, changes: Sequence[tuple[Incident, Incident | None]]) -> list[Incident]:
    """Write incidents as their next versions; of those read before only what differs.

    Raises Conflict when one changed since it was read: whoever asked looks again and decides again.
    """
    new: list[dict[str, Any]] = []
    known: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for incident, before in changes:
        if incident.version == 0:
            new.append(asdict(incident) | {"version": 1})
            continue
        names = tuple(
            name for name in _FIELDS if before is None or getattr(incident, name) != getattr(before, name)
        )
        values = {f"new_{name}": getattr(incident, name) for name in names}
        mark = {"at_number": incident.number, "at_version": incident.version}
        known.setdefault(names, []).append(values | mark)
    if new:
        connection.execute(insert(incidents), new)
    for names, rows in known.items():
        done = connection.execute(_update(names), rows)
        if done.rowcount != len(rows):
            numbers = ", ".join(f"INC-{row['at_number']}" for row in rows)
            raise Conflict(f"{numbers} was changed by somebody else meanwhile")
    return [replace(incident, version=incident.version + 1) for incident, _ in changes]


@functools.lru_cache(maxsize=256)
def _update(names: tuple[str, ...]) -> Update:
    """The statement that writes these fields of an incident as its next version."""
    return (
        update(incidents)
        .where(incidents.c.number == bindparam("at_number"), incidents.c.version == bindparam("at_version"))
        .values({name: bindparam(f"new_{name}") for name in names} | {"version": incidents.c.version + 1})
    )


def add_facts(connection: Connection, new: Sequence[tuple[int, Fact]]) -> None:
    """Append to timelines: incident numbers with what happened."""
    moment = bulk.moment(connection)
    rows = [
        (
            number,
            moment(fact.at),
            fact.kind,
            fact.by.name,
            fact.by.via,
            fact.text,
            msgspec.json.encode(fact.data).decode(),
        )
        for number, fact in new
    ]
    bulk.insert(connection, facts, ("incident", "at", "kind", "by", "via", "text", "data"), rows)


def facts_of(connection: Connection, number: int, kinds: Collection[str] = ()) -> list[Fact]:
    """An incident's timeline, oldest first, or only some kinds of it."""
    query = select(facts).where(facts.c.incident == number).order_by(facts.c.id)
    if kinds:
        query = query.where(facts.c.kind.in_(sorted(kinds)))
    return [
        Fact(at=row.at, kind=row.kind, by=Actor(row.by, row.via), text=row.text, data=row.data)
        for row in connection.execute(query)
    ]


def count_open(connection: Connection) -> dict[str, int]:
    """Open incidents by priority."""
    query = (
        select(incidents.c.priority, func.count())
        .where(incidents.c.status.in_(OPEN))
        .group_by(incidents.c.priority)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def from_row(row: Row[Any]) -> Incident:
    """A row as the noun."""
    values = row._mapping  # noqa: SLF001  # SQLAlchemy's public name for it
    return Incident(
        **{
            **values,
            "status": Status(values["status"]),
            "priority": Priority(values["priority"]),
            "policy": msgspec.convert(values["policy"], Policy),
            "terms": msgspec.convert(values["terms"], _TERMS),
        }
    )
