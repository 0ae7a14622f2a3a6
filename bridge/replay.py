"""Replay: stored episodes played twice, by what was decided of them then and by the rules given now.

Both sides are the same simulation, so that a difference comes from the rules alone: alerts of one key
join while one of them fires, a re-fire soon after reopens, and opening, reopening and a rise page where
the priority pages. What a storm or the incident of a needed service took in then, it takes in now.
People's acts and maintenance are not played.

Incidents that can change no more are compared and forgotten: memory follows what is open, not the past.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

import msgspec

from bridge.model import Alert, Labels, Priority
from bridge.triage import Known, gist

# Of each kind of difference so many are listed; all are counted.
MOST_LISTED = 1000
_FEWEST_KEPT = 10_000

# The incident key and the priority of an episode.
Decision = tuple[str, Priority]


class Past(msgspec.Struct, frozen=True):
    """A stored episode: what it was, what was decided of it then, and the incident it went to.

    `service` is that of the incident; `storm` says that a storm took it in.
    """

    id: int
    alert: Alert
    first_seen: datetime
    incident: int
    service: str
    storm: bool
    key: str
    priority: Priority
    route_labels: Labels


class Change(msgspec.Struct, frozen=True):
    """What becomes of one incident: how urgent it was, then and now, whether it paged, and the keys now."""

    incident: int
    then: Priority
    now: Priority
    paged_then: bool
    pages_now: bool
    keys: tuple[str, ...]
    incidents: tuple[int, ...] = ()


@dataclass
class Figures:
    """One side's outcome. `merged` episodes joined an incident that was there; pages are first steps."""

    opened: int = 0
    merged: int = 0
    pages: int = 0
    by_priority: Counter[Priority] = field(default_factory=Counter)


@dataclass
class Differences:
    """How many incidents changed in one way, and the first of them."""

    total: int = 0
    listed: list[Change] = field(default_factory=list)

    def add(self, change: Change) -> None:
        """Count one more."""
        self.total += 1
        if len(self.listed) < MOST_LISTED:
            self.listed.append(change)


@dataclass
class Comparison:
    """Then and now, and which incidents make the difference.

    `missed` were P1, P2 or paging and would be less; `newly_paging` wake somebody they did not wake;
    `split` become several incidents, `merged` several become one.
    """

    episodes: int = 0
    then: Figures = field(default_factory=Figures)
    now: Figures = field(default_factory=Figures)
    missed: Differences = field(default_factory=Differences)
    newly_paging: Differences = field(default_factory=Differences)
    split: Differences = field(default_factory=Differences)
    merged: Differences = field(default_factory=Differences)


class _Incident:
    """One simulated incident. `others` are those of the other side that share episodes with it.

    `until` is when its last alert ends, None while one fires for good.
    """

    __slots__ = ("final", "incident", "key", "others", "paged", "priority", "until")

    def __init__(self, key: str, incident: int, until: datetime | None) -> None:
        self.key = key
        self.incident = incident
        self.priority = Priority.P4
        self.paged = False
        self.until = until
        self.final = False
        self.others: set[_Incident] = set()


class _Side:
    """One simulation: which incidents can still be joined, and the figures so far."""

    def __init__(self, figures: Figures, paging: Collection[Priority], window: timedelta) -> None:
        self.figures = figures
        self._paging = paging
        self._window = window
        self._by_key: dict[str, _Incident] = {}
        self.ended: list[_Incident] = []

    def __len__(self) -> int:
        return len(self._by_key) + len(self.ended)

    def take(self, batch: list[Past], decisions: list[Decision], at: datetime) -> list[_Incident]:
        """The incident of each episode of one moment; those of a key are decided together."""
        by_key: dict[str, list[int]] = {}
        for index, (key, _) in enumerate(decisions):
            by_key.setdefault(key, []).append(index)
        found: dict[str, _Incident] = {
            key: self._place(key, [batch[i] for i in members], min(decisions[i][1] for i in members), at)
            for key, members in by_key.items()
        }
        return [found[key] for key, _ in decisions]

    def _place(self, key: str, episodes: list[Past], priority: Priority, at: datetime) -> _Incident:
        """As admission does: join or open, the most urgent decides, who fires reopens and raises."""
        fires = any(_until(episode) is None or _until(episode) > at for episode in episodes)  # type: ignore[operator]
        incident = self._by_key.get(key)
        if incident is not None and incident.until is not None and incident.until + self._window < at:
            self._end(incident)
            incident = None
        self.figures.merged += len(episodes)
        if incident is None:
            incident = self._by_key[key] = _Incident(key, episodes[0].incident, _until(episodes[0]))
            self.figures.opened += 1
            self.figures.merged -= 1
            incident.priority = priority
            pages = fires and priority in self._paging
        else:
            reopens = fires and incident.until is not None and incident.until <= at
            rises = fires and priority < incident.priority
            if rises:
                incident.priority = priority
            pages = (reopens or rises) and incident.priority in self._paging
        if pages:
            incident.paged = True
            self.figures.pages += 1
        for episode in episodes:
            until = _until(episode)
            incident.until = None if None in (until, incident.until) else max(until, incident.until)  # type: ignore[type-var]
        return incident

    def retire(self, at: datetime | None) -> None:
        """Set aside what no later episode can join any more; without a moment, everything."""
        for incident in list(self._by_key.values()):
            if at is None or (incident.until is not None and incident.until + self._window < at):
                self._end(incident)
                del self._by_key[incident.key]

    def _end(self, incident: _Incident) -> None:
        incident.final = True
        self.figures.by_priority[incident.priority] += 1
        self.ended.append(incident)


def replay(episodes: Iterable[Past], known: Known, reopen_within: timedelta) -> Comparison:
    """Play episodes, oldest first, by the stored decisions and by `known`."""
    outcome = Comparison()
    then = _Side(outcome.then, known.paging, reopen_within)
    now = _Side(outcome.now, known.paging, reopen_within)
    kept = _FEWEST_KEPT
    for at, together in groupby(episodes, key=lambda episode: episode.first_seen):
        batch = list(together)
        outcome.episodes += len(batch)
        before = then.take(batch, [(episode.key, episode.priority) for episode in batch], at)
        after = now.take(batch, [_decided(episode, known) for episode in batch], at)
        for one, other in zip(before, after, strict=True):
            one.others.add(other)
            other.others.add(one)
        if len(then) + len(now) > kept:
            then.retire(at)
            now.retire(at)
            _compare(then, now, outcome)
            kept = max(_FEWEST_KEPT, 2 * (len(then) + len(now)))
    then.retire(None)
    now.retire(None)
    _compare(then, now, outcome)
    return outcome


def _decided(episode: Past, known: Known) -> Decision:
    verdict = gist(episode.alert, known, episode.route_labels)
    needed = known.needs.get(verdict.service) if known.needs else None
    elsewhere = episode.storm or (needed is not None and episode.service in needed)
    return (episode.key if elsewhere else verdict.key, verdict.priority)


def _until(episode: Past) -> datetime | None:
    """When it ended as opsbridge could know it: not before it was heard of."""
    ends_at = episode.alert.ends_at
    return None if ends_at is None else max(ends_at, episode.first_seen)


def _compare(then: _Side, now: _Side, outcome: Comparison) -> None:
    """Compare what is final on both sides, and let go of it."""
    for incident in _settled(then):
        _compare_then(incident, outcome)
    for incident in _settled(now):
        _compare_now(incident, outcome)


def _settled(side: _Side) -> Iterator[_Incident]:
    """Those whose others are final too; the rest stays."""
    waiting, side.ended = side.ended, []
    for incident in waiting:
        if all(other.final for other in incident.others):
            yield incident
        else:
            side.ended.append(incident)


def _compare_then(incident: _Incident, outcome: Comparison) -> None:
    priority = min(other.priority for other in incident.others)
    pages = any(other.paged for other in incident.others)
    matters = incident.paged or incident.priority <= Priority.P2
    change = Change(
        incident=incident.incident,
        then=incident.priority,
        now=priority,
        paged_then=incident.paged,
        pages_now=pages,
        keys=tuple(sorted(other.key for other in incident.others)[:5]),
    )
    if matters and (priority > incident.priority or (incident.paged and not pages)):
        outcome.missed.add(change)
    if len(incident.others) > 1:
        outcome.split.add(change)


def _compare_now(incident: _Incident, outcome: Comparison) -> None:
    first = min(incident.others, key=lambda other: other.incident)
    change = Change(
        incident=first.incident,
        then=min(other.priority for other in incident.others),
        now=incident.priority,
        paged_then=any(other.paged for other in incident.others),
        pages_now=incident.paged,
        keys=(incident.key,),
        incidents=tuple(sorted(other.incident for other in incident.others)[:20]),
    )
    if incident.paged and not change.paged_then:
        outcome.newly_paging.add(change)
    if len(incident.others) > 1:
        outcome.merged.add(change)
