"""Incidents are opened and joined: what their new, ended, revived and silenced episodes make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from bridge import correlation, members
from bridge import incident as machine
from bridge.correlation import Member, Slot, highest
from bridge.maintenance import Window, all_muted_until
from bridge.model import Alert, Change, Fact, Incident, Policy, Verdict
from bridge.store import incidents
from bridge.triage import decide
from bridge.wiring import Bridge

Groups = Mapping[str, list[Member]]

# Incidents of dependent services this young may well be the same trouble as one that opens now.
_SAME_TROUBLE = timedelta(minutes=10)


@dataclass(frozen=True)
class Deliveries:
    """What is needed to know of the deliveries of a transaction, by their index; `hidden` also by source."""

    traces: Sequence[str]
    route_labels: Sequence[Mapping[str, str]]
    hidden: Mapping[tuple[int, str], int]

    def cut_off(self, index: int, alert: Alert) -> int:
        """How many alerts its source cut off where this one was told; what we conclude ourselves is whole."""
        return self.hidden.get((index, alert.source), 0)


@dataclass
class Placed:
    """Where every group of new episodes went, and what that did."""

    groups: Groups
    incident_of: dict[str, int] = field(default_factory=dict)
    opened: dict[int, list[Incident]] = field(default_factory=dict)
    restored: list[Incident] = field(default_factory=list)


@dataclass
class Turns:
    """What known episodes of one incident did."""

    ended: list[Alert] = field(default_factory=list)
    revived: list[Alert] = field(default_factory=list)
    held_back: list[Alert] = field(default_factory=list)
    hidden: int = 0


@dataclass
class Work:
    """One transaction's placing: what it reads once and what it changes."""

    connection: Connection
    bridge: Bridge
    deliveries: Deliveries
    windows: tuple[Window, ...]
    placed: Placed
    now: datetime
    changes: dict[int, tuple[Change, Incident | None]] = field(default_factory=dict)

    def change(self, change: Change, before: Incident | None) -> None:
        """Remember what is to be recorded, unless it changes nothing."""
        if change.incident is before and not change.facts and not change.effects:
            return
        number = change.incident.number
        if number in self.changes:
            told, _ = self.changes[number]
            change = replace(change, facts=told.facts + change.facts)
        self.changes[number] = (change, before)
        if before is not None and before.is_open and not change.incident.is_open:
            self.placed.restored.append(change.incident)

    def tell(self, found: Incident, fact: Fact) -> None:
        """One more line on the timeline of an incident that may be changing anyway."""
        change, before = self.changes.get(found.number, (Change(incident=found), found))
        self.changes[found.number] = (replace(change, facts=(*change.facts, fact)), before)

    def policy(self, verdict: Verdict) -> Policy:
        """The verdict's policy as configured now."""
        return self.bridge.config.policies.get(verdict.policy, Policy(name=""))

    def muted(self, alerts: Iterable[Alert], client: str) -> datetime | None:
        """Until when maintenance mutes all of these that fire; None when one of them may page."""
        if not self.windows:
            return None
        told = list(alerts)
        firing = [alert for alert in told if alert.ends_at is None] or told
        return all_muted_until(self.windows, (alert.labels for alert in firing), client, self.now)


def open_(work: Work, slot: Slot, follows: int | None) -> None:
    """A new incident for a slot; it `follows` an earlier one of the same key."""
    now, config = work.now, work.bridge.config
    _, index, _ = slot.episodes[0]
    verdict = _full(slot, work)
    number = work.placed.incident_of[slot.episodes[0][2].key]
    change = machine.open_(
        number,
        verdict,
        [episode.alert for episode, _, _ in slot.episodes],
        work.policy(verdict),
        config.terms.get(verdict.priority, ()),
        config.version,
        now,
        follows,
    )
    trace = {**change.facts[0].data, "trace": work.deliveries.traces[index]}
    change = replace(change, facts=(replace(change.facts[0], data=trace), *change.facts[1:]))
    hidden = max(work.deliveries.cut_off(i, episode.alert) for episode, i, _ in slot.episodes)
    if hidden:
        change = machine.then(change, members.hold(change.incident, hidden, now))
    if correlation.is_storm(change.incident):
        change = replace(
            change, incident=replace(change.incident, settle_at=now + config.intake.storm.within)
        )
    muted = work.muted((episode.alert for episode, _, _ in slot.episodes), verdict.client)
    if change.incident.firing == 0 and not hidden:
        # It came and went before we heard of it: kept as an incident, but nobody is woken for it.
        over = machine.resolve(
            replace(change.incident, escalate_at=None), machine.TRIAGE, "over already", now
        )
        change = machine.then(change, over)
    elif muted:
        change = members.mute(change, muted, now)
    else:
        change = _with_first_step(_with_failover(change, verdict, now), now)
    work.placed.opened.setdefault(index, []).append(change.incident)
    work.change(change, None)
    if change.incident.is_open and change.incident.firing:
        _suspect(work, change.incident)


def _full(slot: Slot, work: Work) -> Verdict:
    """What the incident is about comes from its own key's alert, how urgent it is from the worst member.

    What is over already counts only where nothing else does.
    """
    counting = [member for member in slot.episodes if member[0].firing] or slot.episodes
    worst = highest(verdict for _, _, verdict in counting)
    own = [member for member in counting if member[2].key == slot.key] or counting
    chosen = highest(verdict for _, _, verdict in own)
    episode, index, _ = next(member for member in own if member[2] is chosen)
    full = decide(episode.alert, work.bridge.config.known, work.deliveries.route_labels[index])
    kept = slot.verdict
    if slot.key == correlation.storm_key(kept.client):
        full = replace(full, rule=kept.rule, key=kept.key, service="", title=kept.title, why=kept.why)
    return replace(
        full, priority=worst.priority, policy=worst.policy, page=worst.page, plan=full.plan or worst.plan
    )


def join(work: Work, found: Incident, slot: Slot | None, turn: Turns) -> None:
    """New episodes joined an incident, known ones ended, came back or were silenced."""
    now, flapping = work.now, _flapping(work.bridge)
    new = slot.episodes if slot else []
    joined = [episode.alert for episode, _, _ in new] + turn.revived
    fires = any(alert.ends_at is None for alert in joined)
    muted = work.muted(joined, found.client) if fires else None
    change = Change(incident=found)
    if fires and not found.is_open:
        change = members.fires_again(found, flapping, now)
    worst = _worst(new)
    if worst:
        change = _risen(work, change, found, worst)
    hidden = max([turn.hidden, *(work.deliveries.cut_off(i, episode.alert) for episode, i, _ in new)])
    if hidden:
        change = machine.then(change, members.hold(change.incident, hidden, now))
    because = slot.because if slot else ""
    if joined or turn.ended:
        before = change.incident
        moved = members.changed(before, joined, turn.ended, now, because=because)
        change = machine.then(change, members.flapped(found, moved, flapping, now))
    if turn.held_back:
        change = machine.then(change, members.held_back(change.incident, turn.held_back, now))
    takes_in = change.incident.is_open and change.incident.flapping_at is None
    if slot and slot.because and correlation.is_storm(found) and takes_in:
        settle_at = now + work.bridge.config.intake.storm.within
        change = replace(change, incident=replace(change.incident, settle_at=settle_at))
    if fires:
        change = _told(change, found, muted, worst, now)
    work.change(change, found)


def _worst(told: Sequence[Member]) -> Verdict | None:
    """The most urgent verdict on what fires; what is over asks for nothing."""
    firing = [verdict for episode, _, verdict in told if episode.firing]
    return highest(firing) if firing else None


def _risen(work: Work, change: Change, found: Incident, verdict: Verdict) -> Change:
    """An alert asks for a higher priority: it rises. It falls only by hand."""
    if verdict.priority >= found.priority:
        return change
    terms = work.bridge.config.terms.get(verdict.priority, ())
    risen = machine.raise_priority(
        change.incident, machine.TRIAGE, verdict, work.policy(verdict), terms, work.now
    )
    return machine.then(change, risen)


def _told(
    change: Change, found: Incident, muted: datetime | None, verdict: Verdict | None, now: datetime
) -> Change:
    """Page what has to be paged now, unless planned maintenance is the reason for it."""
    due = change.incident.escalate_at
    news = due is not None and found.escalate_at != due
    # What fired before and is not muted may page: planned work on something else does not hush it.
    in_force = found.is_open and found.muted_until is None and found.firing > 0
    if muted and news and not in_force:
        return members.mute(change, muted, now)
    if muted and not news:
        # A window that ends earlier than the incident's mute makes it shorter.
        known = change.incident.muted_until
        return members.mute(change, muted, now) if known is not None and muted < known else change
    if change.incident.muted_until is not None:
        # Something that no window mutes joined it: its maintenance is no excuse any more.
        change = machine.then(change, members.unmute(change.incident, now))
    if verdict and not muted:
        change = _with_failover(change, verdict, now)
    return _with_first_step(change, now)


def _suspect(work: Work, root: Incident) -> None:
    """Young incidents of services that need this one are told where their cause may be."""
    needs = work.bridge.config.known.needs
    dependants = {service for service, needed in needs.items() if root.service in needed}
    if not dependants:
        return
    for found in incidents.open_of_services(work.connection, dependants):
        if found.client in (root.client, "") or not root.client:
            if work.now - found.opened_at > _SAME_TROUBLE:
                continue
            text = f"{root.name}: {found.service} depends on {root.service}"
            fact = Fact(
                at=work.now,
                kind="cause_suspected",
                by=machine.TRIAGE,
                text=text,
                data={"incident": root.number},
            )
            work.tell(found, fact)


def _with_failover(change: Change, verdict: Verdict, now: datetime) -> Change:
    if not verdict.plan or not change.incident.is_open:
        return change
    return machine.then(change, machine.failover_wanted(change.incident, verdict.plan, now))


def _with_first_step(change: Change, now: datetime) -> Change:
    """A step due at once is taken in the same transaction: no tick stands between alert and page."""
    due = change.incident.escalate_at
    return machine.then(change, machine.step_due(change.incident, now)) if due and due <= now else change


def _flapping(bridge: Bridge) -> members.Flapping:
    told = bridge.config.intake.flapping
    return members.Flapping(told.reopens, told.within, told.quiet)
