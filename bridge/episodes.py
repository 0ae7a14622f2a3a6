"""The truth about a series: its episodes, whatever the order in which they are told.

An episode is `(source, fingerprint, starts_at)`. Its end is decided from what sources say about
starts and ends, never from arrival order: copies come late, twice, and from two replicas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import zip_longest

import msgspec
from msgspec.structs import replace

from bridge.model import Alert

Identity = tuple[str, str, datetime]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One episode as it is known. `inferred`: nobody told its end, a later episode implies it."""

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
        """Its end is not known."""
        return self.alert.ends_at is None


def merged(known: Sequence[Episode], told: Iterable[Alert]) -> list[Episode]:
    """All episodes of one series after hearing `told`, oldest first."""
    by_start = {episode.alert.starts_at: episode for episode in known}
    for alert in told:
        before = by_start.get(alert.starts_at)
        by_start[alert.starts_at] = _heard(before, alert) if before else Episode(alert=alert, seen=1)
    ordered = [by_start[start] for start in sorted(by_start)]
    return [
        _ended_by(episode, later.alert.starts_at if later else None)
        for episode, later in zip_longest(ordered, ordered[1:])
    ]


def _heard(before: Episode, alert: Alert) -> Episode:
    """A told end stands against "firing" copies; of two told ends the later one is true."""
    told_before = None if before.inferred else before.alert.ends_at
    ends = [end for end in (told_before, alert.ends_at) if end is not None]
    return replace(
        before,
        alert=replace(
            before.alert,
            ends_at=max(ends) if ends else before.alert.ends_at,
            annotations=alert.annotations or before.alert.annotations,
            link=alert.link or before.alert.link,
        ),
        inferred=before.inferred and not ends,
        seen=before.seen + 1,
    )


def _ended_by(episode: Episode, next_start: datetime | None) -> Episode:
    """A series fires once at a time: the next episode's start ends this one when nobody told its end."""
    if next_start is None or (not episode.firing and not episode.inferred):
        return episode
    return replace(episode, alert=replace(episode.alert, ends_at=next_start), inferred=True)
