"""What happens to delivered alerts inside one transaction: heard, sorted out, placed, recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from bridge import correlation, episodes, placement, selfwatch
from bridge.episodes import Episode
from bridge.metrics import program_version
from bridge.model import Alert, Incident, Notification
from bridge.store import alerts, heartbeats, sources
from bridge.store.alerts import Series
from bridge.store.sources import SourceState
from bridge.triage import gist
from bridge.wiring import Bridge

_MOST_FINGERPRINTS = 1_000
_FRESH = timedelta(seconds=5)
# Ends told so shortly before a source was found blind may be its blindness already.
_DOUBTFUL = timedelta(minutes=5)


class Waiting(msgspec.Struct, frozen=True):
    """One decoded delivery on its way to the store."""

    trace: str
    notification: Notification
    received_at: datetime
    size: int
    sha256: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of one delivery."""

    trace: str
    source: str
    alerts: int
    new: int
    incidents: tuple[str, ...]
    states: Mapping[str, int]
    opened: tuple[Incident, ...]
    restored: tuple[Incident, ...]
    tasks: bool


@dataclass
class _Heard:
    """What one transaction was told, by series, and what of it is new or differs from what is known."""

    told: dict[Series, list[tuple[int, Alert]]] = field(default_factory=dict)
    new: list[tuple[Episode, int]] = field(default_factory=list)
    changed: list[placement.Changed] = field(default_factory=list)
    repeated: list[Episode] = field(default_factory=list)
    fresh: Counter[int] = field(default_factory=Counter)
    touched: dict[int, set[int]] = field(default_factory=dict)
    taken: dict[int, str] = field(default_factory=dict)

    def begin(self, episode: Episode, index: int, waiting: Sequence[Waiting]) -> None:
        """A new episode; what opsbridge says of itself does not count as the delivery's."""
        self.new.append((episode, index))
        self.fresh[index] += episode.alert.source == waiting[index].notification.source


def admit(connection: Connection, waiting: Sequence[Waiting], bridge: Bridge, now: datetime) -> list[Outcome]:
    """Store deliveries and decide what they mean. The caller commits."""
    heard = _Heard()
    states = sources.states(connection)
    for index, delivery in enumerate(waiting):
        _hear(heard, index, delivery.notification, states)
        for alert in _own_alerts(delivery, now):
            heard.told.setdefault((alert.source, alert.fingerprint), []).append((index, alert))
    for alert in _beats(connection, waiting, bridge, now):
        heard.told.setdefault((alert.source, alert.fingerprint), []).append((0, alert))
    _sort_out(connection, heard, waiting)
    placed = _place(connection, heard, waiting, bridge, now)
    ids = alerts.delivery_ids(connection, len(waiting))
    _store(connection, heard, placed, ids, now)
    alerts.add_deliveries(connection, [_delivery_row(i, ids[i], w, heard) for i, w in enumerate(waiting)])
    _quarantine(connection, waiting)
    _heard_from(connection, waiting, states, now)
    return [_outcome(index, delivery, heard, placed) for index, delivery in enumerate(waiting)]


def _hear(heard: _Heard, index: int, notification: Notification, states: Mapping[str, SourceState]) -> None:
    """Every alert of a delivery by its series. A loop without calls: a storm passes here alert by alert."""
    state = states.get(notification.source)
    told = notification.alerts
    if state is not None and state.blind_since is not None:
        since = state.blind_since - _DOUBTFUL
        told = tuple(
            episodes.doubted(alert, state.blind_why)
            if alert.ends_at is not None and alert.ends_at >= since and not alert.presumed
            else alert
            for alert in told
        )
    by_series = heard.told
    for alert in told:
        series = (alert.source, alert.fingerprint)
        said = by_series.get(series)
        if said is None:
            by_series[series] = [(index, alert)]
        else:
            said.append((index, alert))


def _own_alerts(delivery: Waiting, now: datetime) -> Iterator[Alert]:
    """What a delivery makes opsbridge say about itself."""
    told, source = delivery.notification, delivery.notification.source
    if told.hidden:
        detail = (
            f"source {source} cut {told.hidden} alerts off (max_alerts), last in trace {delivery.trace}. "
            "What it does not list can neither open nor end anything here. "
            "Set max_alerts: 0 in its webhook_config."
        )
        yield from selfwatch.notification(
            "BridgeAlertsTruncated", "A source hides alerts from us", detail, now, source
        ).alerts
    if told.unread:
        detail = f"trace {delivery.trace}: {len(told.unread)} alerts in it could not be read"
        yield from selfwatch.notification(
            "BridgeQuarantine", "A delivery could not be understood", detail, now, source
        ).alerts


def _beats(
    connection: Connection, waiting: Sequence[Waiting], bridge: Bridge, now: datetime
) -> Iterator[Alert]:
    """Heartbeats heard, directly or by the alert they watch; the end of the alert of those that were late."""
    watched = bridge.config.watched
    if not watched and not any(delivery.notification.beats for delivery in waiting):
        return
    names = {name for delivery in waiting for name in delivery.notification.beats}
    for delivery in waiting:
        for heartbeat in watched:
            if heartbeat.watches == delivery.notification.source and any(
                alert.ends_at is None and all(matcher.matches(alert.labels) for matcher in heartbeat.match)
                for alert in delivery.notification.alerts
            ):
                names.add(heartbeat.name)
    for name in sorted(names):
        settings = bridge.config.sources[name].settings
        if heartbeats.beat(connection, name, now, now + settings.every + settings.grace) is not None:
            yield Alert(source=name, fingerprint="heartbeat", starts_at=now, ends_at=now, undated=True)


def _sort_out(connection: Connection, heard: _Heard, waiting: Sequence[Waiting]) -> None:
    """Which episodes are new, which changed; a repeat changes only when it was last seen."""
    known = alerts.known_series(connection, heard.told)
    for series, said in heard.told.items():
        before = known.get(series) if known else None
        if before is None and len(said) == 1:
            index, alert = said[0]
            if not alert.undated and not alert.presumed:
                heard.new.append((Episode(alert=alert, seen=1), index))
                heard.fresh[index] += 1
                continue
        _compare(heard, before or [], said, waiting)
    for index, delivery in enumerate(waiting):
        for fingerprint in delivery.notification.taken:
            series = (delivery.notification.source, fingerprint)
            for episode in alerts.firing(connection, series):
                if episode.incident:
                    heard.taken[episode.incident] = delivery.notification.source
                    heard.touched.setdefault(index, set()).add(episode.incident)


def _compare(
    heard: _Heard,
    known: Sequence[Episode],
    said: Sequence[tuple[int, Alert]],
    waiting: Sequence[Waiting],
) -> None:
    before = {episode.alert.starts_at: episode for episode in known}
    first_told = {alert.starts_at: index for index, alert in reversed(said)}
    last = said[-1][0]
    for episode in episodes.merged(known, (alert for _, alert in said)):
        start = episode.alert.starts_at
        index = first_told.get(start, last)
        if start not in before:
            heard.begin(episode, index, waiting)
            continue
        if episode == before[start]:
            continue
        if replace(episode, seen=0) == before[start]:
            heard.repeated.append(episode)
        else:
            heard.changed.append((before[start], episode, index))
        if episode.incident and episode.seen:
            heard.touched.setdefault(index, set()).add(episode.incident)


def _place(
    connection: Connection, heard: _Heard, waiting: Sequence[Waiting], bridge: Bridge, now: datetime
) -> placement.Placed:
    known = bridge.config.known
    groups: dict[str, list[correlation.Member]] = {}
    for episode, index in heard.new:
        verdict = gist(episode.alert, known, waiting[index].notification.route_labels)
        groups.setdefault(verdict.key, []).append((episode, index, verdict))
    hidden: dict[int, int] = {}
    for index, delivery in enumerate(waiting):
        if delivery.notification.hidden:
            hidden[index] = delivery.notification.hidden
    deliveries = placement.Deliveries(
        traces=[delivery.trace for delivery in waiting],
        route_labels=[delivery.notification.route_labels for delivery in waiting],
        hidden=hidden,
    )
    placed = placement.place(connection, groups, heard.changed, deliveries, bridge, now)
    for number, source in heard.taken.items():
        placement.take(connection, number, source, bridge, now)
    return placed


def _store(
    connection: Connection, heard: _Heard, placed: placement.Placed, ids: Sequence[int], now: datetime
) -> None:
    alerts.add(connection, placed.groups, placed.incident_of, ids, now)
    alerts.touch(connection, heard.repeated, now)
    alerts.change(connection, [after for _, after, _ in heard.changed], now)
    for key, members in placed.groups.items():
        for _, index, _ in members:
            heard.touched.setdefault(index, set()).add(placed.incident_of[key])


def _quarantine(connection: Connection, waiting: Sequence[Waiting]) -> None:
    for delivery in waiting:
        for number, part in enumerate(delivery.notification.unread):
            alerts.add_quarantined(
                connection,
                trace=delivery.trace,
                source=delivery.notification.source,
                received_at=delivery.received_at,
                reason=f"alert {number + 1} of the unreadable ones in this delivery; the others were taken",
                body=part.encode("utf-8", "replace"),
                kind="alert",
                content_type="application/json",
                version=program_version(),
            )


def _heard_from(
    connection: Connection, waiting: Sequence[Waiting], states: Mapping[str, SourceState], now: datetime
) -> None:
    """Remember when sources delivered last, to a few seconds, and to which of their receivers."""
    receivers: dict[str, set[str]] = {}
    for delivery in waiting:
        told = delivery.notification
        receivers.setdefault(told.source, set()).update([told.receiver] if told.receiver else [])
    for name, named in receivers.items():
        state = states.get(name)
        if (
            state is None
            or state.delivered_at is None
            or now - state.delivered_at > _FRESH
            or not named.issubset(state.receivers)
        ):
            sources.delivered(connection, name, now, named)


def _delivery_row(index: int, number: int, waiting: Waiting, heard: _Heard) -> dict[str, object]:
    told = waiting.notification
    return {
        "id": number,
        "trace": waiting.trace,
        "source": told.source,
        "received_at": waiting.received_at,
        "size": waiting.size,
        "sha256": waiting.sha256,
        "alerts": len(told.alerts),
        "new": heard.fresh[index],
        "hidden": told.hidden,
        "group": told.group,
        "receiver": told.receiver,
        "route_labels": told.route_labels,
        "fingerprints": [alert.fingerprint for alert in told.alerts[:_MOST_FINGERPRINTS]],
        "flaws": told.flaws,
        "incidents": sorted(heard.touched.get(index, ())),
    }


def _outcome(index: int, waiting: Waiting, heard: _Heard, placed: placement.Placed) -> Outcome:
    told = waiting.notification
    touched = sorted(heard.touched.get(index, ()))
    return Outcome(
        trace=waiting.trace,
        source=told.source,
        alerts=len(told.alerts),
        new=heard.fresh[index],
        incidents=tuple(f"INC-{number}" for number in touched),
        states=_states(told.alerts),
        opened=tuple(placed.opened.get(index, ())),
        restored=tuple(placed.restored) if index == 0 else (),
        tasks=bool(touched),
    )


def _states(told: Sequence[Alert]) -> dict[str, int]:
    ended = sum(alert.ends_at is not None for alert in told)
    return {state: count for state, count in (("firing", len(told) - ended), ("resolved", ended)) if count}
