"""What a section of the report is given, and what it gives back. Pure values."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from bridge.model import Sample, Series
from health_report.charts import Chart
from health_report.facts import Facts, IncidentRecord, Result
from health_report.figures import Grid, grid
from health_report.words import Words

Rows = Sequence[Sequence[str]]


class SectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a section that has none; the others extend it."""


class Light(StrEnum):
    """How a promise stands. Shown with a word and a shape, never by colour alone."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    NONE = "none"


def worst(lights: Sequence[Light]) -> Light:
    """The light over several: red before amber before unknown before green; nothing known is nothing."""
    for light in (Light.RED, Light.AMBER):
        if light in lights:
            return light
    return Light.GREEN if lights and all(one is Light.GREEN for one in lights) else Light.NONE


@dataclass(frozen=True)
class Figure:
    """A figure for the first page. `good` says if the change is welcome; None when it is neither.

    `compared` is false when there was nothing to compare with; then `change` says so.
    """

    label: str
    value: str
    change: str = ""
    good: bool | None = None
    compared: bool = True


@dataclass(frozen=True)
class Column:
    """A table's column; figures stand on the right."""

    label: str
    figure: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts that are already in the reader's language. `lights` marks rows, if given."""

    caption: str
    columns: tuple[Column, ...]
    rows: Rows
    lights: tuple[Light, ...] = ()


@dataclass(frozen=True)
class Section:
    """One section, ready for its template: finding first, charts second, tables last.

    `why` says why there is nothing to tell; then there is no finding. `figures` and `asks` (what we ask
    of the client) go to the first page.
    """

    title: str
    finding: str = ""
    why: str = ""
    light: Light = Light.NONE
    figures: tuple[Figure, ...] = ()
    asks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class View:
    """What a section may look at. `later` holds the sections printed after it, already made."""

    facts: Facts
    words: Words
    client_name: str
    revision: str
    later: Mapping[str, Section] = field(default_factory=dict)

    @functools.cached_property
    def grid(self) -> Grid:
        """The points of the period."""
        return grid(self.facts.start, self.facts.until, self.facts.step)

    @functools.cached_property
    def grid_before(self) -> Grid:
        """The points of the month before."""
        return grid(self.facts.before, self.facts.start, self.facts.step)

    def result(self, section: str, name: str, *, before: bool = False) -> Result | None:
        """One query's outcome; None when it was not asked."""
        for result in self.facts.results:
            asked = result.question
            if (asked.section, asked.name, asked.before) == (section, name, before):
                return result
        return None

    def series(self, section: str, name: str, *, before: bool = False) -> tuple[Series, ...]:
        """The series a range query brought, none when it failed."""
        result = self.result(section, name, before=before)
        return result.series if result else ()

    def samples(self, section: str, name: str, *, before: bool = False) -> tuple[Sample, ...]:
        """The samples an instant query brought, none when it failed."""
        result = self.result(section, name, before=before)
        return result.samples if result else ()

    def why_nothing(self, section: str) -> str:
        """Why this section's queries brought nothing, in the reader's language."""
        errors = [r.error for r in self.facts.results if r.question.section == section and r.error]
        if errors:
            return self.words.say("common.why_failed", said=reason(errors[0]))
        return self.words.say("common.why_empty")

    @property
    def opened(self) -> tuple[IncidentRecord, ...]:
        """Incidents opened in the period; those that only reach into it are counted where they began."""
        return opened_between(self.facts.incidents, self.facts.start, self.facts.until)


def opened_between(
    incidents: Sequence[IncidentRecord], start: datetime, end: datetime
) -> tuple[IncidentRecord, ...]:
    """Incidents opened in a stretch of time, the end not included."""
    return tuple(incident for incident in incidents if start <= incident.opened_at < end)


def reason(error: str) -> str:
    """A machine's words without addresses: they are nobody's business in a client's report."""
    return " ".join("…" if "://" in word else word for word in error.split())[:600]
