"""Everything people and machines can do to an incident. One function is one transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Column, Connection, select

from bridge import incident as machine
from bridge import members, sla
from bridge.maintenance import all_muted_until
from bridge.model import (
    Actor,
    Change,
    Clock,
    ClockState,
    Effect,
    Fact,
    Incident,
    Policy,
    Priority,
    Status,
    Verdict,
)
from bridge.store import alerts, incidents
from bridge.store import maintenance as windows
from bridge.store.record import record, write_clocks
from bridge.store.schema import clocks
from bridge.store.schema import incidents as table
from bridge.wiring import Bridge

Decision = Callable[[Incident, datetime], Change]
_MOST_AT_ONCE = 200


def acknowledge(bridge: Bridge, number: int, by: Actor) -> Incident:
    """Take an incident. Raises NotAllowed, NoSuchIncident, Unavailable (as all below)."""
    after = _apply(bridge, number, lambda incident, now: machine.acknowledge(incident, by, now))
    if after.acknowledged_at is not None:
        waited = (after.acknowledged_at - after.opened_at).total_seconds()
        bridge.metrics.acknowledge_seconds.labels(after.priority).observe(waited)
    return after


def resolve(bridge: Bridge, number: int, by: Actor, text: str = "") -> Incident:
    """Say that service is restored. What no source would ever end (a report, a notice) ends with it."""
    after = _apply(bridge, number, lambda incident, now: machine.resolve(incident, by, text, now), over=True)
    bridge.metrics.restored(after)
    return after


def close(bridge: Bridge, number: int, by: Actor, cause: str = "") -> Incident:
    """End the work on an incident."""
    return _apply(bridge, number, lambda incident, now: machine.close(incident, by, cause, now), over=True)


def reopen(bridge: Bridge, number: int, by: Actor, text: str = "") -> Incident:
    """It is not over; the first step of a new round is taken at once when it is due at once."""

    def decide(incident: Incident, now: datetime) -> Change:
        return _and_page(_wanted(machine.reopen(incident, by, text, now), by, now), now)

    return _apply(bridge, number, decide)


def note(bridge: Bridge, number: int, by: Actor, text: str) -> Incident:
    """Write a remark on the timeline."""
    return _apply(bridge, number, lambda incident, now: machine.note(incident, by, text, now))


def plan(bridge: Bridge, number: int, by: Actor, text: str) -> Incident:
    """Tell the plan."""
    return _apply(bridge, number, lambda incident, now: machine.plan(incident, by, text, now))


def assign(bridge: Bridge, number: int, by: Actor, assignee: str) -> Incident:
    """Hand an incident to somebody; raises NotAllowed for a name nobody has."""
    if assignee not in bridge.config.people and assignee != by.name:
        raise machine.NotAllowed(f"there is no responder {assignee!r}")
    return _apply(bridge, number, lambda incident, now: machine.assign(incident, by, assignee, now))


def escalate(bridge: Bridge, number: int, by: Actor, text: str = "") -> Incident:
    """Page the next step now."""
    return _apply(
        bridge, number, lambda incident, now: _wanted(machine.escalate(incident, by, text, now), by, now)
    )


def set_priority(bridge: Bridge, number: int, by: Actor, priority: Priority, reason: str) -> Incident:
    """Change the priority by hand: new terms, and a new round of pages where it pages."""
    if not reason.strip():
        raise machine.NotAllowed("say why the priority changes")

    def decide(incident: Incident, now: datetime) -> Change:
        if incident.priority is priority:
            raise machine.NotAllowed(f"{incident.name} is {priority} already")
        verdict = Verdict(
            rule=incident.rule,
            priority=priority,
            client=incident.client,
            service=incident.service,
            key=incident.key,
            title=incident.title,
        )
        name = incident.policy.name or bridge.config.known.default_policy
        pages = priority in bridge.config.known.paging
        policy = bridge.config.policies.get(name, Policy(name=name)) if pages else Policy(name=name)
        change = machine.raise_priority(
            incident, by, verdict, policy, bridge.config.terms.get(priority, ()), now
        )
        said = Fact(at=now, kind="noted", by=by, text=reason)
        change = machine.then(change, Change(incident=change.incident, facts=(said,)))
        return _and_page(_wanted(change, by, now), now)

    return _apply(bridge, number, decide)


def take_due_steps(bridge: Bridge) -> int:
    """Escalate every incident whose next step is due; how many there were."""
    now = bridge.now()
    with bridge.database.reading() as connection:
        query = select(table.c.number).where(table.c.escalate_at <= now).order_by(table.c.priority)
        due = connection.execute(query.limit(_MOST_AT_ONCE)).scalars().all()
    for number in due:
        _apply(bridge, number, _step_if_due)
    return len(due)


def tell_due_clocks(bridge: Bridge) -> int:
    """Say which clocks are at risk or broken since the last look; how many incidents were looked at."""
    now = bridge.now()
    with bridge.database.reading() as connection:
        query = select(clocks.c.incident).where(clocks.c.next_at <= now).distinct()
        due = connection.execute(query.limit(_MOST_AT_ONCE)).scalars().all()
    for number in due:
        bridge.database.run(lambda connection, number=number: _tell_clocks(connection, bridge, number))  # type: ignore[misc]
    return len(due)


def settle_due(bridge: Bridge) -> int:
    """End flapping and storms whose time has come; how many incidents there were."""
    due = _due(bridge, table.c.settle_at)
    for number in due:
        after = _apply(bridge, number, _settle_if_due)
        if after.status is Status.RESOLVED:
            bridge.metrics.restored(after)
    return len(due)


def _settle_if_due(incident: Incident, now: datetime) -> Change:
    """It may have fired again since we looked."""
    if incident.settle_at is None or incident.settle_at > now:
        return Change(incident=incident)
    return members.settle(incident, now)


def unmute_due(bridge: Bridge) -> int:
    """Maintenance is over: page what still fires. How many incidents there were."""
    due = _due(bridge, table.c.muted_until)
    for number in due:
        bridge.database.run(lambda connection, number=number: _unmute(connection, bridge, number))  # type: ignore[misc]
    return len(due)


def _unmute(connection: Connection, bridge: Bridge, number: int) -> None:
    """What muted it first is over; the rest of it may be covered by another window that goes on."""
    now = bridge.now()
    found = incidents.read(connection, number, lock=True)
    if found.muted_until is None or found.muted_until > now:
        return
    firing = windows.firing_labels(connection, number) if found.is_open else []
    until = all_muted_until(windows.active(connection, now), firing, found.client, now)
    if until is not None:
        change = members.mute(Change(incident=found), until, now)
    else:
        change = _and_page(members.unmute(found, now), now)
    record(connection, change, bridge.arrangements, now, found)


def _due(bridge: Bridge, column: Column[datetime]) -> Sequence[int]:
    with bridge.database.reading() as connection:
        query = select(table.c.number).where(column <= bridge.now()).limit(_MOST_AT_ONCE)
        return connection.execute(query).scalars().all()


def _tell_clocks(connection: Connection, bridge: Bridge, number: int) -> None:
    now = bridge.now()
    incident = incidents.read(connection, number, lock=True)
    facts = incidents.facts_of(connection, number)
    told = sla.told(facts)
    news = [
        clock
        for clock in sla.clocks(incident, facts, bridge.config.calendars, now)
        if sla.warning(clock) not in told
        and (
            clock.state is ClockState.BREACHED or (clock.state is ClockState.AT_RISK and not clock.stopped_at)
        )
    ]
    if news:
        changes = [_warned(incident, clock, now) for clock in news]
        change = functools.reduce(machine.then, changes)
        incident = record(connection, change, bridge.arrangements, now)
    for clock in news:
        if clock.state is ClockState.BREACHED:
            bridge.metrics.breaches.labels(incident.priority, clock.target).inc()
    write_clocks(connection, incident, bridge.arrangements, now)


def _warned(incident: Incident, clock: Clock, now: datetime) -> Change:
    """Say on the timeline and to everybody of the policy that a clock is at risk or broken."""
    target, state, due_at = sla.warning(clock)
    fact = Fact(
        at=now,
        kind="clock",
        by=machine.CLOCK,
        text=f"{target} {state}",
        data={"target": target, "state": state, "due_at": due_at},
    )
    people = dict.fromkeys(name for step in incident.policy.steps for name in step.notify)
    page = Effect(
        kind="page",
        key=f"{incident.name}/clock/{target}/{state}/{due_at}",
        data={"reason": state, "targets": list(people), "target": target},
    )
    return Change(incident=incident, facts=(fact,), effects=(page,))


def _step_if_due(incident: Incident, now: datetime) -> Change:
    """Somebody may have acknowledged it since we looked: then nothing is due any more."""
    if incident.escalate_at is None or incident.escalate_at > now:
        return Change(incident=incident)
    return machine.step_due(incident, now)


def _and_page(change: Change, now: datetime) -> Change:
    due = change.incident.escalate_at
    return machine.then(change, machine.step_due(change.incident, now)) if due and due <= now else change


def _wanted(change: Change, by: Actor, now: datetime) -> Change:
    """Whom a person wants to be paged is paged now, and not once more when maintenance ends."""
    incident = change.incident
    pages = incident.escalate_at is not None or any(effect.kind == "page" for effect in change.effects)
    if incident.muted_until is None or not pages:
        return change
    fact = Fact(at=now, kind="unmuted", by=by, text="paged by hand in spite of maintenance")
    return replace(change, incident=replace(incident, muted_until=None), facts=(fact, *change.facts))


def _apply(bridge: Bridge, number: int, decide: Decision, *, over: bool = False) -> Incident:
    def work(connection: Connection) -> Incident:
        now = bridge.now()
        before = found = incidents.read(connection, number, lock=True)
        if over and (ended := alerts.end_undated(connection, number, now)):
            found = replace(before, firing=max(before.firing - ended, 0))
        change = decide(found, now)
        if change.incident is before and not change.facts and not change.effects:
            return before
        if change.incident.is_open and not before.is_open:
            _check_alone(connection, before, now)
        return record(connection, change, bridge.arrangements, now, before)

    return bridge.database.run(work)


def _check_alone(connection: Connection, incident: Incident, now: datetime) -> None:
    """A problem has one open incident: an earlier one of the same key stays what it is."""
    other = incidents.by_key(connection, [incident.key], now).get(incident.key)
    if other is not None and other.is_open:
        raise machine.NotAllowed(
            f"{incident.name} cannot be reopened: {other.name} is open for the same problem"
        )
