"""The shape of bridge.yml: one frozen struct per thing that can be configured.

Field names are the keys of the file. Everything has a default except what CONTRACT promises to ask for.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bridge.config.values import Duration, Secret
from bridge.guards import Mode
from bridge.model import Priority

Language = Literal["en", "zh"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A block of configuration; unknown keys are errors."""


class SourceSettings(Settings, frozen=True):
    """What every source can say.

    `api` and `prometheus` are base addresses; an HA pair of Alertmanagers has an `api` for each.
    `receivers` limits reconciliation to alerts routed to them; else to those that deliveries named.
    """

    token: Secret | None = None
    api: str | list[str] = ""
    prometheus: str = ""
    receivers: list[str] = []

    @property
    def apis(self) -> tuple[str, ...]:
        """Every address that can be asked for the full list."""
        found = [self.api] if isinstance(self.api, str) else self.api
        return tuple(address.rstrip("/") for address in found if address)


class Budget(Settings, frozen=True):
    """How many messages a channel may send; the reserve is kept for P1."""

    per_minute: int = 0
    per_month: int = 0
    reserve_p1: int = 0


class ChannelSettings(Settings, frozen=True):
    """What every channel can say."""

    budget: Budget = Budget()


class Typed(msgspec.Struct, frozen=True):
    """A named member of an open family with its own settings."""

    name: str
    type: str
    settings: Any


class ClientReport(Settings, frozen=True):
    """Who gets a client's report, as what, and which series are the client's."""

    to: list[str] = []
    formats: tuple[Literal["html", "pdf"], ...] = ("html", "pdf")
    selector: str = ""
    host_selector: str = ""


class Client(Settings, frozen=True):
    """A company whose systems are watched. `slo`: service -> availability in percent."""

    name: str
    language: Language = "en"
    time_zone: str = "UTC"
    tier: str = ""
    slo: dict[str, float] = {}
    report: ClientReport = ClientReport()


class Service(Settings, frozen=True):
    """A system of a client: who owns it, what to do, which failover plan guards it, what it needs."""

    owner: str = ""
    runbook: str = ""
    failover: str = ""
    depends_on: list[str] = []


class PriorityTerms(Settings, frozen=True):
    """What is promised for a priority, in which calendar, and whether it pages anybody."""

    respond: Duration | None = None
    restore: Duration | None = None
    plan: Duration | None = None
    fix: Duration | None = None
    calendar: str = "always"
    page: bool = True


class CalendarSettings(Settings, frozen=True):
    """Working hours. Without hours a calendar is always open."""

    time_zone: str = "UTC"
    days: str = "mon-sun"
    hours: str = ""
    holidays: str = ""


class ResponderSettings(Settings, frozen=True, kw_only=True):
    """A person who can be paged: channels in order of preference."""

    name: str
    language: Language = "en"
    channels: list[str]


class RotationSettings(Settings, frozen=True, rename={"start": "from"}):
    """People taking turns of `every` from a wall-clock moment in a zone."""

    people: list[str]
    every: Duration
    start: str
    time_zone: str = "UTC"


class Schedule(Settings, frozen=True):
    """Who is on call when."""

    rotation: RotationSettings


class StepSettings(Settings, frozen=True):
    """Who is told, how long after the round began."""

    after: Duration
    notify: list[str]


class PolicySettings(Settings, frozen=True):
    """The steps of a page and how often they are repeated."""

    steps: list[StepSettings]
    repeat: int = 0


class Probe(Settings, frozen=True):
    """One question about the world: a URL that must answer 2xx, or a PromQL condition that must hold."""

    http: str = ""
    promql: str = ""
    within: Duration = Duration(seconds=30)


class Trigger(Settings, frozen=True):
    """Which incidents start a plan."""

    priority: Priority | None = None
    match: list[str] = []


class LimitSettings(Settings, frozen=True):
    """How often a plan may run."""

    cooldown: Duration = Duration(minutes=60)
    per_day: int = 2
    per_hour_all: int = 3


class PlanSettings(Settings, frozen=True):
    """A failover plan. `act` and `rollback` are members of the actions family."""

    service: str
    act: Typed
    verify: list[Probe]
    mode: Mode = Mode.SHADOW
    on: Trigger = Trigger()
    precheck: list[Probe] = []
    rollback: Typed | None = None
    limits: LimitSettings = LimitSettings()
    prometheus: str = ""


class Reports(Settings, frozen=True):
    """When monthly reports are made (cron, in each client's zone) and where they are kept."""

    cron: str = "0 6 1 * *"
    folder: str = "var/reports"


class Egress(Settings, frozen=True):
    """Internal networks that outgoing calls may reach."""

    allow: list[str] = []


class Flapping(Settings, frozen=True):
    """An incident reopened so often `within` a time flaps; it is over after so much `quiet`."""

    reopens: int = 3
    within: Duration = Duration(minutes=30)
    quiet: Duration = Duration(minutes=10)


class Storm(Settings, frozen=True):
    """More new `incidents` of one client `within` a time than this become one; 0 turns it off."""

    incidents: int = 30
    within: Duration = Duration(minutes=1)


class Intake(Settings, frozen=True):
    """Limits of what is taken in. `reopen_within`: a re-fire this soon reopens instead of opening anew.

    `reconcile_every`: so often sources with an `api` are asked what really fires.
    """

    largest_body: int = 64 * 1024 * 1024
    reopen_within: Duration = Duration(minutes=30)
    reconcile_every: Duration = Duration(seconds=60)
    flapping: Flapping = Flapping()
    storm: Storm = Storm()


class Retention(Settings, frozen=True):
    """How long ended episodes, deliveries and quarantined bodies are kept. Incidents and facts stay."""

    alerts: Duration = Duration(days=400)
    deliveries: Duration = Duration(days=90)
    quarantine: Duration = Duration(days=90)


class Web(Settings, frozen=True):
    """How many proxies stand in front: only so many ends of X-Forwarded-For are believed."""

    proxies: int = 0


class RuleSettings(Settings, frozen=True, rename={"continues": "continue"}):
    """One rule of triage.yml."""

    name: str
    match: list[str] = []
    priority: Priority | None = None
    client: str = ""
    service: str = ""
    title: str = ""
    incident_by: list[str] = []
    policy: str = ""
    failover: str = ""
    runbook: str = ""
    continues: bool = False
