"""What a look at a source's API is compared with: its episodes that have not ended, and some that have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, and_, func, select, update

from bridge.model import Labels, State
from bridge.sightings import Ended, Known
from bridge.store.schema import alerts, deliveries

T = TypeVar("T")

_MOST_PARAMETERS = 400


def known(connection: Connection, source: str) -> list[Known]:
    """Its episodes that have not ended. Those whose start nobody told are not in any list."""
    columns = (
        alerts.c.id,
        alerts.c.fingerprint,
        alerts.c.starts_at,
        alerts.c.state,
        alerts.c.held_by,
        alerts.c.absent_since,
        alerts.c.last_seen,
    )
    query = select(*columns).where(
        alerts.c.source == source, alerts.c.ends_at.is_(None), alerts.c.undated.is_(False)
    )
    return [
        Known(
            id=row.id,
            fingerprint=row.fingerprint,
            starts_at=row.starts_at,
            standing=State(row.state),
            held_by=row.held_by,
            absent_since=row.absent_since,
            last_seen=row.last_seen,
        )
        for row in connection.execute(query)
    ]


def ended(connection: Connection, source: str, fingerprints: Collection[str]) -> dict[str, Ended]:
    """The latest episode of each of these series that is over, by fingerprint."""
    columns = (alerts.c.fingerprint, alerts.c.starts_at, alerts.c.inferred, alerts.c.last_seen)
    found: dict[str, Ended] = {}
    for part in _parts(fingerprints):
        of_source = and_(
            alerts.c.source == source, alerts.c.fingerprint.in_(part), alerts.c.ends_at.is_not(None)
        )
        latest = (
            select(alerts.c.fingerprint.label("series"), func.max(alerts.c.starts_at).label("start"))
            .where(of_source)
            .group_by(alerts.c.fingerprint)
            .subquery()
        )
        same = and_(alerts.c.fingerprint == latest.c.series, alerts.c.starts_at == latest.c.start)
        for row in connection.execute(select(*columns).join(latest, same).where(of_source)):
            found[row.fingerprint] = Ended(
                starts_at=row.starts_at, inferred=row.inferred, last_seen=row.last_seen
            )
    return found


def labels_of(connection: Connection, ids: Collection[int]) -> dict[int, Labels]:
    """Labels of episodes, by id."""
    found: dict[int, Labels] = {}
    for part in _parts(ids):
        rows = connection.execute(select(alerts.c.id, alerts.c.labels).where(alerts.c.id.in_(part)))
        found.update({row.id: row.labels for row in rows})
    return found


def mark_absent(connection: Connection, absent: Mapping[int, datetime | None]) -> None:
    """Since when episodes are missing from their source's list; None: they are in it."""
    by_time: dict[datetime | None, list[int]] = {}
    for number, since in absent.items():
        by_time.setdefault(since, []).append(number)
    for since, numbers in by_time.items():
        for part in _parts(numbers):
            connection.execute(update(alerts).where(alerts.c.id.in_(part)).values(absent_since=since))


def cut_off(connection: Connection, since: datetime) -> dict[str, datetime]:
    """When each source last delivered a list from which it had cut alerts off, if that was after `since`."""
    query = (
        select(deliveries.c.source, func.max(deliveries.c.received_at).label("last"))
        .where(deliveries.c.received_at > since, deliveries.c.hidden > 0)
        .group_by(deliveries.c.source)
    )
    return {row.source: row.last for row in connection.execute(query)}


def _parts(values: Collection[T]) -> Iterator[list[T]]:
    found = iter(values)
    while part := list(islice(found, _MOST_PARAMETERS)):
        yield part
