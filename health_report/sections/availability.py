"""Availability of every service against its promise, and what is left of the error budget."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.registry import sections
from health_report import charts, comparisons, figures, marks
from health_report.figures import Availability, Grid
from health_report.section import Column, Light, Section, SectionSettings, Table, View, worst


class Settings(SectionSettings, frozen=True):
    """`tight`: share of the error budget from which a kept promise is shown amber."""

    tight: float = 0.75


@dataclass(frozen=True)
class Standing:
    """One service: how available it was, what was promised, and its values for the chart."""

    service: str
    now: Availability | None
    before: Availability | None
    slo: float | None
    budget: figures.Budget | None
    light: Light
    ratios: tuple[float | None, ...]

    @property
    def seen(self) -> float | None:
        """Availability over the time that was seen."""
        return self.now.seen if self.now else None

    @property
    def rank(self) -> tuple[float, str]:
        """The most spent budget first, then the least available; what is unknown last."""
        if self.now is None:
            return (9e9, self.service)
        used = self.budget.used if self.budget and self.budget.used is not None else 0.0
        return (-used if used else self.now.seen, self.service)


@sections.register("availability", Settings, order=20)
def availability(view: View, settings: Settings) -> Section:
    """Availability per service with SLO and error budget, with and without blind time."""
    words = view.words
    title = words.say("availability.title")
    standings = sorted(standings_of(view, settings), key=lambda standing: standing.rank)
    known = [standing for standing in standings if standing.now]
    if not known:
        return Section(title, why=view.why_nothing("availability"))
    first = known[0]
    label = words.say("availability.figure", service=first.service)
    before = first.before.seen if first.before else None
    broken = [s for s in known if s.light is Light.RED]
    return Section(
        title,
        finding=_finding(view, known, broken),
        light=_overall(standings),
        figures=(comparisons.share(words, label, first.seen, before, 3),),
        asks=tuple(words.say("availability.ask", service=s.service) for s in broken[:2]),
        notes=_notes(view, standings),
        charts=(_chart(view, known),),
        tables=(_table(view, standings),),
    )


def standings_of(view: View, settings: Settings) -> list[Standing]:
    """Every service that was measured or promised."""
    now, before = _measured(view, view.grid), _measured(view, view.grid_before, before=True)
    return [
        _standing(view, settings, service, now.get(service), before.get(service))
        for service in sorted({*now, *view.facts.slo})
    ]


Measured = tuple[Availability | None, tuple[float | None, ...]]


def _measured(view: View, points: Grid, *, before: bool = False) -> dict[str, Measured]:
    """Availability by service: from counters where there are any requests, else from the recorded ratio."""
    ask = {name: view.series("availability", name, before=before) for name in ("good", "total", "ratio")}
    good, total, ratio = (figures.by_label(ask[name], "service") for name in ("good", "total", "ratio"))
    found: dict[str, Measured] = {}
    for service in sorted({*total, *ratio}):
        every = figures.total(total.get(service, ()), points)
        fine = figures.total(good.get(service, ()), points)
        result = figures.from_counts(fine, every, points)
        values = tuple(figures.ratio_of(fine, every))
        if result is None:
            recorded = figures.total(ratio.get(service, ())[:1], points)
            result, values = figures.from_ratios(recorded, points), tuple(recorded)
        found[service] = (result, values)
    return found


def _standing(
    view: View, settings: Settings, service: str, now: Measured | None, before: Measured | None
) -> Standing:
    result, values = now or (None, ())
    promised = view.facts.slo.get(service)
    slo = promised / 100 if promised is not None else None
    spent = figures.budget(result.seen, slo, _seconds(view)) if result and slo is not None else None
    light = Light.NONE
    if result and spent:
        blind_kept = figures.budget(result.with_blind, spent.slo, _seconds(view)).kept
        tight = not blind_kept or (spent.used or 0.0) > settings.tight
        light = Light.RED if not spent.kept else Light.AMBER if tight else Light.GREEN
    return Standing(service, result, before[0] if before else None, slo, spent, light, values)


def _overall(standings: list[Standing]) -> Light:
    """The worst of what was promised; a promise nobody could measure needs attention, it is not green."""
    light = worst([s.light for s in standings if s.slo is not None])
    promised = any(s.slo is not None for s in standings)
    return Light.AMBER if promised and light is Light.NONE else light


def _seconds(view: View) -> float:
    return (view.facts.until - view.facts.start).total_seconds()


def _finding(view: View, known: list[Standing], broken: list[Standing]) -> str:
    words, first = view.words, known[0]
    promised = [s for s in known if s.slo is not None]
    figure = words.percent(first.seen, 3)
    if not promised:
        return words.say("availability.no_slo", service=first.service, value=figure)
    if not broken:
        return words.say("availability.kept", n=len(promised), service=first.service, value=figure)
    return words.say(
        "availability.broken",
        service=first.service,
        value=figure,
        slo=words.percent(first.slo, 3),
        down=words.length(first.budget.spent_seconds if first.budget else None),
    )


def _notes(view: View, standings: list[Standing]) -> tuple[str, ...]:
    words = view.words
    notes = [words.say("availability.unseen", service=s.service) for s in standings if not s.now]
    if any(s.now and s.now.coverage.gaps for s in standings):
        notes.append(words.say("availability.blind_note"))
    return tuple(notes)


def _chart(view: View, known: list[Standing]) -> charts.Chart:
    words, shown = view.words, known[: len(charts.LINES)]
    lines = [marks.line(view, s.service, s.ratios) for s in shown]
    low = min(
        (
            (value, time, line.name)
            for line in lines
            for value, time in zip(line.values, line.times, strict=True)
            if value is not None
        ),
        default=None,
    )
    name = words.say("common.list_join").join(line.name for line in lines)
    caption = words.say("availability.caption_none")
    if low:
        caption = words.say(
            "availability.caption", service=low[2], value=words.percent(low[0], 1), at=words.moment(low[1])
        )
    first = shown[0]
    gaps = first.now.coverage.gaps if first.now else ()
    limit = (first.slo, f"SLO {words.percent(first.slo, 2)}") if first.slo is not None else None
    return charts.time_series(
        lines,
        words,
        marks.window(view),
        lambda value: words.percent(value, 1),
        bands=marks.bands(view, {s.service for s in shown}),
        gaps=gaps,
        limit=limit,
        ceiling=1.0,
        alt=words.say("availability.alt", services=name, caption=caption),
        caption=caption,
    )


def _table(view: View, standings: list[Standing]) -> Table:
    words = view.words
    heads = ("service", "seen", "with_blind", "slo", "budget", "change")
    columns = tuple(Column(words.say(f"availability.{head}"), head != "service") for head in heads)
    rows = []
    for s in standings:
        before = s.before.seen if s.before else None
        moved = comparisons.share(words, "", s.seen, before, 3).change
        rows.append(
            (
                s.service or "–",
                words.percent(s.seen, 3),
                words.percent(s.now.with_blind if s.now else None, 3),
                words.percent(s.slo, 2),
                words.percent(s.budget.used if s.budget else None, 0),
                moved if s.now else "–",
            )
        )
    return Table(words.say("availability.table"), columns, rows, tuple(s.light for s in standings))
