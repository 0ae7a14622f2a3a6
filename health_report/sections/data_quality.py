"""How much was seen, what was not, how figures are defined, and the hash of the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.registry import sections
from health_report import figures
from health_report.facts import Result
from health_report.figures import Coverage, Gap
from health_report.section import Column, Light, Section, SectionSettings, Table, View, reason

DEFINITIONS = (
    "availability",
    "blind",
    "budget",
    "p95",
    "load",
    "times",
    "attainment",
    "month",
    "coverage",
)


class Settings(SectionSettings, frozen=True):
    """`enough`: share of the period that must have been seen to be shown green."""

    enough: float = 0.99
    longest_gaps: int = 10


@dataclass(frozen=True)
class Seen:
    """One query and how much of the period it told about."""

    result: Result
    coverage: Coverage

    @property
    def name(self) -> str:
        """The query as queries.yml names it."""
        return f"{self.result.question.section}.{self.result.question.name}"


@sections.register("data_quality", Settings, order=900)
def data_quality(view: View, settings: Settings) -> Section:
    """Coverage, gaps, failed queries, definitions and evidence."""
    words = view.words
    seen = _seen(view)
    known = [one for one in seen if one.coverage.counted + one.coverage.idle]
    failed = [result for result in view.facts.results if result.error]
    troubled = [result for result in view.facts.results if result.error or result.warnings]
    blind = max((one.coverage.blind_seconds for one in known), default=0.0)
    share = min((one.coverage.share or 0.0 for one in known), default=None)
    fine = share is not None and share >= settings.enough and not troubled
    light = Light.NONE if share is None else Light.GREEN if fine else Light.AMBER
    asked = light is Light.AMBER and blind > 0
    return Section(
        words.say("data_quality.title"),
        finding=_finding(view, share, blind, failed),
        light=light,
        asks=(words.say("data_quality.ask", length=words.length(blind)),) if asked else (),
        notes=_evidence(view) + tuple(words.say(f"data_quality.define_{name}") for name in DEFINITIONS),
        tables=tuple(_tables(view, settings, seen, known, troubled)),
    )


def _seen(view: View) -> list[Seen]:
    """Coverage of every query over time: a point counts as seen when any series has it."""
    found = []
    for result in view.facts.results:
        if result.question.before or result.question.kind != "range" or result.error:
            continue
        values = figures.total(result.series, view.grid)
        found.append(Seen(result, figures.coverage(values, view.grid)))
    return found


def _finding(view: View, share: float | None, blind: float, failed: list[Result]) -> str:
    words = view.words
    if share is None:
        key = "nothing_failed" if failed else "nothing"
        said = reason(failed[0].error) if failed else ""
        return words.say(f"data_quality.{key}", said=said)
    text = words.say("data_quality.seen", share=words.percent(share, 2), length=words.length(blind))
    return text + words.say("data_quality.failed", n=len(failed)) if failed else text


def _evidence(view: View) -> tuple[str, ...]:
    words, facts = view.words, view.facts
    notes = [
        words.say("data_quality.hash", hash=view.revision),
        words.say("data_quality.config", version=facts.config_version or "–"),
        words.say("data_quality.asked", n=len(facts.results), zone=words.zone_name()),
    ]
    if facts.until < facts.end:
        notes.insert(0, words.say("data_quality.cut", at=words.moment(facts.until, year=True)))
    return tuple(notes)


def _tables(
    view: View, settings: Settings, seen: list[Seen], known: list[Seen], troubled: list[Result]
) -> list[Table]:
    tables = []
    if troubled:
        tables.append(_troubles(view, troubled))
    if seen:
        tables.append(_coverages(view, settings, seen))
    gaps = _gaps(known)
    if gaps:
        tables.append(_longest(view, gaps, settings.longest_gaps))
    return tables


def _coverages(view: View, settings: Settings, seen: list[Seen]) -> Table:
    words = view.words
    heads = ("query", "series", "share", "gaps", "blind")
    columns = tuple(Column(words.say(f"data_quality.{head}"), head != "query") for head in heads)
    rows, lights = [], []
    for one in seen:
        empty = not one.result.series
        share = one.coverage.share
        cells = (
            words.number(len(one.result.series)),
            words.say("data_quality.no_series") if empty else words.percent(share, 2),
            "–" if empty else words.number(len(one.coverage.gaps)),
            "–" if empty else words.length(one.coverage.blind_seconds),
        )
        rows.append((one.name, *cells))
        enough = share is not None and share >= settings.enough
        lights.append(Light.NONE if empty else Light.GREEN if enough else Light.AMBER)
    return Table(words.say("data_quality.table_coverage"), columns, rows, tuple(lights))


def _troubles(view: View, troubled: list[Result]) -> Table:
    words = view.words
    columns = tuple(Column(words.say(f"data_quality.{head}")) for head in ("query", "period", "said"))
    rows = []
    for result in troubled:
        period = "data_quality.before" if result.question.before else "data_quality.now"
        said = result.error or "; ".join(result.warnings)
        name = f"{result.question.section}.{result.question.name}"
        rows.append((name, words.say(period), reason(said)))
    return Table(words.say("data_quality.table_troubles"), columns, rows)


def _gaps(known: list[Seen]) -> list[tuple[Gap, str]]:
    """Gaps by length; a gap that several queries share is listed once, with all their names."""
    found: dict[Gap, list[str]] = {}
    for one in known:
        for gap in one.coverage.gaps:
            found.setdefault(gap, []).append(one.name)
    ranked = sorted(found.items(), key=lambda item: (-item[0].seconds, item[0].start))
    return [(gap, ", ".join(names)) for gap, names in ranked]


def _longest(view: View, gaps: list[tuple[Gap, str]], most: int) -> Table:
    words = view.words
    heads = ("from", "to", "length", "queries")
    columns = tuple(Column(words.say(f"data_quality.{head}"), head == "length") for head in heads)
    rows = [
        (words.moment(gap.start), words.moment(gap.end), words.length(gap.seconds), names)
        for gap, names in gaps[:most]
    ]
    return Table(words.say("data_quality.table_gaps", n=len(gaps)), columns, rows)
