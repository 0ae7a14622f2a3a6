"""The incident's state machine: what happens to an incident becomes its next state, facts and effects.

Every function is pure. `NotAllowed` says in plain words why something cannot be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from bridge import escalation
from bridge.model import (
    Actor,
    Alert,
    Change,
    Effect,
    Fact,
    Incident,
    Policy,
    Priority,
    Status,
    Term,
    Verdict,
)

TRIAGE = Actor("triage", "intake")
CLOCK = Actor("clock", "worker")


class NotAllowed(Exception):
    """The incident is not in a state for this; the message is meant for the person who asked."""


def open_(
    number: int,
    verdict: Verdict,
    alerts: Sequence[Alert],
    policy: Policy,
    terms: tuple[Term, ...],
    rules_version: str,
    now: datetime,
    follows: int | None = None,
) -> Change:
    """A new incident; its first page is due by the policy's first step. It `follows` one of the same key."""
    round_at = now if verdict.page else None
    policy = policy if verdict.page else Policy(name=policy.name)
    first = escalation.first(policy, now) if round_at else None
    incident = Incident(
        number=number,
        key=verdict.key,
        status=Status.TRIGGERED,
        priority=verdict.priority,
        client=verdict.client,
        service=verdict.service,
        title=verdict.title,
        began_at=min([now, *(alert.starts_at for alert in alerts)]),
        opened_at=now,
        rule=verdict.rule,
        rules_version=rules_version,
        policy=policy,
        terms=terms,
        runbook=verdict.runbook,
        plan=verdict.plan,
        round_at=round_at,
        escalate_at=first.due_at if first else None,
        firing=sum(1 for alert in alerts if alert.ends_at is None),
        follows=follows,
    )
    fact = Fact(
        at=now,
        kind="opened",
        by=TRIAGE,
        text=verdict.title,
        data={
            "rule": verdict.rule,
            "why": list(verdict.why),
            "alerts": len(alerts),
            **({"follows": follows} if follows else {}),
        },
    )
    ticket = Effect(kind="ticket", key=f"{incident.name}/ticket/opened")
    return Change(incident=incident, facts=(fact,), effects=(ticket,))


def failover_wanted(incident: Incident, plan: str, now: datetime) -> Change:
    """The verdict names a failover plan: it is asked for once per incident and round of trouble."""
    effect = Effect(
        kind="failover",
        key=f"{incident.name}/failover/{plan}/{int((incident.round_at or incident.opened_at).timestamp())}",
        data={"plan": plan, "asked_at": now},
    )
    return Change(incident=replace(incident, plan=plan), effects=(effect,))


def acknowledge(incident: Incident, by: Actor, now: datetime) -> Change:
    """Somebody takes it: the clock to respond stops, and so does escalation."""
    if incident.status is not Status.TRIGGERED:
        raise NotAllowed(_already(incident, "acknowledge"))
    after = replace(
        incident,
        status=Status.ACKNOWLEDGED,
        acknowledged_at=incident.acknowledged_at or now,
        assignee=incident.assignee or by.name,
        escalate_at=None,
    )
    return _changed(after, "acknowledged", by, "", now)


def resolve(incident: Incident, by: Actor, text: str, now: datetime) -> Change:
    """Service is restored, by what the alerts say or by a person's word. Everybody paged is told."""
    if not incident.is_open:
        raise NotAllowed(_already(incident, "resolve"))
    after = replace(
        incident,
        status=Status.RESOLVED,
        resolved_at=now,
        escalate_at=None,
        held=False,
        flapping_at=None,
        settle_at=None,
    )
    change = _changed(after, "resolved", by, text, now)
    told = Effect(
        kind="page",
        key=f"{incident.name}/resolved/{incident.version}",
        data={"reason": "resolved", "targets": "everyone_paged"},
    )
    return replace(change, effects=(*change.effects, told))


def close(incident: Incident, by: Actor, cause: str, now: datetime) -> Change:
    """The work is over. A P1 needs its cause in words; firing alerts keep an incident open."""
    if incident.status is Status.CLOSED:
        raise NotAllowed(_already(incident, "close"))
    if incident.is_open and incident.firing:
        raise NotAllowed(f"{incident.name} still has {incident.firing} firing alerts; resolve them first")
    if incident.priority is Priority.P1 and not cause.strip():
        raise NotAllowed(f"{incident.name} is a P1: say what the cause was and what was done")
    if incident.is_open:
        # Clocks are stopped by facts, and who was paged wants to know: closing restores first.
        restored = resolve(incident, by, cause, now)
        return then(restored, close(restored.incident, by, cause, now))
    after = replace(incident, status=Status.CLOSED, closed_at=now)
    return _changed(after, "closed", by, cause, now)


def reopen(incident: Incident, by: Actor, text: str, now: datetime) -> Change:
    """It is not over: the policy starts a new round, clocks of restoration run on."""
    if incident.is_open:
        raise NotAllowed(_already(incident, "reopen"))
    again = new_round(replace(incident, resolved_at=None, closed_at=None), now)
    return _changed(again, "reopened", by, text, now)


def note(incident: Incident, by: Actor, text: str, now: datetime) -> Change:
    """A remark on the timeline."""
    if not text.strip():
        raise NotAllowed("the note is empty")
    return _changed(incident, "noted", by, text, now)


def plan(incident: Incident, by: Actor, text: str, now: datetime) -> Change:
    """The plan for a P2 is told: its clock stops."""
    if not text.strip():
        raise NotAllowed("the plan is empty")
    return _changed(incident, "planned", by, text, now)


def assign(incident: Incident, by: Actor, assignee: str, now: datetime) -> Change:
    """Hand it to somebody."""
    if incident.status is Status.CLOSED:
        raise NotAllowed(_already(incident, "assign"))
    return _changed(replace(incident, assignee=assignee), "assigned", by, assignee, now)


def escalate(incident: Incident, by: Actor, text: str, now: datetime) -> Change:
    """Page the next step now. Somebody who has it already is not enough: it waits for an answer again."""
    if not incident.is_open:
        raise NotAllowed(_already(incident, "escalate"))
    if not incident.policy.steps:
        raise NotAllowed(f"{incident.name} has no escalation policy: assign it to somebody instead")
    if incident.round_at is None or incident.escalate_at is None:
        step = min(incident.step, len(incident.policy.steps) - 1)
        incident = replace(incident, round_at=now, round=0, step=step)
    due = replace(incident, status=Status.TRIGGERED, escalate_at=now)
    return then(_changed(due, "escalated", by, text, now), step_due(due, now))


def raise_priority(
    incident: Incident, by: Actor, verdict: Verdict, policy: Policy, terms: tuple[Term, ...], now: datetime
) -> Change:
    """The priority changes: new terms, old and new recorded.

    A rise starts a new round of pages where the new priority pages; a fall goes on with the round there
    is, or ends it where nobody is paged any more.
    """
    old = incident.priority
    after = replace(incident, priority=verdict.priority, terms=terms)
    if not verdict.page or not policy.steps:
        after = replace(after, policy=Policy(name=policy.name), escalate_at=None)
    elif verdict.priority < old or not incident.policy.steps:
        after = replace(after, policy=policy)
        after = new_round(after, now) if incident.is_open else after
    change = _changed(after, "priority_changed", by, f"{old} → {verdict.priority}", now)
    fact = replace(change.facts[0], data={"from": old, "to": verdict.priority, "rule": verdict.rule})
    return replace(change, facts=(fact,))


def step_due(incident: Incident, now: datetime) -> Change:
    """The next step's time has come: page its targets and say when the one after it is due.

    Steps that fell due while nobody was looking collapse into one page that says so.
    """
    position = escalation.Position(incident.round, incident.step, incident.escalate_at or now)
    round_at = incident.round_at or now
    targets: list[str] = []
    taken = 0
    nxt: escalation.Position | None = position
    while nxt is not None and (taken == 0 or nxt.due_at <= now):
        position, taken = nxt, taken + 1
        targets += incident.policy.steps[nxt.step].notify
        nxt = escalation.following(incident.policy, nxt, round_at)
    after = replace(
        incident,
        round=nxt.round if nxt else position.round,
        step=nxt.step if nxt else position.step,
        escalate_at=nxt.due_at if nxt else None,
    )
    text = f"step {position.step + 1}" + (f", round {position.round + 1}" if position.round else "")
    facts = [
        Fact(
            at=now, kind="step_taken", by=CLOCK, text=text, data={"targets": targets, "collapsed": taken - 1}
        )
    ]
    if nxt is None:
        facts.append(Fact(at=now, kind="policy_ended", by=CLOCK, text=incident.policy.name))
    began = int(round_at.timestamp())
    page = Effect(
        kind="page",
        key=f"{incident.name}/page/{began}/{position.round}.{position.step}/{incident.version}",
        data={"reason": "page", "targets": list(dict.fromkeys(targets)), "missed": taken - 1},
    )
    return Change(incident=after, facts=tuple(facts), effects=(page,))


def then(first: Change, second: Change) -> Change:
    """Two changes in a row as one."""
    return Change(
        incident=second.incident,
        facts=first.facts + second.facts,
        effects=first.effects + second.effects,
    )


def new_round(incident: Incident, now: datetime) -> Incident:
    """The policy begins anew: nobody has it, the first step is due."""
    first = escalation.first(incident.policy, now)
    return replace(
        incident,
        status=Status.TRIGGERED,
        round_at=now,
        round=0,
        step=0,
        escalate_at=first.due_at if first else None,
    )


def _changed(after: Incident, kind: str, by: Actor, text: str, now: datetime) -> Change:
    ticket = Effect(kind="ticket", key=f"{after.name}/ticket/{kind}/{after.version}")
    return Change(incident=after, facts=(Fact(at=now, kind=kind, by=by, text=text),), effects=(ticket,))


def _already(incident: Incident, verb: str) -> str:
    who = f" by {incident.assignee}" if incident.status is Status.ACKNOWLEDGED and incident.assignee else ""
    return f"{incident.name} is {incident.status}{who}: cannot {verb} it"
