"""Whatever happens to an incident in whatever order, it stays one that makes sense."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from bridge import incident as machine
from bridge import members
from bridge.incident import NotAllowed
from bridge.model import Actor, Alert, Change, Effect, Fact, Policy, Priority, Status, Step, Verdict

LI = Actor("li", "console")
START = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
FINISHED = (Status.RESOLVED, Status.CLOSED)
ALLOWED = {
    Status.TRIGGERED: {Status.TRIGGERED, Status.ACKNOWLEDGED, Status.RESOLVED, Status.CLOSED},
    Status.ACKNOWLEDGED: {Status.ACKNOWLEDGED, Status.TRIGGERED, Status.RESOLVED, Status.CLOSED},
    Status.RESOLVED: {Status.RESOLVED, Status.CLOSED, Status.TRIGGERED},
    Status.CLOSED: {Status.CLOSED, Status.TRIGGERED},
}
steps = st.lists(st.sampled_from([0.0, 60.0, 300.0]), min_size=0, max_size=3).map(
    lambda after: tuple(Step(after=moment, notify=("li",)) for moment in sorted(after))
)
policies = st.builds(Policy, name=st.just("page"), steps=steps, repeat=st.integers(0, 2))


def alerts(count: int, *, ended: bool = False) -> list[Alert]:
    return [
        Alert(source="am", fingerprint=f"f{n}", starts_at=START, ends_at=START if ended else None)
        for n in range(count)
    ]


class Histories(RuleBasedStateMachine):
    """Each rule is one transaction: a change on what is stored, then the version rises."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.effects: list[Effect] = []
        self.facts: list[Fact] = []
        verdict = Verdict(rule="r", priority=Priority.P3, client="", service="", key="k", title="t")
        policy = Policy(name="page", steps=(Step(after=0, notify=("li",)),), repeat=1)
        opened = machine.open_(1, verdict, alerts(1), policy, (), "v", self.now)
        self.incident = opened.incident
        self.keep(opened)

    def keep(self, change: Change) -> None:
        assert change.incident.status in ALLOWED[self.incident.status]
        self.incident = replace(change.incident, version=self.incident.version + 1)
        self.effects += change.effects
        self.facts += change.facts

    @rule(seconds=st.sampled_from([0, 1, 59, 61, 300, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(
        verb=st.sampled_from(
            ["acknowledge", "resolve", "close", "reopen", "escalate", "assign", "note", "plan"]
        )
    )
    def somebody_acts(self, verb: str) -> None:
        words = () if verb == "acknowledge" else ("words",)
        try:
            self.keep(getattr(machine, verb)(self.incident, LI, *words, self.now))
        except NotAllowed as refused:
            assert str(refused).startswith("INC-1 ")  # noqa: PT017  # refused or not, both are fine

    @precondition(
        lambda self: self.incident.escalate_at is not None and self.incident.escalate_at <= self.now
    )
    @rule()
    def the_clock_ticks(self) -> None:
        self.keep(machine.step_due(self.incident, self.now))

    @rule(joined=st.integers(0, 3), over=st.integers(0, 2), ended=st.integers(0, 4))
    def alerts_come_and_go(self, joined: int, over: int, ended: int) -> None:
        told = [*alerts(joined), *alerts(over, ended=True)]
        change = Change(incident=self.incident)
        if joined and not self.incident.is_open:
            change = machine.reopen(self.incident, LI, "fires again", self.now)
        gone = alerts(min(ended, self.incident.firing))  # only what fired can end
        moved = members.changed(change.incident, told, gone, self.now)
        self.keep(machine.then(change, moved))

    @rule(priority=st.sampled_from(Priority), page=st.booleans(), policy=policies)
    def priority_changes(self, priority: Priority, page: bool, policy: Policy) -> None:  # noqa: FBT001
        verdict = Verdict(rule="r", priority=priority, client="", service="", key="k", title="t", page=page)
        self.keep(machine.raise_priority(self.incident, LI, verdict, policy, (), self.now))

    @invariant()
    def steps_are_due_only_while_triggered_and_only_steps_there_are(self) -> None:
        if self.incident.escalate_at is not None:
            assert self.incident.status is Status.TRIGGERED
            assert self.incident.step < len(self.incident.policy.steps)
            assert self.incident.round <= self.incident.policy.repeat
            assert self.incident.round_at is not None

    @invariant()
    def ends_are_known_exactly_when_it_ended(self) -> None:
        assert (self.incident.resolved_at is not None) is (self.incident.status in FINISHED)
        assert (self.incident.closed_at is not None) is (self.incident.status is Status.CLOSED)
        if self.incident.status is Status.ACKNOWLEDGED:
            assert self.incident.acknowledged_at is not None

    @invariant()
    def counts_are_never_negative(self) -> None:
        assert self.incident.firing >= 0
        assert self.incident.step >= 0

    @invariant()
    def no_effect_is_asked_for_twice(self) -> None:
        twice = [key for key, count in Counter(effect.key for effect in self.effects).items() if count > 1]
        assert twice == []

    @invariant()
    def the_status_follows_from_the_timeline(self) -> None:
        """Clocks are derived from facts, so facts must tell the same story as the columns."""
        restored = False
        for fact in self.facts:
            restored = fact.kind in ("resolved", "closed") or (restored and fact.kind != "reopened")
        assert restored is (self.incident.status in FINISHED)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
