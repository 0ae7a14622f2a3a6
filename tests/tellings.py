"""What sources said in a history, and which episodes are true by that: the same truth, told the short way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.model import Alert, State

Series = tuple[str, str]
_MOMENT = timedelta(microseconds=1)


@dataclass
class Said:
    """Everything that was said of one episode, as far as it counts."""

    ends: list[datetime] = field(default_factory=list)
    gone: datetime | None = None
    standing: State = State.FIRING


@dataclass
class Tellings:
    """Every series by the starts that were told of it."""

    series: dict[Series, dict[datetime, Said]] = field(default_factory=dict)

    def hear(self, alert: Alert, *, doubted: bool) -> None:
        """One alert was told; a `doubted` end is none."""
        ended = alert.ends_at is not None and not (doubted and not alert.presumed)
        said = self.series.setdefault((alert.source, alert.fingerprint), {})
        start = self._meant(alert, said)
        if start is None:
            return
        known = said.setdefault(start, Said())
        if not ended:
            known.gone = None
            known.standing = State.STALE if alert.ends_at is not None else alert.standing
        elif not alert.presumed:
            known.ends.append(alert.ends_at)  # type: ignore[arg-type]
        elif self.end(said, start) is None:
            known.gone = alert.ends_at

    def _meant(self, alert: Alert, said: dict[datetime, Said]) -> datetime | None:
        if not alert.undated:
            return alert.starts_at
        unended = self.unended(said)
        if unended is not None or alert.ends_at is not None:
            return unended
        # It fires now: so it began after all that is over.
        return max([alert.starts_at, *(start + _MOMENT for start in said)])

    def over(self, series: Series, at: datetime) -> None:
        """A person says that what fires of a series is over."""
        said = self.series[series]
        start = self.unended(said)
        if start is not None:
            said[start].ends.append(at)

    def unended(self, said: dict[datetime, Said]) -> datetime | None:
        """The start of what fires now."""
        return next((start for start in sorted(said, reverse=True) if self.end(said, start) is None), None)

    def latest(self, series: Series) -> datetime | None:
        """The newest start that was told."""
        return max(self.series.get(series, {}), default=None)

    def fires(self, series: Series) -> datetime | None:
        """The start of what fires of a series."""
        return self.unended(self.series.get(series, {}))

    @staticmethod
    def end(said: dict[datetime, Said], start: datetime) -> datetime | None:
        """The last end that was told; else what comes first: it was gone, or the series fired anew."""
        known = said[start]
        later = [other for other in said if other > start]
        guessed = [moment for moment in (known.gone, min(later, default=None)) if moment is not None]
        return max(known.ends) if known.ends else min(guessed, default=None)

    def truth(self) -> dict[tuple[str, str, datetime], tuple[datetime | None, bool, State]]:
        """Every episode: its end, whether nobody told that, and its state."""
        found = {}
        for series, said in self.series.items():
            for start, known in said.items():
                end = self.end(said, start)
                state = State.RESOLVED if end is not None else known.standing
                found[*series, start] = (end, end is not None and not known.ends, state)
        return found


def ended(alert: Alert, at: datetime) -> Alert:
    """The same alert, over at a moment (an end before its start is none)."""
    return replace(alert, ends_at=max(at, alert.starts_at))
