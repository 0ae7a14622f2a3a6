"""Which incident a new episode belongs to: its key's, that of a service it needs, a storm's, or a new one.

Pure: the candidates are read before, what is decided is recorded after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from bridge import members
from bridge.episodes import Episode
from bridge.model import Incident, Verdict
from bridge.selfwatch import SOURCE

Member = tuple[Episode, int, Verdict]

STORM = "storm"


@dataclass(frozen=True)
class Candidates:
    """What is open now: by key, those of needed services, storms by client, and how many opened lately."""

    by_key: Mapping[str, Incident] = field(default_factory=dict)
    needed: tuple[Incident, ...] = ()
    opened_lately: Counter[str] = field(default_factory=Counter)
    earlier: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Slot:
    """One incident that is joined or opened, and the new episodes it gets with the verdict on each."""

    key: str
    found: Incident | None
    verdict: Verdict
    because: str = ""
    episodes: list[Member] = field(default_factory=list)

    @property
    def burns(self) -> bool:
        """Does something of it fire?"""
        known = self.found is not None and self.found.is_open and self.found.firing > 0
        return known or any(episode.firing for episode, _, _ in self.episodes)


@dataclass(frozen=True)
class Terms:
    """The rules of correlation: what needs what, and when many become one."""

    needs: Mapping[str, frozenset[str]]
    storm_from: int


def storm_key(client: str) -> str:
    """The key of a client's storm incident."""
    return f"{STORM}, client={client}"


def is_storm(incident: Incident) -> bool:
    """Is it the incident of its client's storm, and not one of somebody's rule?"""
    return incident.key == storm_key(incident.client)


def placed(
    groups: Mapping[str, list[Member]], candidates: Candidates, terms: Terms, now: datetime
) -> list[Slot]:
    """Every group of episodes with the same key gets its incident. What others need goes first."""
    placing = _Placing(candidates, terms, now, new_of=Counter(candidates.opened_lately))
    ordered = (
        sorted(groups.items(), key=lambda item: _depth(item[1], terms)) if terms.needs else groups.items()
    )
    for key, episodes in ordered:
        slot = placing.slot(key, highest(verdict for _, _, verdict in episodes), episodes[0][0].alert.source)
        slot.episodes += episodes
        placing.slots[slot.key] = slot
    return list(placing.slots.values())


def highest(verdicts: Iterable[Verdict]) -> Verdict:
    """The most urgent verdict decides; among equals the first, and one that names a failover plan."""
    return min(verdicts, key=lambda verdict: (verdict.priority, not verdict.plan))


@dataclass
class _Placing:
    """The slots so far, and how many new incidents each client gets."""

    candidates: Candidates
    terms: Terms
    now: datetime
    slots: dict[str, Slot] = field(default_factory=dict)
    new_of: Counter[str] = field(default_factory=Counter)

    def slot(self, key: str, verdict: Verdict, source: str) -> Slot:
        return self._own(key, verdict) or self._root(verdict) or self._new(key, verdict, source)

    def _own(self, key: str, verdict: Verdict) -> Slot | None:
        found = self.candidates.by_key.get(key)
        return self.slots.get(key) or (Slot(key, found, verdict) if found else None)

    def _root(self, verdict: Verdict) -> Slot | None:
        """The burning incident of a service that this one needs, of the same client or of all of them."""
        needs = self.terms.needs.get(verdict.service, frozenset())
        if not needs:
            return None
        for slot in self.slots.values():
            if slot.burns and slot.verdict.service in needs and slot.verdict.client in (verdict.client, ""):
                return slot
        for found in self.candidates.needed:
            if found.service in needs and found.client in (verdict.client, "") and found.firing:
                because = f"{verdict.service} depends on {found.service}"
                return self.slots.get(found.key) or Slot(found.key, found, verdict, because=because)
        return None

    def _new(self, key: str, verdict: Verdict, source: str) -> Slot:
        """An incident of its own, unless this client has so many new ones that they are one storm."""
        if source == SOURCE or not self.terms.storm_from:
            return Slot(key, None, verdict)
        storm = storm_key(verdict.client)
        found = self.candidates.by_key.get(storm)
        going_on = storm in self.slots or (found is not None and members.storm_takes(found, self.now))
        if not going_on:
            self.new_of[verdict.client] += 1
            if self.new_of[verdict.client] <= self.terms.storm_from:
                return Slot(key, None, verdict)
        if storm in self.slots:
            return self.slots[storm]
        if found is not None:
            return Slot(storm, found, verdict, because="it came in a storm")
        return Slot(storm, None, _storm(verdict, storm))


def _storm(verdict: Verdict, key: str) -> Verdict:
    whose = verdict.client or "no known client"
    return replace(
        verdict,
        rule=STORM,
        key=key,
        service="",
        title=f"A storm of problems: {whose}",
        why=("many new problems of one client in a short time", *verdict.why),
    )


def _depth(episodes: list[Member], terms: Terms) -> int:
    return len(terms.needs.get(episodes[0][2].service, ()))
