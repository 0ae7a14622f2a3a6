"""Charts as SVG text: one idea each, labelled directly, readable in greyscale. No network, no shared state.

Figures are built directly and never through pyplot, which is one global figure. Text stays text, so a
reader can search it and the PDF embeds the fonts. Labels come from strangers: a dollar sign is no formula.
"""

from __future__ import annotations

import io
import logging
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from health_report.figures import Gap
from health_report.words import Words, shown

INK, QUIET, BAND = "#1b1f24", "#6a737d", "#b9c0c8"
LINES: tuple[tuple[str, str, float], ...] = (
    ("#0b3d6e", "-", 1.3),
    ("#b4530a", "--", 1.3),
    ("#3f8f5f", "-.", 1.3),
    ("#7a7a7a", ":", 1.6),
)
FONTS = ["Noto Sans CJK SC", "Noto Sans CJK JP", "DejaVu Sans", "sans-serif"]
LABEL = 28
_WIDTH = 6.7
_lock = threading.Lock()

# A font that is not installed is only missed when widths are measured; the page names its own fallbacks.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "text.usetex": False,
        "font.family": FONTS,
        "font.size": 8,
        "axes.unicode_minus": False,
        "hatch.linewidth": 0.6,
        "path.simplify": True,
    }
)


@dataclass(frozen=True)
class Chart:
    """A drawing. `alt` says in words what it shows; `caption` what to see in it."""

    svg: Markup
    alt: str
    caption: str


@dataclass(frozen=True)
class Line:
    """One line: its values stand at `times` (Unix seconds), None leaves a hole."""

    name: str
    times: Sequence[float]
    values: Sequence[float | None]


@dataclass(frozen=True)
class Band:
    """An incident behind the lines, Unix seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Span:
    """One bar of a timeline, with the moment somebody took it up."""

    name: str
    start: float
    end: float
    taken: float | None
    heavy: bool


def time_series(
    lines: Sequence[Line],
    words: Words,
    window: tuple[float, float],
    spell: Callable[[float], str],
    *,
    bands: Sequence[Band] = (),
    gaps: Sequence[Gap] = (),
    limit: tuple[float, str] | None = None,
    ceiling: float | None = None,
    alt: str,
    caption: str,
) -> Chart:
    """Up to four lines over a period, incidents as shaded bands, gaps hatched and named."""
    with _lock:
        figure, axes = _canvas(2.35)
        _days(axes, words, window)
        for (colour, style, width), line in zip(LINES, lines, strict=False):
            values = [float("nan") if value is None else value for value in line.values]
            axes.plot(list(line.times), values, color=colour, linestyle=style, linewidth=width)
        _scale(axes, lines, limit, ceiling)
        _behind(axes, words, window, bands, gaps)
        if limit:
            axes.axhline(limit[0], color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)))
        _name_beside(axes, lines, limit)
        axes.yaxis.set_major_formatter(lambda value, _: spell(value))
        return _finished(figure, alt, caption)


def bars(
    rows: Sequence[tuple[str, float]],
    spell: Callable[[float], str],
    *,
    limit: tuple[float, str] | None = None,
    alt: str,
    caption: str,
) -> Chart:
    """Horizontal bars side by side, the longest first; what is beyond the limit is dark."""
    ranked = sorted(rows, key=lambda row: (-row[1], row[0]))
    with _lock:
        figure, axes = _canvas(0.55 + 0.3 * len(ranked))
        places = range(len(ranked))
        values = [value for _, value in ranked]
        over = [limit is not None and value > limit[0] for value in values]
        colours = ["#9b1c1c" if beyond else "#7d93a8" for beyond in over]
        axes.barh(list(places), values, height=0.62, color=colours)
        for place, value in zip(places, values, strict=True):
            axes.annotate(
                spell(value), (value, place), (4, 0), textcoords="offset points", va="center", color=INK
            )
        axes.set_yticks(list(places), [_label(name) for name, _ in ranked])
        axes.invert_yaxis()
        axes.set_xlim(0, max([*values, limit[0] if limit else 0.0, 1e-9]) * 1.16)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        if limit:
            axes.axvline(limit[0], color=INK, linewidth=0.9, linestyle="--")
            where = blended_transform_factory(axes.transData, axes.transAxes)
            axes.text(limit[0], 1.01, _label(limit[1]), transform=where, ha="center", color=QUIET)
        return _finished(figure, alt, caption)


def timeline(
    spans: Sequence[Span], words: Words, window: tuple[float, float], *, alt: str, caption: str
) -> Chart:
    """When each incident began and ended; a dot is where somebody took it up."""
    with _lock:
        figure, axes = _canvas(0.6 + 0.22 * max(len(spans), 2))
        _days(axes, words, window)
        shortest = (window[1] - window[0]) / 250
        for place, span in enumerate(spans):
            start, end = max(span.start, window[0]), min(span.end, window[1])
            length = max(end - start, shortest)
            axes.barh(place, length, left=start, height=0.56, color="#9b1c1c" if span.heavy else "#a9b4bf")
            if span.taken is not None and window[0] <= span.taken <= window[1]:
                axes.plot([span.taken], [place], "o", markersize=3.4, color="white", markeredgecolor=INK)
        axes.set_yticks(range(len(spans)), [_label(span.name) for span in spans])
        axes.set_ylim(max(len(spans), 2) - 0.4, -0.6)
        return _finished(figure, alt, caption)


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(BAND)
    axes.tick_params(length=0, colors=QUIET, labelsize=7.5)
    return figure, axes


def _days(axes: Axes, words: Words, window: tuple[float, float]) -> None:
    """A tick at local midnight of about every fifth day: days are the client's, not UTC's."""
    axes.set_xlim(*window)
    day: datetime = words.local(window[0]).replace(hour=0, minute=0, second=0, microsecond=0)
    days: list[datetime] = []
    while day.timestamp() <= window[1]:
        days.append(day)
        day += timedelta(days=1)
    every = max(1, round(len(days) / 7))
    kept = [one for one in days[::every] if one.timestamp() >= window[0] - 1]
    axes.set_xticks([one.timestamp() for one in kept], [words.day(one) for one in kept])


def _scale(axes: Axes, lines: Sequence[Line], limit: tuple[float, str] | None, ceiling: float | None) -> None:
    known = [v for line in lines for v in line.values if v is not None]
    known += [limit[0]] if limit else []
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if ceiling is None:
        axes.set_ylim(0, high * 1.15 or 1.0)
    else:
        room = max(ceiling - low, 0.002)
        axes.set_ylim(ceiling - room * 1.12, ceiling + room * 0.04)
    axes.grid(axis="y", color="#e6e9ec", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="y", nbins=5)


def _behind(
    axes: Axes, words: Words, window: tuple[float, float], bands: Sequence[Band], gaps: Sequence[Gap]
) -> None:
    width = window[1] - window[0]
    where = blended_transform_factory(axes.transData, axes.transAxes)
    named: list[float] = []
    for band in bands:
        start, end = max(band.start, window[0]), min(max(band.end, band.start + width / 300), window[1])
        axes.axvspan(start, end, color=BAND, alpha=0.55, linewidth=0, zorder=0.5)
        if all(abs(start - other) > width / 12 for other in named):
            axes.text(start, 1.0, _label(band.name, 12), transform=where, va="bottom", fontsize=7, color=INK)
            named.append(start)
    longest = sorted(gaps, key=lambda gap: -gap.seconds)[:3]
    for gap in gaps:
        start, end = gap.start, max(gap.end, gap.start + width / 300)
        axes.axvspan(start, end, facecolor="white", edgecolor=QUIET, hatch="/////", linewidth=0.4, zorder=1)
        if gap in longest and gap.seconds >= 900:
            name = words.say("charts.gap", length=words.length(gap.seconds))
            left = start > window[0] + width * 0.75
            place = start - width / 150 if left else end + width / 150
            side = "right" if left else "left"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            axes.text(place, 0.05, name, transform=where, ha=side, fontsize=7, color=INK, zorder=4, bbox=box)


def _name_beside(axes: Axes, lines: Sequence[Line], limit: tuple[float, str] | None) -> None:
    """Names in the right margin at their line's end, moved apart and kept inside the chart."""
    low, high = axes.get_ylim()
    ends = [(limit[0], QUIET, _label(limit[1], 24))] if limit else []
    if len(lines) > 1:
        for (colour, style, _), line in zip(LINES, lines, strict=False):
            known = [value for value in line.values if value is not None]
            mark = {"-": "—", "--": "- -", "-.": "-·", ":": "···"}[style]
            ends.append((known[-1] if known else low, colour, f"{mark} {_label(line.name, 16)}"))
    apart = (high - low) * 0.1
    places: list[float] = []
    for value, _, _ in sorted(ends):
        places.append(max(value, places[-1] + apart) if places else value)
    ceiling = high
    for number in reversed(range(len(places))):
        places[number] = min(places[number], ceiling)
        ceiling = places[number] - apart
    for place, (_, colour, text) in zip(places, sorted(ends), strict=True):
        _beside(axes, place, text, colour)


def _beside(axes: Axes, value: float, text: str, colour: str) -> None:
    axes.annotate(
        text,
        (1.0, value),
        (4, 0),
        xycoords=blended_transform_factory(axes.transAxes, axes.transData),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=colour,
        annotation_clip=False,
    )


def _label(text: str, limit: int = LABEL) -> str:
    return shown(text, limit) or "–"


def _finished(figure: Figure, alt: str, caption: str) -> Chart:
    alt = shown(alt)
    return Chart(_svg(figure, alt), alt, shown(caption))


def _svg(figure: Figure, alt: str) -> Markup:
    """The drawing as an element for the page: named for screen readers, without ids of its own."""
    stream = io.StringIO()
    # A character no font of this machine has is a matter for the reader's fonts, not for a warning here.
    with mpl.rc_context({"svg.hashsalt": alt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # matplotlib's style rule would reach the whole page, and group ids repeat from chart to chart.
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text))
    opening = text.index(">") + 1
    head = text[: opening - 1] + ' role="img" stroke-linejoin="round" stroke-linecap="butt">'
    # matplotlib escapes every label it writes; the only text added here is escaped by Markup.
    return Markup(head + "<title>{}</title>").format(alt) + Markup(text[opening:])  # noqa: S704
