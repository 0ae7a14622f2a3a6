"""The one place where a decision becomes rows: state, facts, clocks and outbox tasks commit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from bridge import oncall, sla
from bridge.model import Actor, Change, Clock, ClockState, Effect, Fact, Incident
from bridge.store import bulk, incidents
from bridge.store.outbox import new_task
from bridge.store.schema import clocks, tasks

_ESCALATION = Actor("escalation", "worker")
# Only these facts start or stop a clock.
_CLOCK_FACTS = frozenset(
    {
        "opened",
        "acknowledged",
        "resolved",
        "reopened",
        "planned",
        "priority_changed",
        "muted",
        "unmuted",
    }
)

_MOVING_FACTS = frozenset({"priority_changed", "unmuted"})


@dataclass(frozen=True)
class Arrangements:
    """Who can be told, when clocks run, and where tickets are mirrored."""

    directory: oncall.Directory = field(default_factory=oncall.Directory)
    calendars: Mapping[str, sla.Calendar] = field(default_factory=dict)
    trackers: tuple[str, ...] = ()


def record(
    connection: Connection,
    change: Change,
    arrangements: Arrangements,
    now: datetime,
    before: Incident | None = None,
) -> Incident:
    """Write a change of what was read `before`. Raises Conflict when the incident changed since then."""
    return record_all(connection, [(change, before)], arrangements, now)[0]


def record_all(
    connection: Connection,
    changes: Sequence[tuple[Change, Incident | None]],
    arrangements: Arrangements,
    now: datetime,
) -> list[Incident]:
    """Write changes of different incidents at once. Raises Conflict when one changed since it was read."""
    saved = incidents.save_all(connection, [(change.incident, before) for change, before in changes])
    rows: list[dict[str, Any]] = []
    facts: list[tuple[int, Fact]] = []
    for (change, _), incident in zip(changes, saved, strict=True):
        facts += [(incident.number, fact) for fact in change.facts]
        for effect in change.effects:
            queued, told = _queued(connection, incident, effect, arrangements, now)
            rows += queued
            facts += [(incident.number, fact) for fact in told]
    incidents.add_facts(connection, facts)
    if rows:
        # The same effect may be decided twice; its key lets it be queued once.
        connection.execute(
            bulk.upsert(connection, tasks).on_conflict_do_nothing(index_elements=["key"]), rows
        )
    for (change, _), incident in zip(changes, saved, strict=True):
        kinds = {fact.kind for fact in change.facts}
        if kinds & _CLOCK_FACTS:
            _clocks_moved(connection, incident, kinds, arrangements, now)
    return saved


def _queued(
    connection: Connection, incident: Incident, effect: Effect, arrangements: Arrangements, now: datetime
) -> tuple[list[dict[str, Any]], list[Fact]]:
    """The outbox rows of one effect, and what the timeline says of them."""
    if effect.kind == "page":
        recipients = _recipients(connection, incident, effect, arrangements, now)
        rows = [_page(incident, effect, recipient, now) for recipient in recipients]
        told = [_paged(effect, recipients, now)] if recipients or effect.data["reason"] == "page" else []
        return rows, told
    if effect.kind == "ticket":
        return [
            new_task("ticket", f"{effect.key}/{name}", incident, now, channel=name, data=effect.data)
            for name in arrangements.trackers
        ], []
    return [new_task(effect.kind, effect.key, incident, now, data=effect.data)], []


def _clocks_moved(
    connection: Connection, incident: Incident, kinds: set[str], arrangements: Arrangements, now: datetime
) -> None:
    moved = bool(kinds & _MOVING_FACTS)
    was = _deadlines(connection, incident.number) if moved else {}
    write_clocks(connection, incident, arrangements, now)
    if moved:
        told = _moved(was, _deadlines(connection, incident.number), now)
        incidents.add_facts(connection, [(incident.number, fact) for fact in told])


def _deadlines(connection: Connection, number: int) -> dict[str, datetime]:
    rows = connection.execute(select(clocks.c.target, clocks.c.due_at).where(clocks.c.incident == number))
    return {row.target: row.due_at for row in rows}


def _moved(was: Mapping[str, datetime], now_due: Mapping[str, datetime], now: datetime) -> list[Fact]:
    """The old and the new deadline of every clock that moved: part of the evidence."""
    targets = sorted(was.keys() | now_due.keys())
    moved = {target: (was.get(target), now_due.get(target)) for target in targets}
    moved = {target: both for target, both in moved.items() if both[0] != both[1]}
    if not moved:
        return []
    text = "; ".join(f"{target} {_short(old)} → {_short(new)}" for target, (old, new) in moved.items())
    return [
        Fact(
            at=now, kind="deadlines_moved", by=Actor("clock", "worker"), text=text, data={"deadlines": moved}
        )
    ]


def _short(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "none"


def write_clocks(
    connection: Connection, incident: Incident, arrangements: Arrangements, now: datetime
) -> None:
    """Recompute the incident's clocks from its facts; the rows only serve to ask what is due."""
    facts = incidents.facts_of(connection, incident.number, _CLOCK_FACTS | {"clock"})
    told = sla.told(facts)
    connection.execute(delete(clocks).where(clocks.c.incident == incident.number))
    found = sla.clocks(incident, facts, arrangements.calendars, now)
    if found:
        connection.execute(
            insert(clocks),
            [
                {
                    "incident": incident.number,
                    "target": clock.target,
                    "started_at": clock.started_at,
                    "due_at": clock.due_at,
                    "state": clock.state,
                    "stopped_at": clock.stopped_at,
                    "next_at": clock.next_at if _still_ticks(clock, told) else None,
                }
                for clock in found
            ],
        )


def _still_ticks(clock: Clock, told: frozenset[tuple[str, str, str]]) -> bool:
    return clock.state is not ClockState.BREACHED or sla.warning(clock) not in told


def _recipients(
    connection: Connection, incident: Incident, effect: Effect, arrangements: Arrangements, now: datetime
) -> tuple[oncall.Recipient, ...]:
    targets = effect.data["targets"]
    if targets == "everyone_paged":
        targets = list(_paged_before(connection, incident.number))
    return oncall.recipients(targets, arrangements.directory, now)


def _paged_before(connection: Connection, number: int) -> Iterator[str]:
    rows = connection.execute(select(tasks.c.data).where(tasks.c.incident == number, tasks.c.kind == "page"))
    return iter(dict.fromkeys(row.data["recipient"] for row in rows))


def _page(incident: Incident, effect: Effect, recipient: oncall.Recipient, now: datetime) -> dict[str, Any]:
    data = {
        "reason": effect.data["reason"],
        "recipient": recipient.name,
        "language": recipient.language,
        "others": list(recipient.channels[1:]),
        "missed": effect.data.get("missed", 0),
        "queued_at": now,
    }
    key = f"{effect.key}/{recipient.name}"
    return new_task("page", key, incident, now, channel=recipient.channels[0], data=data)


def _paged(effect: Effect, recipients: tuple[oncall.Recipient, ...], now: datetime) -> Fact:
    reason = effect.data["reason"]
    names = [recipient.name for recipient in recipients]
    if not names:
        return Fact(at=now, kind="nobody_to_page", by=_ESCALATION, text=", ".join(effect.data["targets"]))
    return Fact(at=now, kind="paging", by=_ESCALATION, text=", ".join(names), data={"reason": reason})
