"""Episodes find their incidents: candidates are read, correlation decides, incidents change, all recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from bridge import correlation, members
from bridge import incident as machine
from bridge.correlation import Candidates, Slot
from bridge.episodes import Episode
from bridge.joining import Deliveries, Groups, Placed, Turns, Work, join, open_
from bridge.model import Actor, Incident, Status
from bridge.store import incidents, maintenance
from bridge.store.record import record, record_all
from bridge.wiring import Bridge

# An episode before and after, and the deliveries that told the change.
Changed = tuple[Episode, Episode, Sequence[int]]


def place(
    connection: Connection,
    groups: Groups,
    changed: Sequence[Changed],
    deliveries: Deliveries,
    bridge: Bridge,
    now: datetime,
) -> Placed:
    """Join or open incidents for new episodes, tell incidents what ended."""
    turns = _turns(changed, deliveries)
    may_page = groups or any(turn.revived for turn in turns.values())
    windows = maintenance.active(connection, now) if may_page else ()
    work = Work(connection, bridge, deliveries, windows, Placed(groups), now)
    candidates = _candidates(connection, groups, bridge, now)
    terms = correlation.Terms(bridge.config.known.needs, bridge.config.intake.storm.incidents)
    slots = correlation.placed(groups, candidates, terms, now)
    _number(connection, slots, work)
    taken = {slot.found.number for slot in slots if slot.found}
    rest = incidents.read_many(connection, turns.keys() - taken) if turns.keys() - taken else {}
    for slot in slots:
        if slot.found:
            join(work, slot.found, slot, turns.pop(slot.found.number, Turns()))
        else:
            open_(work, slot, candidates.earlier.get(slot.key))
    for number, turn in turns.items():
        join(work, rest[number], None, turn)
    if work.changes:
        record_all(connection, list(work.changes.values()), bridge.arrangements, now)
    return work.placed


def astray(
    connection: Connection, changed: Sequence[Changed], bridge: Bridge, now: datetime
) -> list[Changed]:
    """Episodes that were not over after all while their incident is: they are placed like new ones.

    It was closed, was restored too long ago, or gave way to another one of its key.
    """
    back = {e.incident for before, e, _ in changed if e.incident and e.firing and not before.firing}
    own = incidents.read_many(connection, back) if back else {}
    over = {number: found.key for number, found in own.items() if not found.is_open}
    if not over:
        return []
    meant = incidents.by_key(connection, set(over.values()), now - bridge.config.intake.reopen_within)
    lost = {number for number, key in over.items() if key not in meant or meant[key].number != number}
    return [each for each in changed if each[1].incident in lost and each[1].firing and not each[0].firing]


def take(connection: Connection, number: int, source: str, bridge: Bridge, now: datetime) -> None:
    """Somebody took the incident at the sender's side."""
    found = incidents.read_many(connection, [number]).get(number)
    if found is not None and found.status is Status.TRIGGERED:
        change = machine.acknowledge(found, Actor(source, "source"), now)
        record(connection, change, bridge.arrangements, now, found)


def release_held(connection: Connection, bridge: Bridge, source: str, now: datetime) -> list[Incident]:
    """The full list of a source is known: incidents it left in doubt are decided. Those that are restored."""
    restored = []
    for found in incidents.held_by_source(connection, source):
        change = members.release(found, now, f"the full list of {source} is known")
        after = record(connection, change, bridge.arrangements, now, found)
        restored += [] if after.is_open else [after]
    return restored


def _turns(changed: Sequence[Changed], deliveries: Deliveries) -> dict[int, Turns]:
    found: dict[int, Turns] = {}
    for before, after, tellers in changed:
        if after.incident is None:
            continue
        turn = found.setdefault(after.incident, Turns())
        turn.hidden = max([turn.hidden, *(deliveries.cut_off(index, after.alert) for index in tellers)])
        if before.firing and not after.firing:
            turn.ended.append(after.alert)
        elif after.firing and not before.firing:
            turn.revived.append(after.alert)
        elif after.firing and before.alert.state is not after.alert.state:
            turn.held_back.append(after.alert)
    return found


def _candidates(connection: Connection, groups: Groups, bridge: Bridge, now: datetime) -> Candidates:
    """Only what these groups can need is read; for known keys that is one query."""
    if not groups:
        return Candidates()
    config = bridge.config
    since = now - config.intake.reopen_within
    by_key = incidents.by_key(connection, list(groups), since)
    missing = [key for key in groups if key not in by_key]
    if not missing:
        return Candidates(by_key)
    clients = {groups[key][0][2].client for key in missing}
    storms = incidents.by_key(connection, [correlation.storm_key(client) for client in clients], since)
    wanted = {need for key in missing for need in config.known.needs.get(groups[key][0][2].service, ())}
    storm = config.intake.storm
    return Candidates(
        by_key={**storms, **by_key},
        needed=incidents.open_of_services(connection, wanted) if wanted else (),
        opened_lately=Counter(incidents.opened_since(connection, clients, now - storm.within)),
        earlier=incidents.newest_of(connection, missing),
    )


def _number(connection: Connection, slots: Sequence[Slot], work: Work) -> None:
    """Every group learns its incident's number; new incidents get theirs."""
    new = [slot.key for slot in slots if slot.found is None]
    numbers = dict(zip(new, incidents.next_numbers(connection, len(new)), strict=True)) if new else {}
    for slot in slots:
        number = slot.found.number if slot.found else numbers[slot.key]
        for _, _, verdict in slot.episodes:
            work.placed.incident_of[verdict.key] = number
