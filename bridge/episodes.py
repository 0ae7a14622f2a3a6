"""The truth about a series: its episodes, whatever the order in which they are told.

An episode is `(source, fingerprint, starts_at)`. Its end is decided from what sources say about
starts and ends, never from arrival order: copies come late, twice, and from two replicas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest

import msgspec
from msgspec.structs import replace

from bridge.model import Alert, State

Identity = tuple[str, str, datetime]

_MOMENT = timedelta(microseconds=1)  # the least by which two times differ in both databases


class Episode(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One episode as it is known. `inferred`: nobody told its end, it is implied or presumed."""

    alert: Alert
    id: int | None = None
    incident: int | None = None
    inferred: bool = False
    seen: int = 0

    @property
    def identity(self) -> Identity:
        """What makes it this episode and no other."""
        return (self.alert.source, self.alert.fingerprint, self.alert.starts_at)

    @property
    def firing(self) -> bool:
        """Its end is not known; it may be silenced, inhibited or stale."""
        return self.alert.ends_at is None


def first(alert: Alert, starts: Collection[datetime] = ()) -> Episode | None:
    """A new episode of a series that began at these moments before; None for an end of nothing.

    What says that it fires, and not since when, began after all that is over, also when a clock was set back.
    """
    if alert.undated:
        if alert.ends_at is not None or alert.standing is State.STALE:
            return None
        began = max([alert.starts_at, *(start + _MOMENT for start in starts)])
        alert = replace(alert, starts_at=began)
    return Episode(alert=alert, inferred=alert.presumed, seen=1)


def merged(known: Sequence[Episode], told: Iterable[Alert]) -> list[Episode]:
    """All episodes of one series after hearing `told`, oldest first."""
    by_start = {episode.alert.starts_at: episode for episode in known}
    for alert in told:
        before = _meant(alert, by_start)
        if before is not None:
            by_start[before.alert.starts_at] = _heard(before, alert)
        elif (new := first(alert, by_start)) is not None:
            by_start[new.alert.starts_at] = new
    ordered = [by_start[start] for start in sorted(by_start)]
    return [
        _ended_by(episode, later.alert.starts_at if later else None)
        for episode, later in zip_longest(ordered, ordered[1:])
    ]


def _meant(alert: Alert, by_start: Mapping[datetime, Episode]) -> Episode | None:
    """The episode an alert speaks of: that of its start, or what fires when it knows no start."""
    if not alert.undated:
        return by_start.get(alert.starts_at)
    return max((e for e in by_start.values() if e.firing), key=lambda e: e.alert.starts_at, default=None)


def _heard(before: Episode, alert: Alert) -> Episode:
    """A told end stands against "firing" copies; of two told ends the later one is true.

    An end that was only presumed falls when the alert is heard firing.
    """
    known = before.alert
    if alert.presumed:
        ends_at, inferred = known.ends_at or alert.ends_at, before.inferred or known.ends_at is None
    else:
        told = [end for end in (None if before.inferred else known.ends_at, alert.ends_at) if end is not None]
        ends_at, inferred = (max(told) if told else None), False
    fires = alert.ends_at is None
    return replace(
        before,
        alert=replace(
            known,
            ends_at=ends_at,
            annotations=alert.annotations or known.annotations,
            link=alert.link or known.link,
            standing=alert.standing if fires else known.standing,
            held_by=alert.held_by if fires else known.held_by,
        ),
        inferred=inferred,
        seen=before.seen + 1,
    )


def _ended_by(episode: Episode, next_start: datetime | None) -> Episode:
    """A series fires once at a time: the next episode's start ends this one when nobody told its end.

    An end that was presumed earlier stays: between the two nothing fired.
    """
    if next_start is None or (not episode.firing and not episode.inferred):
        return episode
    ends_at = min(next_start, episode.alert.ends_at or next_start)
    return replace(episode, alert=replace(episode.alert, ends_at=ends_at), inferred=True)


def doubted(alert: Alert, why: str) -> Alert:
    """An end told while nobody could see: not believed, the alert is stale until it is seen again."""
    return replace(
        alert,
        ends_at=None,
        standing=State.STALE,
        held_by=f"told as ended while monitoring was blind: {why}",
    )
