"""What happens to delivered alerts inside one transaction: episodes, verdicts, incidents, outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from bridge import incident as machine
from bridge.episodes import Episode, Identity, merged
from bridge.model import Alert, Change, Incident, Notification, Policy, Verdict
from bridge.store import alerts, incidents
from bridge.store.alerts import Series
from bridge.store.record import record
from bridge.triage import decide
from bridge.wiring import Bridge


@dataclass(frozen=True)
class Waiting:
    """One decoded delivery on its way to the store."""

    trace: str
    notification: Notification
    received_at: datetime
    size: int
    sha256: str


@dataclass(frozen=True)
class Outcome:
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
class _Batch:
    """Everything one transaction learns and decides, keyed by series and incident."""

    told: dict[Series, list[tuple[int, Alert]]] = field(default_factory=dict)
    new: list[tuple[Episode, int]] = field(default_factory=list)
    changed: list[tuple[Episode, Episode]] = field(default_factory=list)
    fresh: Counter[int] = field(default_factory=Counter)
    verdicts: dict[Identity, Verdict] = field(default_factory=dict)
    touched: dict[int, set[int]] = field(default_factory=dict)
    opened: dict[int, list[Incident]] = field(default_factory=dict)
    restored: list[Incident] = field(default_factory=list)


def admit(connection: Connection, waiting: Sequence[Waiting], bridge: Bridge, now: datetime) -> list[Outcome]:
    """Store deliveries and decide what they mean. The caller commits."""
    batch = _Batch()
    for index, delivery in enumerate(waiting):
        for alert in delivery.notification.alerts:
            batch.told.setdefault((alert.source, alert.fingerprint), []).append((index, alert))
    _sort_out(connection, batch)
    members = _to_incidents(connection, batch, waiting, bridge, now)
    ids = alerts.add_deliveries(connection, [_delivery_row(i, w, batch) for i, w in enumerate(waiting)])
    alerts.add(
        connection,
        ((replace(e, incident=members[e.identity]), ids[waiting[index].trace]) for e, index in batch.new),
        now,
    )
    alerts.change(connection, (after for _, after in batch.changed), now)
    return [_outcome(index, delivery, batch) for index, delivery in enumerate(waiting)]


def _sort_out(connection: Connection, batch: _Batch) -> None:
    """Which episodes are new, which changed; a repeat changes only when it was last seen."""
    told = [alert for said in batch.told.values() for _, alert in said]
    known = alerts.known_series(connection, told)
    for series, said in batch.told.items():
        before = {episode.alert.starts_at: episode for episode in known.get(series, ())}
        first_told = {alert.starts_at: index for index, alert in reversed(said)}
        for episode in merged(known.get(series, ()), (alert for _, alert in said)):
            start = episode.alert.starts_at
            if start not in before:
                batch.new.append((episode, first_told[start]))
                batch.fresh[first_told[start]] += 1
            elif episode != before[start]:
                batch.changed.append((before[start], episode))
                if start in first_told and episode.incident:
                    batch.touched.setdefault(first_told[start], set()).add(episode.incident)


def _to_incidents(
    connection: Connection, batch: _Batch, waiting: Sequence[Waiting], bridge: Bridge, now: datetime
) -> dict[Identity, int]:
    """Join or open incidents for new episodes, tell incidents what ended; incident number by episode."""
    members: dict[Identity, int] = {}
    by_key: dict[str, list[tuple[Episode, int]]] = {}
    for episode, index in batch.new:
        verdict = decide(episode.alert, bridge.config.known, waiting[index].notification.route_labels)
        batch.verdicts[episode.identity] = verdict
        by_key.setdefault(verdict.key, []).append((episode, index))
    ended = _ended(batch.changed)
    there = incidents.by_key(connection, by_key, now - bridge.config.intake.reopen_within)
    rest = incidents.read_many(connection, ended.keys() - {found.number for found in there.values()})
    missing = [key for key in by_key if key not in there]
    numbers = iter(incidents.next_numbers(connection, len(missing))) if missing else iter(())
    for key, episodes in by_key.items():
        found = there.get(key)
        gone = ended.pop(found.number, []) if found else []
        after = (
            _join(connection, found, episodes, gone, batch, bridge, now)
            if found
            else _open(connection, next(numbers), episodes, batch, waiting, bridge, now)
        )
        for episode, index in episodes:
            members[episode.identity] = after.number
            batch.touched.setdefault(index, set()).add(after.number)
    for number, gone in ended.items():
        change = machine.members_changed(rest[number], (), [episode.alert for episode in gone], now)
        after = record(connection, change, bridge.arrangements, now)
        if rest[number].is_open and not after.is_open:
            batch.restored.append(after)
    return members


def _ended(changed: Iterable[tuple[Episode, Episode]]) -> dict[int, list[Episode]]:
    found: dict[int, list[Episode]] = {}
    for before, after in changed:
        if before.firing and not after.firing and after.incident is not None:
            found.setdefault(after.incident, []).append(after)
    return found


def _open(
    connection: Connection,
    number: int,
    episodes: Sequence[tuple[Episode, int]],
    batch: _Batch,
    waiting: Sequence[Waiting],
    bridge: Bridge,
    now: datetime,
) -> Incident:
    verdict = _highest(episodes, batch)
    told = [episode.alert for episode, _ in episodes]
    config = bridge.config
    change = machine.open_(
        number,
        verdict,
        told,
        config.policies.get(verdict.policy, Policy(name="")),
        config.terms.get(verdict.priority, ()),
        config.version,
        now,
    )
    first = episodes[0][1]
    opened = replace(change.facts[0], data={**change.facts[0].data, "trace": waiting[first].trace})
    change = replace(change, facts=(opened,))
    if change.incident.firing == 0:
        # It came and went before we heard of it: kept as an incident, but nobody is woken for it.
        over = machine.resolve(
            replace(change.incident, escalate_at=None), machine.TRIAGE, "over already", now
        )
        change = machine.then(change, over)
    else:
        change = _with_first_step(_with_failover(change, verdict, now), now)
    batch.opened.setdefault(first, []).append(change.incident)
    return record(connection, change, bridge.arrangements, now)


def _join(
    connection: Connection,
    found: Incident,
    episodes: Sequence[tuple[Episode, int]],
    gone: Sequence[Episode],
    batch: _Batch,
    bridge: Bridge,
    now: datetime,
) -> Incident:
    verdict = _highest(episodes, batch)
    change = Change(incident=found)
    fires = any(episode.firing for episode, _ in episodes)
    if fires and not found.is_open:
        change = machine.then(change, machine.reopen(found, machine.TRIAGE, "it fires again", now))
    if fires and verdict.priority < found.priority:
        change = machine.then(
            change,
            machine.raise_priority(
                change.incident,
                machine.TRIAGE,
                verdict,
                bridge.config.policies.get(verdict.policy, Policy(name="")),
                bridge.config.terms.get(verdict.priority, ()),
                now,
            ),
        )
    joined = [episode.alert for episode, _ in episodes]
    members = machine.members_changed(change.incident, joined, [episode.alert for episode in gone], now)
    change = machine.then(change, members)
    if fires:
        change = _with_first_step(_with_failover(change, verdict, now), now)
    return record(connection, change, bridge.arrangements, now)


def _highest(episodes: Sequence[tuple[Episode, int]], batch: _Batch) -> Verdict:
    """The most urgent verdict decides; among equals the first, and one that names a failover plan."""
    found = [batch.verdicts[episode.identity] for episode, _ in episodes]
    return min(found, key=lambda verdict: (verdict.priority, not verdict.plan))


def _with_failover(change: Change, verdict: Verdict, now: datetime) -> Change:
    if not verdict.plan or not change.incident.is_open:
        return change
    return machine.then(change, machine.failover_wanted(change.incident, verdict.plan, now))


def _with_first_step(change: Change, now: datetime) -> Change:
    """A step due at once is taken in the same transaction: no tick stands between alert and page."""
    due = change.incident.escalate_at
    return machine.then(change, machine.step_due(change.incident, now)) if due and due <= now else change


def _delivery_row(index: int, waiting: Waiting, batch: _Batch) -> dict[str, object]:
    notification = waiting.notification
    return {
        "trace": waiting.trace,
        "source": notification.source,
        "received_at": waiting.received_at,
        "size": waiting.size,
        "sha256": waiting.sha256,
        "alerts": len(notification.alerts),
        "new": batch.fresh[index],
        "hidden": notification.hidden,
        "group": notification.group,
        "flaws": notification.flaws,
        "incidents": sorted(batch.touched.get(index, ())),
    }


def _outcome(index: int, waiting: Waiting, batch: _Batch) -> Outcome:
    notification = waiting.notification
    return Outcome(
        trace=waiting.trace,
        source=notification.source,
        alerts=len(notification.alerts),
        new=batch.fresh[index],
        incidents=tuple(f"INC-{number}" for number in sorted(batch.touched.get(index, ()))),
        states=Counter(alert.state.value for alert in notification.alerts),
        opened=tuple(batch.opened.get(index, ())),
        restored=tuple(batch.restored) if index == 0 else (),
        tasks=bool(batch.touched.get(index)),
    )
