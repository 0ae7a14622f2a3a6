"""The whole story on one page: how it went, what happened, what it means, and what we ask for."""

from __future__ import annotations

from bridge.registry import sections
from health_report.section import Column, Light, Section, SectionSettings, Table, View, worst

PROMISES = ("availability", "incidents")
WATCHED = ("payments", "servers")  # nobody promised anything here, so at worst they need attention
FIGURES = 5
ASKS = 4


class Settings(SectionSettings, frozen=True):
    """Nothing to set: the summary repeats what the sections found."""


@sections.register("summary", Settings, order=10)
def summary(view: View, settings: Settings) -> Section:  # noqa: ARG001  every section takes its settings
    """Overall light, three sentences, five figures and what is asked of the client."""
    words, made = view.words, view.later
    light = overall([_weight(name, made[name]) for name in (*PROMISES, *WATCHED) if _judged(made.get(name))])
    figures = tuple(figure for section in made.values() for figure in section.figures)
    asks = tuple(ask for section in made.values() for ask in section.asks)
    return Section(
        words.say("summary.title"),
        finding=words.say(f"summary.light_{light.value}"),
        light=light,
        figures=figures[:FIGURES],
        asks=asks[:ASKS] or (words.say("summary.ask_nothing"),),
        notes=_sentences(view),
        tables=(_lights(view),),
    )


def overall(lights: list[Light]) -> Light:
    """The light over all promises. What is not known keeps it from being green."""
    light = worst(lights)
    known = [one for one in lights if one is not Light.NONE]
    return Light.AMBER if light is Light.NONE and len(known) > 1 else light


def _judged(section: Section | None) -> bool:
    """A section that has data but no measure to judge it by is left out; one without data is not."""
    return section is not None and (bool(section.why) or section.light is not Light.NONE)


def _weight(name: str, section: Section) -> Light:
    return Light.AMBER if name in WATCHED and section.light is Light.RED else section.light


def _sentences(view: View) -> tuple[str, ...]:
    """Three plain sentences: how it went, what happened, what deserves attention next."""
    made, words = view.later, view.words
    told = [_told(view, name) for name in ("availability", "incidents") if name in made]
    rest = [name for name in made if name not in ("availability", "incidents")]
    order = (Light.RED, Light.AMBER, Light.NONE, Light.GREEN)
    ranked = sorted(rest, key=lambda name: order.index(made[name].light))
    told += [_told(view, name) for name in ranked[:1]]
    return tuple(told) or (words.say("common.why_empty"),)


def _told(view: View, name: str) -> str:
    section = view.later[name]
    if section.finding:
        return section.finding
    return view.words.say("summary.untold", title=section.title, why=section.why)


def _lights(view: View) -> Table:
    words = view.words
    columns = (Column(words.say("summary.dimension")), Column(words.say("summary.finding")))
    rows = [(section.title, section.finding or section.why) for section in view.later.values()]
    lights = tuple(section.light for section in view.later.values())
    return Table(words.say("summary.table"), columns, rows, lights)
