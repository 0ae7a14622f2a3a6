"""Alert episodes and the deliveries that brought them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    any_,
    bindparam,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.episodes import Episode
from bridge.model import Alert
from bridge.store.schema import alerts, deliveries, quarantine

Series = tuple[str, str]
_MOST_PARAMETERS = 400


def known_series(connection: Connection, told: Collection[Alert]) -> dict[Series, list[Episode]]:
    """Episodes that may be touched by what was told: those firing, not older, or with an inferred end."""
    wanted: dict[str, dict[str, datetime]] = {}
    for alert in told:
        starts = wanted.setdefault(alert.source, {})
        starts[alert.fingerprint] = min(alert.starts_at, starts.get(alert.fingerprint, alert.starts_at))
    found: dict[Series, list[Episode]] = {}
    for source, starts in wanted.items():
        names = list(starts)
        for first in range(0, len(names), _MOST_PARAMETERS):
            part = names[first : first + _MOST_PARAMETERS]
            earliest = min(starts[name] for name in part)
            rows = connection.execute(
                select(alerts)
                .where(alerts.c.source == source, _one_of(connection, part))
                .where(
                    or_(
                        alerts.c.ends_at.is_(None),
                        alerts.c.starts_at >= earliest,
                        # An end that nobody told moves when an episode in between arrives late.
                        and_(alerts.c.inferred, alerts.c.ends_at > earliest),
                    )
                )
            )
            for row in rows:
                found.setdefault((source, row.fingerprint), []).append(_episode(row))
    return found


def _one_of(connection: Connection, fingerprints: list[str]) -> ColumnElement[bool]:
    """IN for SQLite; for PostgreSQL one array, which it hashes (400 parameters it compares one by one)."""
    if connection.dialect.name == "sqlite":
        return alerts.c.fingerprint.in_(fingerprints)
    return alerts.c.fingerprint == any_(literal(fingerprints, ARRAY(String)))


def add(connection: Connection, new: Iterable[tuple[Episode, int | None]], now: datetime) -> None:
    """Insert episodes with the delivery that told them first."""
    rows = [
        {
            "source": episode.alert.source,
            "fingerprint": episode.alert.fingerprint,
            "starts_at": episode.alert.starts_at,
            "ends_at": episode.alert.ends_at,
            "inferred": episode.inferred,
            "state": episode.alert.state,
            "labels": episode.alert.labels,
            "annotations": episode.alert.annotations,
            "link": episode.alert.link,
            "incident": episode.incident,
            "delivery": delivery,
            "first_seen": now,
            "last_seen": now,
            "occurrences": episode.seen,
        }
        for episode, delivery in new
    ]
    if rows:
        connection.execute(insert(alerts), rows)


def change(connection: Connection, changed: Iterable[Episode], now: datetime) -> None:
    """Write what was heard about known episodes."""
    rows = [
        {
            "row": episode.id,
            "ends": episode.alert.ends_at,
            "guess": episode.inferred,
            "now_state": episode.alert.state,
            "notes": episode.alert.annotations,
            "address": episode.alert.link,
            "in_incident": episode.incident,
            "times": episode.seen,
            "seen": now,
        }
        for episode in changed
    ]
    if rows:
        connection.execute(
            update(alerts)
            .where(alerts.c.id == bindparam("row"))
            .values(
                ends_at=bindparam("ends"),
                inferred=bindparam("guess"),
                state=bindparam("now_state"),
                annotations=bindparam("notes"),
                link=bindparam("address"),
                incident=bindparam("in_incident"),
                occurrences=alerts.c.occurrences + bindparam("times"),
                last_seen=bindparam("seen"),
            ),
            rows,
        )


def add_deliveries(connection: Connection, rows: list[dict[str, Any]]) -> Mapping[str, int]:
    """Insert deliveries; ids by trace."""
    result = connection.execute(insert(deliveries).returning(deliveries.c.trace, deliveries.c.id), rows)
    return {row.trace: row.id for row in result}


def add_quarantined(
    connection: Connection, trace: str, source: str, reason: str, body: bytes, now: datetime
) -> None:
    """Keep an authentic delivery that could not be understood."""
    connection.execute(
        insert(quarantine).values(trace=trace, source=source, reason=reason, body=body, received_at=now)
    )


def _episode(row: Any) -> Episode:
    alert = Alert(
        source=row.source,
        fingerprint=row.fingerprint,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        labels=row.labels,
        annotations=row.annotations,
        link=row.link,
    )
    return Episode(alert=alert, id=row.id, incident=row.incident, inferred=row.inferred)
