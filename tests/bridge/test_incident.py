"""The incident's state machine: every verb in every status, pages, reopening, priority."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge import incident as machine
from bridge.incident import CLOCK, TRIAGE, NotAllowed
from bridge.model import Actor, Alert, Change, Incident, Policy, Priority, Status, Step, Term, Verdict

NOW = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
LI = Actor("li", "console")
POLICY = Policy(
    name="page",
    steps=(
        Step(after=0, notify=("schedule:payments", "team")),
        Step(after=300, notify=("lead",)),
        Step(after=600, notify=("boss", "team")),
    ),
    repeat=1,
)
TERMS = (Term(target="respond", seconds=600, calendar="always"),)
NO_PAGES = Policy(name="page")


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def alert(
    name: str = "Down", *, fingerprint: str = "f1", began: float = -1, ended: float | None = None
) -> Alert:
    return Alert(
        source="am",
        fingerprint=fingerprint,
        starts_at=later(began),
        ends_at=None if ended is None else later(ended),
        labels={"alertname": name},
    )


def verdict(priority: Priority = Priority.P1, *, page: bool = True) -> Verdict:
    return Verdict(
        rule="pay",
        priority=priority,
        client="acme",
        service="payments",
        key="k",
        title="Pay is down",
        page=page,
    )


def opened(
    alerts: int = 1, *, priority: Priority = Priority.P1, policy: Policy = POLICY, page: bool = True
) -> Change:
    told = [alert(fingerprint=f"f{number}") for number in range(alerts)]
    return machine.open_(7, verdict(priority, page=page), told, policy, TERMS, "v1", NOW)


def incident(status: Status = Status.TRIGGERED, *, firing: int = 1, **fields: object) -> Incident:
    """An incident at minute 3 in a status, reached the way it is reached in life."""
    found = machine.step_due(opened(firing or 1).incident, NOW).incident
    if status is Status.ACKNOWLEDGED:
        found = machine.acknowledge(found, LI, later(1)).incident
    if status in (Status.RESOLVED, Status.CLOSED):
        found = machine.resolve(found, LI, "", later(2)).incident
    if status is Status.CLOSED:
        found = machine.close(found, LI, "a cable", later(3)).incident
    return replace(found, **{"firing": firing, "version": 5, **fields})


def kinds(change: Change) -> list[str]:
    return [fact.kind for fact in change.facts]


def pages(change: Change) -> list[list[str]]:
    return [effect.data["targets"] for effect in change.effects if effect.kind == "page"]


# Opening


def test_an_incident_opens_triggered_with_copies_of_policy_and_terms_and_its_first_step_due() -> None:
    found = opened(2).incident
    assert (found.name, found.status, found.firing, found.escalate_at) == ("INC-7", "triggered", 2, NOW)
    assert (found.policy, found.terms, found.rules_version) == (POLICY, TERMS, "v1")


def test_it_began_when_its_oldest_alert_began_and_never_after_it_opened() -> None:
    assert opened().incident.began_at == later(-1)
    future = machine.open_(7, verdict(), [alert(began=9)], POLICY, TERMS, "v1", NOW)
    assert future.incident.began_at == NOW


def test_a_priority_that_does_not_page_opens_without_steps() -> None:
    found = opened(page=False).incident
    assert (found.escalate_at, found.policy.steps) == (None, ())


def test_opening_tells_the_timeline_why_and_the_ticket() -> None:
    change = opened()
    assert kinds(change) == ["opened"]
    assert change.facts[0].data["rule"] == "pay"
    assert [effect.key for effect in change.effects] == ["INC-7/ticket/opened"]


# Every verb in every status

Verb = Callable[[Incident], Change]
VERBS: dict[str, Verb] = {
    "acknowledge": lambda found: machine.acknowledge(found, LI, later(4)),
    "resolve": lambda found: machine.resolve(found, LI, "fixed", later(4)),
    "close": lambda found: machine.close(found, LI, "a cable", later(4)),
    "reopen": lambda found: machine.reopen(found, LI, "still down", later(4)),
    "escalate": lambda found: machine.escalate(found, LI, "need help", later(4)),
    "assign": lambda found: machine.assign(found, LI, "han", later(4)),
    "note": lambda found: machine.note(found, LI, "looking", later(4)),
    "plan": lambda found: machine.plan(found, LI, "new cable", later(4)),
}
TABLE: dict[str, dict[str, str]] = {
    "triggered": {
        "acknowledge": "acknowledged",
        "resolve": "resolved",
        "close": "INC-7 still has 1 firing alerts; resolve them first",
        "reopen": "INC-7 is triggered: cannot reopen it",
        "escalate": "triggered",
        "assign": "triggered",
        "note": "triggered",
        "plan": "triggered",
    },
    "acknowledged": {
        "acknowledge": "INC-7 is acknowledged by li: cannot acknowledge it",
        "resolve": "resolved",
        "close": "INC-7 still has 1 firing alerts; resolve them first",
        "reopen": "INC-7 is acknowledged by li: cannot reopen it",
        "escalate": "triggered",
        "assign": "acknowledged",
        "note": "acknowledged",
        "plan": "acknowledged",
    },
    "resolved": {
        "acknowledge": "INC-7 is resolved: cannot acknowledge it",
        "resolve": "INC-7 is resolved: cannot resolve it",
        "close": "closed",
        "reopen": "triggered",
        "escalate": "INC-7 is resolved: cannot escalate it",
        "assign": "resolved",
        "note": "resolved",
        "plan": "resolved",
    },
    "closed": {
        "acknowledge": "INC-7 is closed: cannot acknowledge it",
        "resolve": "INC-7 is closed: cannot resolve it",
        "close": "INC-7 is closed: cannot close it",
        "reopen": "triggered",
        "escalate": "INC-7 is closed: cannot escalate it",
        "assign": "INC-7 is closed: cannot assign it",
        "note": "closed",
        "plan": "closed",
    },
}


@pytest.mark.parametrize(
    ("status", "verb", "outcome"),
    [
        pytest.param(Status(status), verb, outcome, id=f"{verb} when {status}")
        for status, verbs in TABLE.items()
        for verb, outcome in verbs.items()
    ],
)
def test_every_verb_in_every_status_is_allowed_or_refused_in_plain_words(
    status: Status, verb: str, outcome: str
) -> None:
    before = incident(status)
    if outcome in set(Status):
        change = VERBS[verb](before)
        assert change.incident.status == outcome
        assert change.facts
        assert change.facts[0].by == LI
        assert {effect.kind for effect in change.effects} >= {"ticket"}
    else:
        with pytest.raises(NotAllowed) as refused:
            VERBS[verb](before)
        assert str(refused.value) == outcome


@pytest.mark.parametrize("verb", ["note", "plan"])
def test_empty_words_are_refused(verb: str) -> None:
    with pytest.raises(NotAllowed, match=f"the {verb} is empty"):
        getattr(machine, verb)(incident(), LI, " \n", NOW)


# Acknowledging, resolving, closing


def test_acknowledging_stops_escalation_and_names_who_has_it() -> None:
    found = machine.acknowledge(incident(), LI, later(1)).incident
    assert (found.escalate_at, found.acknowledged_at, found.assignee) == (None, later(1), "li")


def test_the_first_acknowledgement_and_an_assignment_made_before_it_stay() -> None:
    found = incident(assignee="han", acknowledged_at=later(-5))
    after = machine.acknowledge(found, LI, later(1)).incident
    assert (after.acknowledged_at, after.assignee) == (later(-5), "han")


def test_resolving_tells_everybody_who_was_paged() -> None:
    change = machine.resolve(incident(), LI, "fixed", later(2))
    assert pages(change) == ["everyone_paged"]
    assert (change.incident.escalate_at, change.incident.resolved_at) == (None, later(2))


@pytest.mark.parametrize("cause", ["", "  \n"])
def test_a_p1_is_closed_only_with_its_cause(cause: str) -> None:
    with pytest.raises(NotAllowed, match="INC-7 is a P1: say what the cause was and what was done"):
        machine.close(incident(Status.RESOLVED), LI, cause, later(9))


def test_other_priorities_close_without_a_cause() -> None:
    found = incident(Status.RESOLVED, priority=Priority.P2)
    assert machine.close(found, LI, "", later(9)).incident.closed_at == later(9)


@pytest.mark.parametrize("status", [Status.TRIGGERED, Status.ACKNOWLEDGED])
def test_closing_a_quiet_incident_restores_it_first_so_that_clocks_stop_and_people_know(
    status: Status,
) -> None:
    change = machine.close(incident(status, firing=0), LI, "a false alarm", later(9))
    assert kinds(change) == ["resolved", "closed"]
    assert (change.incident.resolved_at, change.incident.closed_at) == (later(9), later(9))
    assert pages(change) == ["everyone_paged"]


# Reopening


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.CLOSED])
def test_reopening_starts_a_new_round_and_forgets_the_end(status: Status) -> None:
    found = machine.reopen(incident(status, step=2, round=1), LI, "", later(60)).incident
    assert (found.resolved_at, found.closed_at) == (None, None)
    assert (found.round_at, found.round, found.step, found.escalate_at) == (later(60), 0, 0, later(60))


def test_a_reopened_incident_may_ask_for_its_failover_again() -> None:
    before = incident()
    again = machine.failover_wanted(before, "standby", later(1))
    assert again.effects == machine.failover_wanted(before, "standby", later(1)).effects
    reopened = machine.reopen(machine.resolve(before, LI, "", later(2)).incident, LI, "", later(9)).incident
    assert machine.failover_wanted(reopened, "standby", later(9)).effects[0].key != again.effects[0].key


# Steps


def test_a_due_step_pages_its_targets_and_says_when_the_next_is_due() -> None:
    change = machine.step_due(opened().incident, NOW)
    assert pages(change) == [["schedule:payments", "team"]]
    assert (change.incident.step, change.incident.escalate_at) == (1, later(5))
    assert (change.facts[0].text, change.facts[0].by) == ("step 1", CLOCK)


def test_steps_that_fell_due_unseen_collapse_into_one_page_that_says_so() -> None:
    # steps at 0, 5 and 10 minutes; at minute 10 all three are due
    change = machine.step_due(opened().incident, later(10))
    assert pages(change) == [["schedule:payments", "team", "lead", "boss"]]  # team once
    assert change.effects[0].data["missed"] == 2
    assert change.facts[0].data["collapsed"] == 2
    # a round is 10 + 5 = 15 minutes long
    assert (change.incident.round, change.incident.step, change.incident.escalate_at) == (1, 0, later(15))


def test_the_last_step_of_the_last_round_ends_the_policy() -> None:
    found = opened().incident
    moments = []
    while found.escalate_at is not None:
        moments.append((found.escalate_at - NOW).total_seconds() / 60)
        change = machine.step_due(found, found.escalate_at)
        found = change.incident
    # two rounds of 0, 5, 10 minutes, the second 15 minutes after the first
    assert moments == [0, 5, 10, 15, 20, 25]
    assert kinds(change) == ["step_taken", "policy_ended"]
    assert change.facts[0].text == "step 3, round 2"


def test_escalating_pages_the_next_step_at_once_and_keeps_the_rounds_times() -> None:
    change = machine.escalate(incident(), LI, "", later(2))
    assert pages(change) == [["lead"]]
    assert (change.incident.step, change.incident.escalate_at) == (2, later(10))


def test_escalating_what_somebody_has_waits_for_an_answer_again() -> None:
    change = machine.escalate(incident(Status.ACKNOWLEDGED), LI, "", later(20))
    assert pages(change) == [["lead"]]
    assert change.incident.status == "triggered", "a page about an acknowledged incident is not sent"
    # the new round began at minute 20 with step 2; step 3 comes 10 minutes into it
    assert change.incident.escalate_at == later(30)


def test_escalating_after_the_policy_ended_pages_its_last_step_again() -> None:
    ended = incident(step=2, round=1, escalate_at=None)
    assert pages(machine.escalate(ended, LI, "", later(60))) == [["boss", "team"]]


def test_an_incident_without_a_policy_cannot_escalate() -> None:
    with pytest.raises(NotAllowed, match="no escalation policy: assign it to somebody instead"):
        machine.escalate(incident(policy=NO_PAGES), LI, "", NOW)


# Priority


def changed(found: Incident, to: Priority, *, policy: Policy = POLICY, page: bool = True) -> Change:
    terms = (Term(target="restore", seconds=60, calendar="always"),)
    return machine.raise_priority(found, TRIAGE, verdict(to, page=page), policy, terms, later(9))


@pytest.mark.parametrize("status", [Status.TRIGGERED, Status.ACKNOWLEDGED])
def test_a_rise_records_old_and_new_and_restarts_the_round(status: Status) -> None:
    change = changed(incident(status, priority=Priority.P2, step=2), Priority.P1)
    (fact,) = change.facts
    assert (fact.kind, fact.text) == ("priority_changed", "P2 → P1")
    assert fact.data == {"from": "P2", "to": "P1", "rule": "pay"}
    found = change.incident
    assert (found.status, found.priority, found.terms[0].target) == ("triggered", "P1", "restore")
    assert (found.round_at, found.step, found.escalate_at) == (later(9), 0, later(9))


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.CLOSED])
def test_a_rise_of_a_finished_incident_pages_nobody(status: Status) -> None:
    found = changed(incident(status, priority=Priority.P2), Priority.P1).incident
    assert (found.status, found.escalate_at) == (status, None)


@pytest.mark.parametrize(("policy", "page"), [(POLICY, False), (NO_PAGES, True)])
def test_a_priority_that_does_not_page_ends_the_round_and_keeps_the_status(
    policy: Policy, *, page: bool
) -> None:
    for status in (Status.TRIGGERED, Status.ACKNOWLEDGED):
        found = changed(incident(status), Priority.P3, policy=policy, page=page).incident
        assert (found.status, found.escalate_at, found.policy.steps) == (status, None, ())


def test_a_fall_goes_on_with_the_round_there_is() -> None:
    before = incident()
    found = changed(before, Priority.P2).incident
    assert (found.step, found.round_at, found.escalate_at) == (
        before.step,
        before.round_at,
        before.escalate_at,
    )
    taken = changed(incident(Status.ACKNOWLEDGED), Priority.P2).incident
    assert (taken.status, taken.escalate_at) == ("acknowledged", None)


def test_a_rise_from_a_priority_that_did_not_page_pages() -> None:
    quiet = opened(page=False, priority=Priority.P3).incident
    assert changed(quiet, Priority.P2).incident.escalate_at == later(9)
