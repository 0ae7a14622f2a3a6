"""The nouns of opsbridge, all frozen. Every module may import this one; it imports none of ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

Labels = Mapping[str, str]


class Priority(StrEnum):
    """How urgent an incident is; P1 is the most urgent. `severity` stays the alert's own label."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class State(StrEnum):
    """What is known about an alert episode."""

    FIRING = "firing"
    RESOLVED = "resolved"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    STALE = "stale"


class Status(StrEnum):
    """Where an incident stands. Resolved means service is restored; only a person closes."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CLOSED = "closed"


OPEN = (Status.TRIGGERED, Status.ACKNOWLEDGED)


class Alert(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One episode of one series, as a source told it. `ends_at` is None while it fires.

    `undated`: the source does not say when it began. Such an alert goes on with the episode that fires,
    else it begins at `starts_at`; its end ends what fires, else it says nothing. `blind`: not the service
    is broken but the look at it. `standing` and `held_by` tell what is known of it while it has not ended:
    silenced or inhibited and by what, or stale and why. `presumed`: nobody told its end, it is only gone.
    """

    source: str
    fingerprint: str
    starts_at: datetime
    ends_at: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    link: str = ""
    undated: bool = False
    blind: bool = False
    standing: State = State.FIRING
    held_by: str = ""
    presumed: bool = False

    @property
    def state(self) -> State:
        """Resolved once it has ended, else what is known of it."""
        return State.RESOLVED if self.ends_at is not None else self.standing

    @property
    def name(self) -> str:
        """The alert's name, or its fingerprint: Alertmanager does not promise an alertname."""
        return self.labels.get("alertname") or self.fingerprint


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery from a source, decoded. `flaws` says what was odd about it and how it was read.

    `hidden` alerts were cut off by the source. `unread` are parts, as they came, in which no alert could be
    read: they are kept in quarantine. `beats` are the heartbeats heard, `taken` the fingerprints whose
    incident somebody has taken at the sender's side.
    """

    source: str
    alerts: tuple[Alert, ...]
    hidden: int = 0
    unread: tuple[str, ...] = ()
    beats: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    group: str = ""
    receiver: str = ""
    route_labels: dict[str, str] = {}
    flaws: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an escalation policy: `after` seconds into a round, these targets are told."""

    after: float
    notify: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """An escalation policy: its steps are one round, played `repeat` more times."""

    name: str
    steps: tuple[Step, ...] = ()
    repeat: int = 0


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A promise: this target is met within so many seconds of the named calendar."""

    target: str
    seconds: float
    calendar: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What triage decided about one alert, and why."""

    rule: str
    priority: Priority
    client: str
    service: str
    key: str
    title: str
    policy: str = ""
    plan: str = ""
    runbook: str = ""
    page: bool = True
    why: tuple[str, ...] = ()


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One problem, one ticket. Policy, terms and rule version are copies made when it opened.

    `follows` is the earlier incident of the same key. `held`: its source cut alerts off, so quiet members
    do not restore it before the full list is known. `reopens` counts re-fires since it last lay quiet for
    long; it flaps since `flapping_at`. Until `settle_at` what comes belongs to it: the quiet a flapping
    incident must keep, or the time in which new keys join a storm. Until `muted_until` nobody is paged.
    """

    number: int
    key: str
    status: Status
    priority: Priority
    client: str
    service: str
    title: str
    began_at: datetime
    opened_at: datetime
    rule: str
    rules_version: str
    policy: Policy
    terms: tuple[Term, ...] = ()
    runbook: str = ""
    plan: str = ""
    assignee: str = ""
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    round_at: datetime | None = None
    step: int = 0
    round: int = 0
    escalate_at: datetime | None = None
    firing: int = 0
    follows: int | None = None
    held: bool = False
    reopens: int = 0
    flapping_at: datetime | None = None
    settle_at: datetime | None = None
    muted_until: datetime | None = None
    version: int = 0

    @property
    def name(self) -> str:
        """The name people use: INC-42."""
        return f"INC-{self.number}"

    @property
    def is_open(self) -> bool:
        """Somebody still has to restore service."""
        return self.status in OPEN


class Actor(msgspec.Struct, frozen=True):
    """Who did something, and by which way: console, api, cli, worker, a source or a channel."""

    name: str
    via: str


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an incident's timeline. Never changed, never deleted."""

    at: datetime
    kind: str
    by: Actor
    text: str = ""
    data: dict[str, Any] = {}


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done outside. `key` makes it unique for ever; it becomes a task in the outbox."""

    kind: Literal["page", "ticket", "failover"]
    key: str
    data: dict[str, Any] = {}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a decision about an incident: its next state, what happened, what to do."""

    incident: Incident
    facts: tuple[Fact, ...] = ()
    effects: tuple[Effect, ...] = ()


class ClockState(StrEnum):
    """State of one SLA clock."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    AT_RISK = "at_risk"
    BREACHED = "breached"


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of one incident: due when, in which state, stopped when."""

    target: str
    started_at: datetime
    due_at: datetime
    state: ClockState
    stopped_at: datetime | None = None
    next_at: datetime | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is told. `title` fits a lock screen; texts are plain, channels add their markup."""

    id: str
    reason: str
    priority: str
    incident: str
    title: str
    lines: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    responder: str = ""
    language: str = "en"
    data: dict[str, Any] = {}


class Receipt(msgspec.Struct, frozen=True):
    """A provider's own success: its id for the message, if it gave one, and what it said."""

    id: str = ""
    said: str = ""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What a tracker's ticket should say now."""

    incident: str
    title: str
    body: str
    status: str
    priority: str
    labels: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


class ActionCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a failover action. `token` rises with each run of a plan; a target may refuse old ones."""

    run: str
    plan: str
    token: int
    dry_run: bool = False


class ActionResult(msgspec.Struct, frozen=True):
    """What became of an action: applied, refused, or unknown when no answer told us."""

    outcome: Literal["applied", "refused", "unknown"]
    said: str = ""


class Sample(msgspec.Struct, frozen=True):
    """One value at one time (Unix seconds). The value may be NaN or infinite."""

    labels: Mapping[str, str]
    time: float
    value: float


class Series(msgspec.Struct, frozen=True):
    """One series of a range, by time. `times` are Unix seconds; a gap is a time that is not listed."""

    labels: Mapping[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]
