"""Times to react and promises kept, from incidents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.model import Clock, ClockState
from health_report.facts import IncidentRecord


@dataclass(frozen=True)
class Mean:
    """A mean time in seconds over `count` incidents."""

    seconds: float
    count: int


def detect(incidents: Iterable[IncidentRecord]) -> Mean | None:
    """MTTD: from the begin of the problem to the incident."""
    return _mean((i.opened_at - i.began_at).total_seconds() for i in incidents)


def acknowledge(incidents: Iterable[IncidentRecord]) -> Mean | None:
    """MTTA: from the incident to the first person; incidents nobody acknowledged are not in it."""
    return _mean((i.acknowledged_at - i.opened_at).total_seconds() for i in incidents if i.acknowledged_at)


def restore(incidents: Iterable[IncidentRecord]) -> Mean | None:
    """MTTR: from the begin of the problem to service restored; what is still open is not in it."""
    return _mean((i.resolved_at - i.began_at).total_seconds() for i in incidents if i.resolved_at)


def _mean(seconds: Iterable[float]) -> Mean | None:
    # Clocks of two machines differ: a moment that seems to lie before its cause took no time.
    known = [max(0.0, value) for value in seconds]
    return Mean(sum(known) / len(known), len(known)) if known else None


@dataclass(frozen=True)
class Breach:
    """One promise that was broken, and by how many seconds so far."""

    incident: IncidentRecord
    clock: Clock
    late_seconds: float


@dataclass(frozen=True)
class Attainment:
    """How one target was kept. `share` is None while nothing is decided."""

    priority: str
    target: str
    met: int
    undecided: int
    breaches: tuple[Breach, ...]

    @property
    def share(self) -> float | None:
        """Kept of decided, 0 to 1."""
        decided = self.met + len(self.breaches)
        return self.met / decided if decided else None


def attainment(incidents: Sequence[IncidentRecord], until: datetime) -> tuple[Attainment, ...]:
    """Every target of every priority, in order of urgency."""
    found: dict[tuple[str, str], list[tuple[IncidentRecord, Clock]]] = {}
    for incident in incidents:
        for clock in incident.clocks:
            found.setdefault((incident.priority, clock.target), []).append((incident, clock))
    order = ["respond", "restore", "plan", "fix"]
    places = {name: place for place, name in enumerate(order)}
    ranked = sorted(found, key=lambda key: (key[0], places.get(key[1], len(order)), key[1]))
    return tuple(_attained(*key, found[key], until) for key in ranked)


def _attained(
    priority: str, target: str, clocks: Sequence[tuple[IncidentRecord, Clock]], until: datetime
) -> Attainment:
    breaches = tuple(
        Breach(i, c, max(0.0, ((c.stopped_at or until) - c.due_at).total_seconds()))
        for i, c in clocks
        if c.state is ClockState.BREACHED
    )
    met = sum(1 for _, c in clocks if c.state is ClockState.MET)
    return Attainment(priority, target, met, len(clocks) - met - len(breaches), breaches)
