"""Maintenance windows: tried before they are saved, planned, cancelled. One function is one transaction."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from bridge import maintenance, members
from bridge.maintenance import BadWindow, Occurrence, Window
from bridge.model import Actor, Change, Fact, Incident
from bridge.store import incidents
from bridge.store import maintenance as store
from bridge.store.maintenance import Tried
from bridge.store.record import record
from bridge.text import one_line
from bridge.wiring import Bridge

LOOKED_BACK = timedelta(days=30)
_MOST_EPISODES = 50_000
_EXAMPLES = 10
_MOST_OPEN = 200
_NEXT = 5


@dataclass(frozen=True)
class Group:
    """How many of the muted episodes a rule decided about, by priority and client."""

    rule: str
    priority: str
    client: str
    episodes: int


@dataclass(frozen=True)
class Preview:
    """What a window would mute, judged by what happened since a moment.

    `matched` episodes are those of its alerts; `muted` of them began at an hour at which a recurring window
    would have been on (of a single one: all). `open` are incidents of which everything that fires is
    covered. `whole` is False when there was more to look at than `looked_at`.
    """

    since: datetime
    looked_at: int
    whole: bool
    matched: int
    muted: int
    firing: int
    groups: tuple[Group, ...]
    examples: tuple[Tried, ...]
    open: tuple[Incident, ...]
    occurrences: tuple[Occurrence, ...]


def plan(bridge: Bridge, window: Window) -> Window:
    """Save a window. What another one mutes by now may be muted for longer.

    Raises BadWindow for a client that nobody knows.
    """
    _check_client(bridge, window)

    def work(connection: Connection) -> Window:
        saved = store.add(connection, window)
        _mute_anew(connection, bridge, saved, bridge.now())
        return saved

    # In turn with the intake: it must not open an incident by what we have just changed.
    return bridge.database.run(work, serial="intake")


def cancel(bridge: Bridge, number: int, by: Actor) -> Window:
    """End a window for ever, all its occurrences; what it muted and still fires is paged by the next tick.

    Raises NoSuchWindow.
    """

    def work(connection: Connection) -> Window:
        now = bridge.now()
        window = store.cancel(connection, number, by.name, now)
        _mute_anew(connection, bridge, window, now, by)
        return window

    return bridge.database.run(work, serial="intake")


def preview(bridge: Bridge, window: Window) -> Preview:
    """What this window would mute, before it is saved. Raises BadWindow as `plan` does."""
    _check_client(bridge, window)
    now = bridge.now()
    since = now - LOOKED_BACK
    times = _Hours(window, since, now)
    looked_at = matched = muted = firing = 0
    groups: Counter[tuple[str, str, str]] = Counter()
    examples: list[Tried] = []
    touched: set[int] = set()
    with bridge.database.reading() as connection:
        for episode in store.episodes(connection, since, _MOST_EPISODES):
            looked_at += 1
            if not window.covers(episode.labels, episode.client):
                continue
            matched += 1
            if episode.firing:
                firing += 1
                touched |= {episode.incident} if episode.incident else set()
            if times.hold(episode.starts_at):
                muted += 1
                groups[episode.rule, episode.priority, episode.client] += 1
                examples += [episode] if len(examples) < _EXAMPLES else []
        found = tuple(_wholly(connection, window, touched))
    return Preview(
        since=since,
        looked_at=looked_at,
        whole=looked_at < _MOST_EPISODES,
        matched=matched,
        muted=muted,
        firing=firing,
        groups=tuple(Group(*key, count) for key, count in groups.most_common()),
        examples=tuple(examples),
        open=found,
        occurrences=maintenance.upcoming(window, now, _NEXT),
    )


class _Hours:
    """When a recurring window would have been on had it always been there; a single one would any time."""

    def __init__(self, window: Window, since: datetime, now: datetime) -> None:
        until = now + timedelta(seconds=1)  # an alert may begin this very moment
        found = maintenance.occurrences(window, since, until, endless=True) if window.rrule else ()
        self._ends = {occurrence.starts_at: occurrence.ends_at for occurrence in found}
        self._starts = list(self._ends)
        self._any = not window.rrule

    def hold(self, moment: datetime) -> bool:
        """Would it have been on?"""
        place = bisect.bisect_right(self._starts, moment)
        return self._any or (place > 0 and moment < self._ends[self._starts[place - 1]])


def _check_client(bridge: Bridge, window: Window) -> None:
    if window.client and window.client not in bridge.config.clients:
        raise BadWindow(f"client: there is no client {one_line(window.client, 60)!r} in the configuration")


def _wholly(connection: Connection, window: Window, numbers: set[int]) -> Iterator[Incident]:
    """Of these incidents the open ones of which the window covers everything that fires, oldest first."""
    for number, incident in sorted(incidents.read_many(connection, sorted(numbers)[-_MOST_OPEN:]).items()):
        labels = store.firing_labels(connection, number)
        if incident.is_open and all(window.covers(each, incident.client) for each in labels):
            yield incident


def _mute_anew(
    connection: Connection, bridge: Bridge, window: Window, now: datetime, by: Actor | None = None
) -> None:
    """A window came or went: say anew until when the incidents are muted that it concerns."""
    windows = store.active(connection, now)
    for incident in store.muted(connection, now):
        firing = store.firing_labels(connection, incident.number)
        if not any(window.covers(labels, incident.client) for labels in firing):
            continue
        until = maintenance.all_muted_until(windows, firing, incident.client, now) or now
        if until != incident.muted_until:
            change = _muted(incident, until, window, now, by)
            record(connection, change, bridge.arrangements, now, incident)


def _muted(incident: Incident, until: datetime, window: Window, now: datetime, by: Actor | None) -> Change:
    if by is None:
        return members.mute(Change(incident=incident), until, now)
    fact = Fact(at=now, kind="noted", by=by, text=f"cancelled the maintenance “{window.name}”")
    return Change(incident=replace(incident, muted_until=until), facts=(fact,))
