"""From a view to what is drawn: long series thinned, incidents as bands, the period as a window."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from health_report.charts import Band, Line
from health_report.figures import Grid, Values, thinned
from health_report.section import View

DRAWN = 744
"""Points of a drawn line: one an hour in a month of 31 days."""


def window(view: View) -> tuple[float, float]:
    """The drawn stretch: the whole month, also while it is not over. Unix seconds."""
    return (view.facts.start.timestamp(), view.facts.end.timestamp())


def line(view: View, name: str, values: Values) -> Line:
    """Values on the view's grid as a line of at most `DRAWN` means."""
    points: Grid = view.grid
    per = max(1, -(-len(values) // DRAWN))
    means = thinned(values, per)
    # A mean stands at the end of its stretch, as every point does.
    times = [points.time(min((place + 1) * per, points.count) - 1) for place in range(len(means))]
    return Line(name, times, means)


def bands(view: View, services: Collection[str] | None = None) -> list[Band]:
    """Urgent incidents as bands; with `services` only theirs."""
    until = view.facts.until
    chosen: Sequence[Band] = [
        Band(i.name, i.began_at.timestamp(), (i.resolved_at or until).timestamp())
        for i in view.facts.incidents
        if i.priority in ("P1", "P2") and (services is None or i.service in services)
    ]
    # A fortnight's repair of a small thing would shade the whole month and say nothing.
    return [band for band in chosen if band.end - band.start <= 3 * 86_400]
