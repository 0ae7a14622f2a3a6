"""What happens to delivered alerts inside one transaction: heard, sorted out, placed, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from bridge import correlation, placement
from bridge.hearing import FOUND, Heard, Waiting, hear
from bridge.joining import Deliveries, Placed
from bridge.metrics import program_version
from bridge.model import Alert, Incident
from bridge.store import alerts, sources
from bridge.store.sources import SourceState
from bridge.triage import gist
from bridge.wiring import Bridge

_MOST_FINGERPRINTS = 1_000
_FRESH = timedelta(seconds=5)


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


def admit(connection: Connection, waiting: Sequence[Waiting], bridge: Bridge, now: datetime) -> list[Outcome]:
    """Store deliveries and decide what they mean. The caller commits."""
    states = sources.states(connection)
    heard = hear(connection, waiting, states, bridge, now)
    placed = _place(connection, heard, waiting, bridge, now)
    ids = alerts.delivery_ids(connection, len(waiting))
    _store(connection, heard, placed, ids, now)
    alerts.add_deliveries(connection, [_delivery_row(i, ids[i], w, heard) for i, w in enumerate(waiting)])
    _quarantine(connection, waiting)
    _heard_from(connection, waiting, states, now)
    return [_outcome(index, delivery, heard, placed) for index, delivery in enumerate(waiting)]


def count(bridge: Bridge, outcomes: Sequence[Outcome]) -> None:
    """Tell the metrics what was committed."""
    metrics, services = bridge.metrics, bridge.config.services
    for outcome in outcomes:
        for state, number in outcome.states.items():
            metrics.alerts.labels(outcome.source, state).inc(number)
        for incident in outcome.restored:
            metrics.restored(incident)
        for incident in outcome.opened:
            service = incident.service if incident.service in services else "other"
            metrics.opened.labels(incident.priority, incident.client, service).inc()


def _place(
    connection: Connection, heard: Heard, waiting: Sequence[Waiting], bridge: Bridge, now: datetime
) -> Placed:
    known = bridge.config.known
    groups: dict[str, list[correlation.Member]] = {}
    for episode, index in heard.new:
        verdict = gist(episode.alert, known, waiting[index].notification.route_labels)
        groups.setdefault(verdict.key, []).append((episode, index, verdict))
    for each in placement.astray(connection, heard.changed, bridge, now):
        _, episode, (index, *others) = each
        heard.changed.remove(each)
        heard.also[episode.identity] = others
        verdict = gist(episode.alert, known, waiting[index].notification.route_labels)
        groups.setdefault(verdict.key, []).append((episode, index, verdict))
    hidden: dict[tuple[int, str], int] = {}
    for index, delivery in enumerate(waiting):
        if delivery.notification.hidden:
            hidden[index, delivery.notification.source] = delivery.notification.hidden
    deliveries = Deliveries(
        traces=[delivery.trace for delivery in waiting],
        route_labels=[delivery.notification.route_labels for delivery in waiting],
        hidden=hidden,
    )
    placed = placement.place(connection, groups, heard.changed, deliveries, bridge, now)
    for number, source in heard.taken.items():
        placement.take(connection, number, source, bridge, now)
    return placed


def _store(connection: Connection, heard: Heard, placed: Placed, ids: Sequence[int], now: datetime) -> None:
    alerts.add(connection, placed.groups, placed.incident_of, ids, now)
    alerts.touch(connection, heard.repeated, now)
    for _, episode, tellers in heard.changed:
        if episode.incident and episode.seen:
            heard.touch(tellers, episode.incident)
    moved = [
        replace(episode, incident=placed.incident_of[key])
        for key, members in placed.groups.items()
        for episode, _, _ in members
        if episode.id is not None
    ]
    alerts.change(connection, [*(after for _, after, _ in heard.changed), *moved], now)
    for key, members in placed.groups.items():
        for episode, index, _ in members:
            heard.touched.setdefault(index, set()).add(placed.incident_of[key])
            if heard.also:
                heard.touch(heard.also.get(episode.identity, ()), placed.incident_of[key])


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
        if FOUND in told.flaws:
            continue
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


def _delivery_row(index: int, number: int, waiting: Waiting, heard: Heard) -> dict[str, object]:
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


def _outcome(index: int, waiting: Waiting, heard: Heard, placed: Placed) -> Outcome:
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
