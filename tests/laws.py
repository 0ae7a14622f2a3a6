"""What must hold of everything that is stored, whatever happened: one function is one law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from bridge.maintenance import Window, muted_until
from bridge.model import Fact, Incident, State, Status
from bridge.store import incidents, maintenance
from bridge.store.schema import alerts, deliveries, facts, sources, tasks
from bridge.store.schema import incidents as table

PEOPLE = ("console", "cli", "api")
REOPEN = timedelta(minutes=30)  # intake.reopen_within
FINISHED = (Status.RESOLVED, Status.CLOSED)
# A round of pages begins, or starts anew, with one of these, or when the priority rises.
_ROUNDS = ("opened", "reopened", "escalated", "unmuted")
Key = tuple[str, str, datetime]


@dataclass(frozen=True)
class Look:
    """Everything that is stored at a moment."""

    now: datetime
    incidents: Mapping[int, Incident] = field(default_factory=dict)
    alerts: Mapping[Key, Any] = field(default_factory=dict)
    facts: Sequence[Any] = ()
    timelines: Mapping[int, Sequence[Fact]] = field(default_factory=dict)
    pages: Mapping[str, Any] = field(default_factory=dict)
    deliveries: Mapping[str, Any] = field(default_factory=dict)
    doubted: Mapping[str, datetime] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()

    def unended(self, number: int) -> list[Any]:
        """The episodes of an incident that have not ended."""
        return [row for row in self.alerts.values() if row.incident == number and row.ends_at is None]

    def covered(self, incident: Incident) -> bool:
        """Is everything of it that fires in maintenance now?"""
        firing = self.unended(incident.number)
        return bool(firing) and all(
            muted_until(self.windows, row.labels, incident.client, self.now) for row in firing
        )


def look(connection: Connection, now: datetime) -> Look:
    """Read everything."""
    rows = connection.execute(select(facts).order_by(facts.c.id)).all()
    timelines: dict[int, list[Fact]] = {}
    for row in rows:
        timelines.setdefault(row.incident, []).append(
            Fact(at=row.at, kind=row.kind, by=incidents.Actor(row.by, row.via), text=row.text, data=row.data)
        )
    told = connection.execute(select(tasks).where(tasks.c.kind == "page")).all()
    return Look(
        now=now,
        incidents={row.number: incidents.from_row(row) for row in connection.execute(select(table))},
        alerts={(r.source, r.fingerprint, r.starts_at): r for r in connection.execute(select(alerts))},
        facts=rows,
        timelines=timelines,
        pages={row.key: row for row in told if row.data["reason"] == "page"},
        deliveries={row.trace: row for row in connection.execute(select(deliveries))},
        doubted=dict(
            connection.execute(
                select(sources.c.name, sources.c.blind_since).where(sources.c.blind_since.is_not(None))
            ).all()
        ),
        windows=maintenance.active(connection, now),
    )


def the_count_of_what_fires_is_right(before: Look, after: Look) -> None:
    for number, incident in after.incidents.items():
        assert incident.firing == len(after.unended(number)), incident.name


def a_problem_has_one_open_incident(before: Look, after: Look) -> None:
    keys = Counter(incident.key for incident in after.incidents.values() if incident.is_open)
    assert max(keys.values(), default=1) == 1, keys


def what_fires_is_not_called_restored(before: Look, after: Look) -> None:
    """Only a person may say that it is over while something fires."""
    for number, incident in after.incidents.items():
        restored = [fact for fact in after.timelines[number] if fact.kind == "resolved"]
        if not incident.is_open and restored[-1].by.via not in PEOPLE:
            assert after.unended(number) == [], incident.name


def what_is_quiet_is_restored(before: Look, after: Look) -> None:
    """Unless it flaps, its list is cut off, or a person has reopened it."""
    for number, incident in after.incidents.items():
        if incident.is_open and not incident.firing and not incident.held and not incident.flapping_at:
            turns = [f for f in after.timelines[number] if f.kind in ("opened", "reopened", "resolved")]
            assert (turns[-1].kind, turns[-1].by.via in PEOPLE) == ("reopened", True), incident.name


def every_episode_has_its_incident(before: Look, after: Look) -> None:
    for key, row in after.alerts.items():
        assert row.incident in after.incidents, key
        assert (row.state == State.RESOLVED) is (row.ends_at is not None), key


def a_series_fires_once_at_a_time(before: Look, after: Look) -> None:
    newest: dict[tuple[str, str], datetime] = {}
    for source, fingerprint, start in after.alerts:
        newest[source, fingerprint] = max(start, newest.get((source, fingerprint), start))
    for (source, fingerprint, start), row in after.alerts.items():
        assert row.ends_at is not None or newest[source, fingerprint] == start, (source, fingerprint)


def maintenance_pages_nobody(before: Look, after: Look) -> None:
    """Neither for a muted incident, nor for one of which everything that fires is in maintenance.

    Except one that was open before and may page: it goes on as it was.
    """
    for number in _paged(before, after):
        incident, earlier = after.incidents[number], before.incidents.get(number)
        assert incident.muted_until is None, incident.name
        went_on = earlier is not None and earlier.is_open and earlier.muted_until is None
        by_hand = any(fact.by.via in PEOPLE for fact in _new(before, after, number))
        assert went_on or by_hand or not after.covered(incident), incident.name


def nobody_is_forgotten(before: Look, after: Look) -> None:
    """What waits for somebody has its next step, unless its policy has ended or maintenance holds it."""
    for number, incident in after.incidents.items():
        if incident.status is not Status.TRIGGERED or not incident.policy.steps:
            continue
        if incident.escalate_at is not None or incident.muted_until is not None:
            assert incident.escalate_at is None or incident.muted_until is None, incident.name
            continue
        told = list(enumerate(after.timelines[number]))
        ended = max((n for n, fact in told if fact.kind == "policy_ended"), default=-1)
        began = max(n for n, fact in told if fact.kind in _ROUNDS or _rises(fact))
        assert ended > began, incident.name


def steps_are_due_only_while_triggered_and_only_steps_there_are(before: Look, after: Look) -> None:
    for incident in after.incidents.values():
        if incident.escalate_at is not None:
            assert incident.status is Status.TRIGGERED, incident.name
            assert incident.step < len(incident.policy.steps), incident.name
            assert incident.round <= incident.policy.repeat, incident.name
            assert incident.round_at is not None, incident.name


def what_was_written_stands(before: Look, after: Look) -> None:
    assert list(after.facts[: len(before.facts)]) == list(before.facts)
    assert before.alerts.keys() <= after.alerts.keys()
    assert before.incidents.keys() <= after.incidents.keys()
    for number, incident in before.incidents.items():
        if after.incidents[number] != incident:
            assert after.incidents[number].version > incident.version, incident.name


def the_status_follows_from_the_timeline(before: Look, after: Look) -> None:
    for number, incident in after.incidents.items():
        status = {Status.TRIGGERED}
        for fact in after.timelines[number]:
            status = _STATUS.get(fact.kind, status)
            if fact.kind == "priority_changed" and status == {Status.ACKNOWLEDGED}:
                status = {Status.ACKNOWLEDGED, Status.TRIGGERED}  # a rise asks for a new answer
        assert incident.status in status, incident.name
        assert (incident.resolved_at is not None) is (incident.status in FINISHED), incident.name
        assert (incident.closed_at is not None) is (incident.status is Status.CLOSED), incident.name


_STATUS = {
    "acknowledged": {Status.ACKNOWLEDGED},
    "escalated": {Status.TRIGGERED},
    "reopened": {Status.TRIGGERED},
    "resolved": {Status.RESOLVED},
    "closed": {Status.CLOSED},
}


def only_what_is_open_flaps_settles_or_is_in_doubt(before: Look, after: Look) -> None:
    for incident in after.incidents.values():
        if not incident.is_open:
            assert not incident.held, incident.name
            assert (incident.flapping_at, incident.settle_at) == (None, None), incident.name
        if incident.settle_at is not None:
            assert incident.flapping_at is not None or incident.rule == "storm", incident.name
        if incident.flapping_at is not None:
            assert (incident.settle_at is None) is (incident.firing > 0), incident.name


def priority_falls_only_by_hand(before: Look, after: Look) -> None:
    for number, incident in after.incidents.items():
        for fact in _new(before, after, number):
            if fact.kind == "priority_changed" and fact.by.via not in PEOPLE:
                assert fact.data["to"] < fact.data["from"], incident.name


def alerts_reopen_only_what_was_restored_lately(before: Look, after: Look) -> None:
    for number, incident in before.incidents.items():
        if any(fact.kind == "reopened" and fact.by.via not in PEOPLE for fact in _new(before, after, number)):
            assert incident.status is not Status.CLOSED, incident.name
            assert incident.resolved_at is None or after.now - incident.resolved_at <= REOPEN, incident.name


def what_is_not_known_to_be_over_is_not_restored(before: Look, after: Look) -> None:
    """Nothing ended, its list is cut off, or it flaps."""
    for number, incident in before.incidents.items():
        facts = _new(before, after, number)
        kinds = {fact.kind for fact in facts}
        if not incident.is_open or not any(f.kind == "resolved" and f.by.via not in PEOPLE for f in facts):
            continue
        assert not incident.held or "released" in kinds, incident.name
        assert not incident.flapping_at or "flapping_stopped" in kinds, incident.name
        assert incident.firing or kinds & {"released", "flapping_stopped"}, incident.name


def only_what_fires_asks_for_more(before: Look, after: Look) -> None:
    for number, incident in before.incidents.items():
        if any(_rises(fact) and fact.by.via not in PEOPLE for fact in _new(before, after, number)):
            wanted = {row.priority for row in after.unended(number)}
            assert after.incidents[number].priority in wanted, incident.name


def what_may_page_is_not_hushed(before: Look, after: Look) -> None:
    """An open incident is muted only when everything of it that fires is in maintenance."""
    for number, incident in before.incidents.items():
        muted = after.incidents[number].muted_until
        if incident.is_open and incident.firing and incident.muted_until is None and muted is not None:
            assert after.covered(incident), incident.name


def what_opsbridge_says_of_itself_is_in_no_doubt(before: Look, after: Look) -> None:
    """It cannot be cut off from its own word."""
    for (source, _, _), row in after.alerts.items():
        assert source not in ("opsbridge", "pulse") or not after.incidents[row.incident].held


def _rises(fact: Fact) -> bool:
    return fact.kind == "priority_changed" and fact.data["to"] < fact.data["from"]


def _new(before: Look, after: Look, number: int) -> Sequence[Fact]:
    return after.timelines[number][len(before.timelines.get(number, ())) :]


def _paged(before: Look, after: Look) -> set[int]:
    return {row.incident for key, row in after.pages.items() if key not in before.pages}


LAWS: Iterable[Callable[[Look, Look], None]] = (
    the_count_of_what_fires_is_right,
    a_problem_has_one_open_incident,
    what_fires_is_not_called_restored,
    what_is_quiet_is_restored,
    every_episode_has_its_incident,
    a_series_fires_once_at_a_time,
    maintenance_pages_nobody,
    nobody_is_forgotten,
    steps_are_due_only_while_triggered_and_only_steps_there_are,
    what_was_written_stands,
    the_status_follows_from_the_timeline,
    only_what_is_open_flaps_settles_or_is_in_doubt,
    priority_falls_only_by_hand,
    alerts_reopen_only_what_was_restored_lately,
    what_is_not_known_to_be_over_is_not_restored,
    only_what_fires_asks_for_more,
    what_may_page_is_not_hushed,
    what_opsbridge_says_of_itself_is_in_no_doubt,
)
