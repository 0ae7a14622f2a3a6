"""Incidents of the period: what happened, how fast people reacted, which promises were kept."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.registry import sections
from health_report import charts, comparisons, marks, service_levels
from health_report.facts import IncidentRecord
from health_report.section import (
    Column,
    Figure,
    Light,
    Section,
    SectionSettings,
    Table,
    View,
    opened_between,
)
from health_report.service_levels import Attainment, Breach


class Settings(SectionSettings, frozen=True):
    """`drawn`: how many incidents the timeline shows; `listed`: how many the table does."""

    drawn: int = 20
    listed: int = 200


@sections.register("incidents", Settings, order=80)
def incidents(view: View, settings: Settings) -> Section:
    """Incidents with times to react, service levels per target and every breach explained."""
    words = view.words
    opened, shown = view.opened, view.facts.incidents
    attained = service_levels.attainment(opened, view.facts.until)
    breaches = [breach for target in attained for breach in target.breaches]
    still_open = [i for i in shown if i.resolved_at is None and i.priority in ("P1", "P2")]
    return Section(
        words.say("incidents.title"),
        finding=_finding(view, opened, breaches),
        light=_light(breaches),
        figures=_figures(view, opened),
        asks=tuple(words.say("incidents.ask_open", name=i.name, title=i.title) for i in still_open[:2]),
        notes=_notes(view),
        charts=(_chart(view, settings, shown),) if shown else (),
        tables=tuple(_tables(view, settings, attained, breaches)),
    )


def _notes(view: View) -> tuple[str, ...]:
    reaching = len(view.facts.incidents) - len(view.opened)
    return (view.words.say("incidents.reaching", n=reaching),) if reaching else ()


def _light(breaches: Sequence[Breach]) -> Light:
    if any(breach.incident.priority == "P1" for breach in breaches):
        return Light.RED
    return Light.AMBER if breaches else Light.GREEN


def _finding(view: View, opened: Sequence[IncidentRecord], breaches: Sequence[Breach]) -> str:
    words = view.words
    if not opened:
        return words.say("incidents.none")
    urgent = sum(1 for incident in opened if incident.priority == "P1")
    text = words.say("incidents.some", n=len(opened), urgent=words.number(urgent))
    restored = service_levels.restore([i for i in opened if i.priority == "P1"])
    if restored:
        text += words.say("incidents.restored", length=words.length(restored.seconds))
    return text + words.say("incidents.broken" if breaches else "incidents.kept", n=len(breaches))


def _figures(view: View, opened: Sequence[IncidentRecord]) -> tuple[Figure, ...]:
    words, facts = view.words, view.facts
    before = opened_between(facts.incidents_before, facts.before, facts.start)
    now, then = service_levels.restore(opened), service_levels.restore(before)
    label = words.say("incidents.figure_restore")
    seconds = (now.seconds if now else None, then.seconds if then else None)
    return (
        comparisons.count(words, words.say("incidents.figure_count"), len(opened), len(before)),
        comparisons.length(words, label, *seconds),
    )


def _chart(view: View, settings: Settings, shown: Sequence[IncidentRecord]) -> charts.Chart:
    words = view.words
    until = view.facts.until
    urgent = sorted(shown, key=lambda i: (i.priority, i.began_at))[: settings.drawn]
    spans = [
        charts.Span(
            f"{i.name} {i.priority}",
            i.began_at.timestamp(),
            (i.resolved_at or until).timestamp(),
            i.acknowledged_at.timestamp() if i.acknowledged_at else None,
            heavy=i.priority == "P1",
        )
        for i in sorted(urgent, key=lambda i: (i.began_at, i.number))
    ]
    longest = max(urgent, key=lambda i: (i.resolved_at or until) - i.began_at)
    length = words.length(((longest.resolved_at or until) - longest.began_at).total_seconds())
    caption = words.say("incidents.caption", name=longest.name, length=length)
    alt = words.say("incidents.alt", n=len(spans), caption=caption)
    return charts.timeline(spans, words, marks.window(view), alt=alt, caption=caption)


def _tables(
    view: View, settings: Settings, attained: Sequence[Attainment], breaches: Sequence[Breach]
) -> list[Table]:
    tables = []
    if attained:
        tables.append(_attained(view, attained))
    if breaches:
        tables.append(_breaches(view, breaches))
    if view.opened:
        tables.append(_reaction(view))
    if view.facts.incidents:
        tables.append(_list(view, settings))
    return tables


def _attained(view: View, attained: Sequence[Attainment]) -> Table:
    words = view.words
    heads = ("promise", "met", "breached", "undecided", "kept_share")
    columns = tuple(Column(words.say(f"incidents.{head}"), head != "promise") for head in heads)
    rows = [
        (
            f"{a.priority} · {words.target(a.target)}",
            words.number(a.met),
            words.number(len(a.breaches)),
            words.number(a.undecided),
            words.percent(a.share, 1),
        )
        for a in attained
    ]
    none = Light.NONE
    lights = [Light.RED if a.breaches else Light.GREEN if a.share is not None else none for a in attained]
    return Table(words.say("incidents.table_targets"), columns, rows, tuple(lights))


def _breaches(view: View, breaches: Sequence[Breach]) -> Table:
    words = view.words
    heads = ("incident", "promise", "due", "late", "cause")
    columns = tuple(Column(words.say(f"incidents.{head}"), head == "late") for head in heads)
    rows = [
        (
            f"{b.incident.name} {b.incident.title}",
            words.target(b.clock.target),
            words.moment(b.clock.due_at),
            words.length(b.late_seconds) + ("" if b.clock.stopped_at else words.say("incidents.so_far")),
            b.incident.cause or words.say("incidents.no_cause"),
        )
        for b in breaches
    ]
    return Table(words.say("incidents.table_breaches"), columns, rows)


def _reaction(view: View) -> Table:
    words = view.words
    heads = ("priority", "count", "mttd", "mtta", "mttr")
    columns = tuple(Column(words.say(f"incidents.{head}"), head != "priority") for head in heads)
    rows = []
    for priority in sorted({incident.priority for incident in view.opened}):
        own = [incident for incident in view.opened if incident.priority == priority]
        means = [f(own) for f in (service_levels.detect, service_levels.acknowledge, service_levels.restore)]
        lengths = [words.length(mean.seconds) if mean else "–" for mean in means]
        rows.append((priority, words.number(len(own)), *lengths))
    return Table(words.say("incidents.table_reaction"), columns, rows)


def _list(view: View, settings: Settings) -> Table:
    words, listed = view.words, view.facts.incidents[: settings.listed]
    heads = ("incident", "service", "began", "lasted", "alerts", "what_was_done")
    columns = tuple(Column(words.say(f"incidents.{head}"), head in ("lasted", "alerts")) for head in heads)
    rows = [
        (
            f"{i.priority} {i.name} {i.title}",
            i.service,
            words.moment(i.began_at),
            words.length((i.resolved_at - i.began_at).total_seconds())
            if i.resolved_at
            else words.say("incidents.open"),
            words.number(i.alerts),
            _done(view, i),
        )
        for i in listed
    ]
    return Table(words.say("incidents.table_list"), columns, rows)


def _done(view: View, incident: IncidentRecord) -> str:
    words = view.words
    runs = [
        words.say("incidents.failover", plan=r.plan, state=words.state(r.state), mode=words.mode(r.mode))
        for r in incident.failovers
    ]
    return words.say("common.list_join").join([*runs, incident.cause] if incident.cause else runs) or "–"
