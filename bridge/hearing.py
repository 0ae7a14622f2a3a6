"""What one transaction is told, sorted out: which episodes are new, which changed, which were known."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from bridge import episodes, selfwatch
from bridge.episodes import Episode, Identity
from bridge.model import Alert, Notification, State
from bridge.placement import Changed
from bridge.sources import Delivery
from bridge.sources.heartbeat import over
from bridge.store import alerts, heartbeats
from bridge.store.alerts import Series
from bridge.store.sources import SourceState
from bridge.wiring import Bridge

# The flaw of what was not delivered: it proves neither a heartbeat nor that the source can reach us.
FOUND = "found by reconciliation"
# Ends told so shortly before a source was found blind may be its blindness already.
_DOUBTFUL = timedelta(minutes=5)


class Waiting(msgspec.Struct, frozen=True):
    """One decoded delivery on its way to the store."""

    trace: str
    notification: Notification
    received_at: datetime
    size: int
    sha256: str


def new_trace() -> str:
    """A name for a delivery or a request, by which log, timeline and answer are found together."""
    return os.urandom(8).hex()


def delivered(trace: str, notification: Notification, delivery: Delivery) -> Waiting:
    """What a sender delivered, once it is decoded."""
    body = delivery.body
    return Waiting(trace, notification, delivery.received_at, len(body), hashlib.sha256(body).hexdigest())


def own(told: Notification, now: datetime, trace: str = "") -> Waiting:
    """What nobody delivered: opsbridge says it itself, so there is no body."""
    return Waiting(trace or new_trace(), told, now, 0, "")


@dataclass
class Heard:
    """What one transaction was told, by series, and what of it is new or differs from what is known.

    `also` are the deliveries that told a new episode too, after the one that it counts for.
    """

    told: dict[Series, list[tuple[int, Alert]]] = field(default_factory=dict)
    new: list[tuple[Episode, int]] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    repeated: list[Episode] = field(default_factory=list)
    fresh: Counter[int] = field(default_factory=Counter)
    also: dict[Identity, Sequence[int]] = field(default_factory=dict)
    touched: dict[int, set[int]] = field(default_factory=dict)
    taken: dict[int, str] = field(default_factory=dict)

    def begin(self, episode: Episode, tellers: Sequence[int], waiting: Sequence[Waiting]) -> None:
        """A new episode; what opsbridge says of itself does not count as the delivery's."""
        index = tellers[0]
        self.new.append((episode, index))
        self.fresh[index] += episode.alert.source == waiting[index].notification.source
        if len(tellers) > 1:
            self.also[episode.identity] = tellers[1:]

    def touch(self, tellers: Iterable[int], incident: int) -> None:
        """These deliveries told something of an incident."""
        for index in tellers:
            self.touched.setdefault(index, set()).add(incident)


def hear(
    connection: Connection,
    waiting: Sequence[Waiting],
    states: Mapping[str, SourceState],
    bridge: Bridge,
    now: datetime,
) -> Heard:
    """Everything the deliveries tell, and what opsbridge says of itself because of them."""
    heard = Heard()
    for index, delivery in enumerate(waiting):
        _hear(heard, index, delivery.notification, states)
        for alert in _own_alerts(delivery, now):
            heard.told.setdefault((alert.source, alert.fingerprint), []).append((index, alert))
    for alert in _beats(connection, waiting, bridge, now):
        heard.told.setdefault((alert.source, alert.fingerprint), []).append((0, alert))
    _sort_out(connection, heard, waiting)
    return heard


def _hear(heard: Heard, index: int, notification: Notification, states: Mapping[str, SourceState]) -> None:
    """Every alert of a delivery by its series. A loop without calls: a storm passes here alert by alert."""
    state = states.get(notification.source)
    told = notification.alerts
    if state is not None and state.doubted_since is not None:
        since = state.doubted_since - _DOUBTFUL
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
    for told in (delivery.notification for delivery in waiting):
        for heartbeat in watched:
            if (
                heartbeat.watches == told.source
                and FOUND not in told.flaws
                and any(
                    alert.state is State.FIRING
                    and all(matcher.matches(alert.labels) for matcher in heartbeat.match)
                    for alert in told.alerts
                )
            ):
                names.add(heartbeat.name)
    for name in sorted(names):
        settings = bridge.config.sources[name].settings
        if heartbeats.beat(connection, name, now, settings.due(now)) is not None:
            yield over(name, now)


def _sort_out(connection: Connection, heard: Heard, waiting: Sequence[Waiting]) -> None:
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
                    heard.touch([index], episode.incident)


def _compare(
    heard: Heard,
    known: Sequence[Episode],
    said: Sequence[tuple[int, Alert]],
    waiting: Sequence[Waiting],
) -> None:
    before = {episode.alert.starts_at: episode for episode in known}
    told_by: dict[datetime, list[int]] = {}
    for index, alert in said:
        told_by.setdefault(alert.starts_at, []).append(index)
    everybody = [index for index, _ in said]
    for episode in episodes.merged(known, (alert for _, alert in said)):
        start = episode.alert.starts_at
        tellers = everybody if episode.alert.undated else told_by.get(start, everybody[-1:])
        if start not in before:
            heard.begin(episode, tellers, waiting)
            continue
        if episode == before[start]:
            continue
        if replace(episode, seen=0) != before[start]:
            heard.changed.append((before[start], episode, tellers))
            continue
        heard.repeated.append(episode)
        if episode.incident:
            heard.touch(tellers, episode.incident)
