"""Payment channels: how many payments went through, how fast, and how many were tried, per gateway."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bridge.registry import sections
from health_report import charts, comparisons, figures, marks
from health_report.figures import Grid, Values
from health_report.section import Column, Figure, Light, Section, SectionSettings, Table, View, worst


class Settings(SectionSettings, frozen=True):
    """Shares of successful payments below which a gateway is amber or red; `slow`: p95 in seconds."""

    amber: float = 0.99
    red: float = 0.97
    slow: float = 3.0


@dataclass(frozen=True)
class Channel:
    """One gateway over a period. `volume` is the number of payments tried, `failed` of them."""

    gateway: str
    success: float | None
    volume: float | None
    failed: float | None
    p95: float | None
    ratios: tuple[float | None, ...]
    latencies: tuple[float | None, ...]
    coverage: figures.Coverage


@sections.register("payments", Settings, order=30)
def payments(view: View, settings: Settings) -> Section:
    """Success, latency and volume per payment gateway."""
    words = view.words
    title = words.say("payments.title")
    now = sorted(channels_of(view, view.grid), key=_rank)
    known = [channel for channel in now if channel.success is not None or channel.p95 is not None]
    if not known:
        return Section(title, why=view.why_nothing("payments"))
    before = {c.gateway: c for c in channels_of(view, view.grid_before, before=True)}
    lights = {channel.gateway: _light(channel, settings) for channel in now}
    poor = [channel for channel in known if lights[channel.gateway] is Light.RED]
    return Section(
        title,
        finding=_finding(view, known, lights),
        light=worst(list(lights.values())),
        figures=_figures(view, known, before),
        asks=tuple(words.say("payments.ask", gateway=channel.gateway) for channel in poor[:1]),
        charts=tuple(_charts(view, settings, known)),
        tables=(_table(view, now, before, lights),),
    )


def channels_of(view: View, points: Grid, *, before: bool = False) -> list[Channel]:
    """Every gateway that was measured in a period."""
    names = ("ok", "requests", "success_recorded", "rate_recorded", "p95")
    found = {n: figures.by_label(view.series("payments", n, before=before), "gateway") for n in names}
    month = {
        sample.labels.get("gateway", ""): sample.value
        for sample in view.samples("payments", "p95_month", before=before)
    }
    gateways = sorted({gateway for groups in found.values() for gateway in groups} | set(month))
    return [
        _channel(
            gateway,
            {name: figures.total(found[name].get(gateway, ()), points) for name in names},
            month.get(gateway),
            points,
        )
        for gateway in gateways
    ]


def _channel(gateway: str, values: dict[str, Values], p95: float | None, points: Grid) -> Channel:
    counted = figures.from_counts(values["ok"], values["requests"], points)
    ratios = figures.ratio_of(values["ok"], values["requests"]) if counted else values["success_recorded"]
    kept = counted or figures.from_ratios(ratios, points)
    rates = [rate * points.step for rate in figures.numbers(values["rate_recorded"])]
    tried = figures.numbers(values["requests"]) if counted else rates
    volume = sum(tried) if tried else None
    if p95 is None or not math.isfinite(p95):
        # Without a histogram over the month: the median of what was recorded, never a mean of percentiles.
        p95 = figures.percentile(values["p95"], 0.5)
    return Channel(
        gateway,
        kept.seen if kept else None,
        volume,
        volume * (1 - kept.seen) if volume is not None and kept else None,
        p95,
        tuple(ratios),
        tuple(values["p95"]),
        figures.coverage(ratios, points),
    )


def _rank(channel: Channel) -> tuple[float, str]:
    return (channel.success if channel.success is not None else 2.0, channel.gateway)


def _light(channel: Channel, settings: Settings) -> Light:
    if channel.success is None:
        return Light.NONE
    if channel.success < settings.red:
        return Light.RED
    slow = channel.p95 is not None and channel.p95 > settings.slow
    return Light.AMBER if slow or channel.success < settings.amber else Light.GREEN


def _whole(channels: list[Channel]) -> float | None:
    """Success over all gateways, weighted by volume; None unless every volume is known."""
    known = [c for c in channels if c.success is not None]
    if any(c.volume is None for c in known) or not sum(c.volume or 0 for c in known):
        return None
    return 1 - sum(c.failed or 0 for c in known) / sum(c.volume or 0 for c in known)


def _figures(view: View, known: list[Channel], before: dict[str, Channel]) -> tuple[Figure, ...]:
    words = view.words
    slowest = max(known, key=lambda c: c.p95 if c.p95 is not None else -1.0)
    success = comparisons.share(
        words, words.say("payments.figure_success"), _whole(known), _whole(list(before.values())), 2
    )
    label = words.say("payments.figure_p95", gateway=slowest.gateway)
    earlier = before.get(slowest.gateway)
    return success, comparisons.seconds(words, label, slowest.p95, earlier.p95 if earlier else None)


def _finding(view: View, known: list[Channel], lights: dict[str, Light]) -> str:
    words, first = view.words, known[0]
    value = words.percent(first.success, 2)
    if lights[first.gateway] in (Light.RED, Light.AMBER):
        failed = words.number(first.failed)
        return words.say("payments.weak", gateway=first.gateway, value=value, failed=failed)
    return words.say("payments.fine", n=len(known), gateway=first.gateway, value=value)


def _charts(view: View, settings: Settings, known: list[Channel]) -> list[charts.Chart]:
    words, shown = view.words, known[: len(charts.LINES)]
    names = words.say("common.list_join").join(channel.gateway for channel in shown)
    drawn = []
    if any(figures.numbers(channel.ratios) for channel in shown):
        caption = words.say("payments.caption_success", gateway=shown[0].gateway)
        drawn.append(
            charts.time_series(
                [marks.line(view, channel.gateway, channel.ratios) for channel in shown],
                words,
                marks.window(view),
                lambda value: words.percent(value, 1),
                bands=marks.bands(view),
                gaps=shown[0].coverage.gaps,
                ceiling=1.0,
                alt=words.say("payments.alt_success", gateways=names, caption=caption),
                caption=caption,
            )
        )
    timed = [channel for channel in shown if figures.numbers(channel.latencies)]
    if timed:
        slowest = max(timed, key=lambda c: c.p95 if c.p95 is not None else -1.0)
        caption = words.say("payments.caption_p95", gateway=slowest.gateway, value=words.seconds(slowest.p95))
        drawn.append(
            charts.time_series(
                [marks.line(view, channel.gateway, channel.latencies) for channel in timed],
                words,
                marks.window(view),
                words.seconds,
                bands=marks.bands(view),
                gaps=figures.coverage(timed[0].latencies, view.grid).gaps,
                limit=(settings.slow, words.say("payments.limit", value=words.seconds(settings.slow))),
                alt=words.say("payments.alt_p95", gateways=names, caption=caption),
                caption=caption,
            )
        )
    return drawn


def _table(
    view: View, channels: list[Channel], before: dict[str, Channel], lights: dict[str, Light]
) -> Table:
    words = view.words
    heads = ("gateway", "success", "change", "failed", "volume", "p95")
    columns = tuple(Column(words.say(f"payments.{head}"), head != "gateway") for head in heads)
    rows = []
    for channel in channels:
        earlier = before.get(channel.gateway)
        moved = comparisons.share(words, "", channel.success, earlier.success if earlier else None)
        rows.append(
            (
                channel.gateway or "–",
                words.percent(channel.success, 2),
                moved.change,
                words.number(channel.failed),
                words.number(channel.volume),
                words.seconds(channel.p95),
            )
        )
    marked = tuple(lights[channel.gateway] for channel in channels)
    return Table(words.say("payments.table"), columns, rows, marked)
