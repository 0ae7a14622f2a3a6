"""Alert episodes and the deliveries that brought them, read and written in bulk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, update

from bridge.episodes import Episode
from bridge.model import Alert, State, Verdict
from bridge.store import bulk
from bridge.store.schema import alerts, deliveries, quarantine

Series = tuple[str, str]
Told = Mapping[Series, Sequence[tuple[int, Alert]]]

_COLUMNS = (
    "source",
    "fingerprint",
    "starts_at",
    "ends_at",
    "inferred",
    "state",
    "labels",
    "annotations",
    "link",
    "incident",
    "rule",
    "priority",
    "undated",
    "held_by",
    "delivery",
    "first_seen",
    "last_seen",
    "occurrences",
)
_MAYBE = frozenset({"ends_at"})
_WANTED = (
    "SELECT id, fingerprint, starts_at, ends_at, inferred, state, labels, annotations, link, incident, "
    "undated, held_by FROM alerts {by} WHERE source = {m} AND {among} AND starts_at"
)
_MARKS = {"m": "{m}", "among": "{among}"}
# Three questions, each with an index of its own: a series may have a thousand episodes that are long over.
# An end that nobody told moves when an episode in between arrives late.
_READ = " UNION ALL ".join(
    (
        _WANTED.format(by="", **_MARKS) + " >= {m}",
        _WANTED.format(by="{unended}", **_MARKS) + " < {m} AND ends_at IS NULL",
        _WANTED.format(by="{inferred}", **_MARKS) + " < {m} AND inferred AND ends_at > {m}",
    )
)
_FIRING = _WANTED.format(by="{unended}", **_MARKS) + " IS NOT NULL AND ends_at IS NULL"
# SQLite guesses wrong without statistics, and intake cannot wait for an ANALYZE.
_INDEXED = {"unended": "INDEXED BY ix_alerts_unended", "inferred": "INDEXED BY ix_alerts_inferred"}
_TOUCH = "UPDATE alerts SET last_seen = {m}, occurrences = occurrences + {m} WHERE {among}"
_CHANGE = (
    "UPDATE alerts SET ends_at = {m}, inferred = {m}, state = {m}, annotations = {m}, link = {m}, "
    "incident = {m}, held_by = {m}, absent_since = NULL, occurrences = occurrences + {m}, last_seen = {m} "
    "WHERE id = {m}"
)
_RESOLVED = State.RESOLVED.value
_encoder = msgspec.json.Encoder()
_texts = msgspec.json.Decoder(dict[str, str])


def known_series(connection: Connection, told: Told) -> dict[Series, list[Episode]]:
    """Episodes that may be touched by what was told: those firing, not older, or with an inferred end."""
    by_source: dict[str, list[str]] = {}
    earliest: dict[str, datetime] = {}
    for (source, fingerprint), said in told.items():
        by_source.setdefault(source, []).append(fingerprint)
        start = said[0][1].starts_at if len(said) == 1 else min(alert.starts_at for _, alert in said)
        if source not in earliest or start < earliest[source]:
            earliest[source] = start
    found: dict[Series, list[Episode]] = {}
    mark, moment = bulk.mark(connection), bulk.moment(connection)
    for source, fingerprints in by_source.items():
        since = moment(earliest[source])
        for among, names in bulk.among(connection, "fingerprint", fingerprints):
            query = _READ.format(m=mark, among=among, **_indexed(connection))
            asked = (source, *names, since)
            for row in connection.exec_driver_sql(query, (*asked, *asked, *asked, since)):
                found.setdefault((source, row[1]), []).append(_episode(source, row))
    return found


def add(
    connection: Connection,
    groups: Mapping[str, Sequence[tuple[Episode, int, Verdict]]],
    incident_of: Mapping[str, int],
    deliveries_of: Sequence[int],
    now: datetime,
) -> None:
    """Insert episodes without a row yet: incident, what was decided, and the delivery that told it first."""
    moment, encode, flag = bulk.moment(connection), _encoder.encode, bulk.flag(connection)
    seen, no, yes, none = moment(now), flag(value=False), flag(value=True), bulk.nothing(connection)
    rows = [
        (
            alert.source,
            alert.fingerprint,
            moment(alert.starts_at),
            none if alert.ends_at is None else moment(alert.ends_at),
            yes if episode.inferred else no,
            _RESOLVED if alert.ends_at is not None else alert.standing._value_,
            encode(alert.labels).decode(),
            encode(alert.annotations).decode(),
            alert.link,
            incident_of[key],
            verdict.rule,
            verdict.priority._value_,
            yes if alert.undated else no,
            alert.held_by,
            deliveries_of[index],
            seen,
            seen,
            episode.seen,
        )
        for key, told in groups.items()
        for episode, index, verdict in told
        if episode.id is None
        for alert in (episode.alert,)
    ]
    bulk.insert(connection, alerts, _COLUMNS, rows, _MAYBE)


def touch(connection: Connection, repeated: Sequence[Episode], now: datetime) -> None:
    """Known episodes were told again and nothing new of them."""
    mark, seen = bulk.mark(connection), bulk.moment(connection)(now)
    by_times: dict[int, list[int]] = {}
    for episode in repeated:
        by_times.setdefault(episode.seen, []).append(episode.id or 0)
    for times, ids in by_times.items():
        for among, part in bulk.among(connection, "id", ids):
            connection.exec_driver_sql(_TOUCH.format(m=mark, among=among), (seen, times, *part))


def change(connection: Connection, changed: Sequence[Episode], now: datetime) -> None:
    """Write what was heard about known episodes."""
    if not changed:
        return
    moment, seen = bulk.moment(connection), bulk.moment(connection)(now)
    rows = [
        (
            None if episode.alert.ends_at is None else moment(episode.alert.ends_at),
            episode.inferred,
            episode.alert.state.value,
            _encoder.encode(episode.alert.annotations).decode(),
            episode.alert.link,
            episode.incident,
            episode.alert.held_by,
            episode.seen,
            seen,
            episode.id,
        )
        for episode in changed
    ]
    connection.exec_driver_sql(_CHANGE.format(m=bulk.mark(connection)), rows)


def end_undated(connection: Connection, incident: int, now: datetime) -> int:
    """A person says it is over: end what no source will ever end. How many episodes that were."""
    done = connection.execute(
        update(alerts)
        .where(alerts.c.incident == incident, alerts.c.undated, alerts.c.ends_at.is_(None))
        .values(ends_at=now, state=State.RESOLVED, last_seen=now)
    )
    return done.rowcount


def delivery_ids(connection: Connection, count: int) -> list[int]:
    """Ids for deliveries about to be added; admission is the only one that adds them."""
    return bulk.next_ids(connection, deliveries, count)


def add_deliveries(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert deliveries with their ids. Lists and objects are written as JSON."""
    moment = bulk.moment(connection)
    values = [tuple(_plain(value, moment) for value in row.values()) for row in rows]
    bulk.insert(connection, deliveries, tuple(rows[0]), values)


def firing(connection: Connection, series: Series) -> list[Episode]:
    """The episodes of a series whose end is not known."""
    source, fingerprint = series
    mark = bulk.mark(connection)
    query = _FIRING.format(m=mark, among=f"fingerprint = {mark}", **_indexed(connection))
    return [_episode(source, row) for row in connection.exec_driver_sql(query, (source, fingerprint))]


def add_quarantined(connection: Connection, **fields: Any) -> None:
    """Keep an authentic delivery, or a part of one, that could not be understood."""
    connection.execute(insert(quarantine).values(**fields))


def _indexed(connection: Connection) -> Mapping[str, str]:
    return _INDEXED if bulk.is_sqlite(connection) else dict.fromkeys(_INDEXED, "")


def _plain(value: Any, moment: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    return value if isinstance(value, str | int) else _encoder.encode(value).decode()


def _episode(source: str, row: Any) -> Episode:
    state = State(row[5])
    return Episode(
        alert=Alert(
            source=source,
            fingerprint=row[1],
            starts_at=bulk.read_moment(row[2]),
            ends_at=None if row[3] is None else bulk.read_moment(row[3]),
            labels=_texts.decode(row[6]),
            annotations=_texts.decode(row[7]),
            link=row[8],
            undated=bool(row[10]),
            standing=State.FIRING if state is State.RESOLVED else state,
            held_by=row[11],
        ),
        id=row[0],
        incident=row[9],
        inferred=bool(row[4]),
    )
