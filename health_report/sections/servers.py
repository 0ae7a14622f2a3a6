"""Server load by region, side by side: an overloaded region is seen before it fails."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.registry import sections
from health_report import charts, figures, marks
from health_report.figures import Grid
from health_report.section import Column, Light, Section, SectionSettings, Table, View, worst

WEEK = 7 * 86_400


class Settings(SectionSettings, frozen=True):
    """Load per core above which a region is busy or overloaded, at its 95th percentile."""

    busy: float = 0.7
    overloaded: float = 1.0
    apart: float = 1.8


@dataclass(frozen=True)
class Region:
    """One region. Loads are per core when cores are known, else per host; times in seconds."""

    name: str
    p95: float
    typical: float
    overloaded_seconds: float
    first_week: float | None
    last_week: float | None
    busy: float | None
    hosts: float | None
    values: tuple[float | None, ...]
    light: Light


@sections.register("servers", Settings, order=40)
def servers(view: View, settings: Settings) -> Section:
    """Load of every region against its cores, with the hosts that work hardest."""
    words = view.words
    title = words.say("servers.title")
    per_core = bool(view.series("servers", "cores"))
    regions = _regions(view, settings, view.grid, per_core=per_core)
    if not regions:
        return Section(title, why=view.why_nothing("servers"))
    before = _p95s(view, view.grid_before, per_core=per_core, before=True)
    hot = [region for region in regions if region.light in (Light.RED, Light.AMBER)]
    return Section(
        title,
        finding=_finding(view, regions),
        light=worst([region.light for region in regions]),
        asks=tuple(words.say("servers.ask", region=region.name) for region in hot[:1]),
        notes=() if per_core else (words.say("servers.no_cores"),),
        charts=_charts(view, settings, regions, per_core=per_core),
        tables=_tables(view, regions, before),
    )


Loads = dict[str, tuple[float | None, ...]]


def _loads(view: View, points: Grid, *, per_core: bool, before: bool = False) -> Loads:
    """Load by region on the grid, divided by cores where they are known."""
    load = figures.by_label(view.series("servers", "load", before=before), "region")
    cores = figures.by_label(view.series("servers", "cores", before=before), "region")
    found: Loads = {}
    for region, series in load.items():
        values = figures.total(series[:1], points)
        if per_core:
            # A region's cores hardly change: the median bridges moments in which only one of both is known.
            count = figures.percentile(figures.total(cores.get(region, ())[:1], points), 0.5)
            values = [v / count if v is not None and count else None for v in values]
        if figures.numbers(values):
            found[region] = tuple(values)
    return found


def _p95s(view: View, points: Grid, *, per_core: bool, before: bool) -> dict[str, float | None]:
    loads = _loads(view, points, per_core=per_core, before=before)
    return {region: figures.percentile(values, 0.95) for region, values in loads.items()}


def _regions(view: View, settings: Settings, points: Grid, *, per_core: bool) -> list[Region]:
    busy = figures.by_label(view.series("servers", "busy"), "region")
    hosts = {s.labels.get("region", ""): s.value for s in view.samples("servers", "hosts")}
    loads = _loads(view, points, per_core=per_core)
    peaks = {name: figures.percentile(values, 0.95) or 0.0 for name, values in loads.items()}
    week = int(WEEK // points.step)
    found = []
    for name, values in loads.items():
        others = figures.percentile([peak for other, peak in peaks.items() if other != name], 0.5)
        over = sum(1 for v in figures.numbers(values) if per_core and v > settings.overloaded)
        two_weeks = len(values) >= 2 * week
        found.append(
            Region(
                name or "–",
                peaks[name],
                figures.percentile(values, 0.5) or 0.0,
                over * points.step,
                figures.mean(values[:week]) if two_weeks else None,
                figures.mean(values[-week:]) if two_weeks else None,
                figures.mean(figures.total(busy.get(name, ())[:1], points)),
                hosts.get(name),
                values,
                _light(settings, peaks[name], others, per_core=per_core),
            )
        )
    return sorted(found, key=lambda region: (-region.p95, region.name))


def _light(settings: Settings, peak: float, others: float | None, *, per_core: bool) -> Light:
    apart = others is not None and others > 0 and peak > others * settings.apart
    if not per_core:
        return Light.AMBER if apart else Light.NONE
    if peak > settings.overloaded:
        return Light.RED
    # Standing apart from the others only matters where there is work to speak of.
    return Light.AMBER if peak > settings.busy or (apart and peak > settings.busy / 2) else Light.GREEN


def _finding(view: View, regions: list[Region]) -> str:
    words, first = view.words, regions[0]
    key = {Light.RED: "overloaded", Light.AMBER: "busy"}.get(first.light, "fine")
    text = words.say(
        f"servers.{key}",
        region=first.name,
        value=words.number(first.p95, 2),
        over=words.length(first.overloaded_seconds),
    )
    if len(regions) > 1 and key != "fine":
        value = words.number(regions[-1].p95, 2)
        text += words.say("servers.beside", region=regions[-1].name, value=value)
    moved = figures.change(first.last_week, first.first_week)
    if key != "fine" and moved and moved.relative is not None and moved.relative > 0.1:
        text += words.say("servers.growing", value=words.percent(moved.relative, 0))
    return text if key == "fine" else text + words.say("servers.stop")


def _charts(
    view: View, settings: Settings, regions: list[Region], *, per_core: bool
) -> tuple[charts.Chart, ...]:
    words = view.words
    names = words.say("common.list_join").join(region.name for region in regions)
    limit = (settings.overloaded, words.say("servers.limit")) if per_core else None
    caption = words.say("servers.caption_bars", region=regions[0].name)
    side_by_side = charts.bars(
        [(region.name, region.p95) for region in regions[:12]],
        lambda value: words.number(value, 2),
        limit=limit,
        alt=words.say("servers.alt_bars", regions=names, caption=caption),
        caption=caption,
    )
    shown = regions[: len(charts.LINES)]
    caption = words.say("servers.caption_time", region=regions[0].name)
    over_time = charts.time_series(
        [marks.line(view, region.name, region.values) for region in shown],
        words,
        marks.window(view),
        lambda value: words.number(value, 1),
        gaps=figures.coverage(shown[0].values, view.grid).gaps,
        limit=limit,
        alt=words.say("servers.alt_time", regions=names, caption=caption),
        caption=caption,
    )
    return side_by_side, over_time


def _tables(view: View, regions: list[Region], before: dict[str, float | None]) -> tuple[Table, ...]:
    words = view.words
    heads = ("region", "hosts", "typical", "p95", "before", "over", "busy_share")
    columns = tuple(Column(words.say(f"servers.{head}"), head != "region") for head in heads)
    rows: list[tuple[str, ...]] = [
        (
            r.name,
            words.number(r.hosts),
            words.number(r.typical, 2),
            words.number(r.p95, 2),
            words.number(before.get(r.name), 2),
            words.length(r.overloaded_seconds),
            words.percent(r.busy, 0),
        )
        for r in regions
    ]
    table = Table(words.say("servers.table"), columns, rows, tuple(r.light for r in regions))
    hottest = sorted(view.samples("servers", "hottest"), key=lambda sample: -sample.value)
    if not hottest:
        return (table,)
    about = tuple(Column(words.say(f"servers.{head}"), head == "load") for head in ("host", "region", "load"))
    named: list[tuple[str, ...]] = [
        (s.labels.get("instance", "–"), s.labels.get("region", "–"), words.number(s.value, 2))
        for s in hottest
    ]
    return table, Table(words.say("servers.table_hosts"), about, named)
