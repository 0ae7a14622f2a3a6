"""What a report is made from, as plain values: questions, answers, incidents. All of it is evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from bridge.model import Clock, Sample, Series


class FailoverRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a failover plan, as it belongs to an incident."""

    plan: str
    mode: str
    state: str
    started_at: datetime
    finished_at: datetime | None = None
    detail: str = ""


class IncidentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One incident as the store knows it. `number` is its public name's number: 42 for INC-42."""

    number: int
    title: str
    priority: str
    client: str
    service: str
    status: str
    began_at: datetime
    opened_at: datetime
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    alerts: int = 0
    clocks: tuple[Clock, ...] = ()
    failovers: tuple[FailoverRecord, ...] = ()
    cause: str = ""

    @property
    def name(self) -> str:
        """The name people use: INC-42."""
        return f"INC-{self.number}"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One query, ready to be asked: nothing is left to fill in."""

    section: str
    name: str
    promql: str
    kind: Literal["range", "instant"]
    start: datetime
    end: datetime
    step: float
    before: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a question. With an error there are no numbers; with warnings there may be some."""

    question: Question
    samples: tuple[Sample, ...] = ()
    series: tuple[Series, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report says is computed from this. Times are UTC.

    `before` is where the previous month begins, `until` where the figures stop.
    """

    client: str
    month: str
    zone: str
    start: datetime
    end: datetime
    until: datetime
    before: datetime
    step: float
    slo: dict[str, float]
    config_version: str
    results: tuple[Result, ...]
    incidents: tuple[IncidentRecord, ...]
    incidents_before: tuple[IncidentRecord, ...]
