"""What people and the clock do to incidents, each in one transaction. Runs on both databases."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from bridge import operations
from bridge.incident import NotAllowed
from bridge.model import Actor, Priority, Status
from bridge.store import history, incidents
from bridge.store.incidents import NoSuchIncident
from bridge.store.schema import clocks
from tests.conftest import START
from tests.stories import LI, alert, kinds, pages, read, tell

HAN = Actor("han", "console")


@pytest.fixture
def p1(bridge):
    """A bridge with one open P1, paged once."""
    tell(bridge, alert(starts=START))
    return bridge


def states(bridge, number=1):
    with bridge.database.reading() as connection:
        return {clock.target: clock.state.value for clock in history.clocks_of(connection, [number])[number]}


def test_acknowledging_stops_escalation_and_the_clock_to_respond(p1, clock):
    clock.forward(minutes=4)
    incident = operations.acknowledge(p1, 1, LI)
    assert (incident.status, incident.assignee, incident.escalate_at) == (Status.ACKNOWLEDGED, "li", None)
    assert states(p1) == {"respond": "met", "restore": "running"}
    assert (
        p1.metrics.registry.get_sample_value("bridge_time_to_acknowledge_seconds_sum", {"priority": "P1"})
        == 240
    )


def test_of_two_people_who_acknowledge_one_wins_and_the_other_is_told(p1):
    told: list[str] = []
    ready = threading.Barrier(2)

    def take(who):
        ready.wait()
        try:
            operations.acknowledge(p1, 1, who)
            told.append(f"{who.name} has it")
        except NotAllowed as error:
            told.append(str(error))

    threads = [threading.Thread(target=take, args=(who,)) for who in (LI, HAN)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = read(p1).assignee
    assert sorted(told) == sorted(
        [f"{winner} has it", f"INC-1 is acknowledged by {winner}: cannot acknowledge it"]
    )


def test_nobody_answers_and_step_two_is_paged_when_it_is_due(p1, clock):
    clock.forward(minutes=4, seconds=59)
    assert operations.take_due_steps(p1) == 0
    clock.forward(seconds=1)
    assert operations.take_due_steps(p1) == 1
    assert pages(p1) == [("li", "li-chat"), ("han", "han-chat")]
    assert operations.take_due_steps(p1) == 0


def test_steps_that_fell_due_while_nobody_looked_collapse_into_one_page(p1, clock):
    clock.forward(hours=1)
    operations.take_due_steps(p1)
    assert pages(p1) == [("li", "li-chat"), ("han", "han-chat"), ("li", "li-chat")]
    assert kinds(p1).count("step_taken") == 2
    assert kinds(p1)[-2:] == ["policy_ended", "paging"]
    assert read(p1).escalate_at is None


def test_clocks_warn_at_eighty_percent_and_break_once(p1, clock):
    clock.forward(minutes=7, seconds=59)
    assert operations.tell_due_clocks(p1) == 0
    clock.forward(seconds=1)
    operations.tell_due_clocks(p1)
    assert states(p1)["respond"] == "at_risk"
    assert sorted(pages(p1, "at_risk")) == [("han", "han-chat"), ("li", "li-chat")]
    clock.forward(minutes=2)
    operations.tell_due_clocks(p1)
    assert states(p1)["respond"] == "at_risk", "due at 10:00 is kept until 10:00"
    clock.forward(seconds=1)
    operations.tell_due_clocks(p1)
    operations.tell_due_clocks(p1)
    assert states(p1)["respond"] == "breached"
    assert len(pages(p1, "breached")) == 2
    sample = {"priority": "P1", "target": "respond"}
    assert p1.metrics.registry.get_sample_value("bridge_sla_breaches_total", sample) == 1


def test_a_clock_that_jumped_over_its_warning_still_says_that_it_broke(p1, clock):
    clock.forward(minutes=30)
    operations.tell_due_clocks(p1)
    assert states(p1)["respond"] == "breached"
    assert len(pages(p1, "breached")) == 2
    with p1.database.reading() as connection:
        assert (
            connection.execute(select(clocks.c.next_at).where(clocks.c.target == "respond")).scalar_one()
            is None
        )


def test_an_answer_that_came_too_late_is_counted_as_broken_although_no_tick_saw_it(p1, clock):
    clock.forward(minutes=10, seconds=1)
    operations.acknowledge(p1, 1, LI)
    operations.tell_due_clocks(p1)
    assert states(p1)["respond"] == "breached"
    sample = {"priority": "P1", "target": "respond"}
    assert p1.metrics.registry.get_sample_value("bridge_sla_breaches_total", sample) == 1
    assert operations.tell_due_clocks(p1) == 0


def test_resolving_by_hand_tells_everyone_who_was_paged_once(p1, clock):
    clock.forward(minutes=5)
    operations.take_due_steps(p1)
    operations.resolve(p1, 1, LI, "restarted the gateway")
    assert sorted(pages(p1, "resolved")) == [("han", "han-chat"), ("li", "li-chat")]
    with pytest.raises(NotAllowed, match="INC-1 is resolved"):
        operations.resolve(p1, 1, LI)


def test_a_p1_is_closed_with_its_cause_only(p1):
    operations.resolve(p1, 1, LI)
    with pytest.raises(NotAllowed, match="say what the cause was"):
        operations.close(p1, 1, LI, " ")
    assert operations.close(p1, 1, LI, "expired certificate").status is Status.CLOSED


def test_reopening_pages_again_and_restoration_is_not_met_any_more(p1, clock):
    operations.resolve(p1, 1, LI)
    assert states(p1)["restore"] == "met"
    clock.forward(minutes=10)
    operations.reopen(p1, 1, LI, "it is back")
    assert states(p1)["restore"] == "running"
    assert pages(p1) == [("li", "li-chat")] * 2


def test_a_priority_set_by_hand_needs_a_reason_and_new_terms_apply(p1):
    with pytest.raises(NotAllowed, match="say why"):
        operations.set_priority(p1, 1, LI, Priority.P2, "")
    operations.set_priority(p1, 1, LI, Priority.P2, "only one shop is affected")
    assert set(states(p1)) == {"plan", "fix"}
    with pytest.raises(NotAllowed, match="P2 already"):
        operations.set_priority(p1, 1, LI, Priority.P2, "again")


def test_a_plan_stops_the_clock_of_a_p2(bridge):
    tell(bridge, alert("DiskFull", starts=START, severity="warning", service="hosts"))
    operations.plan(bridge, 1, LI, "grow the disk on Thursday")
    assert states(bridge) == {"plan": "met", "fix": "running"}


def test_an_incident_is_handed_to_known_people_only(p1):
    with pytest.raises(NotAllowed, match="no responder 'nobody'"):
        operations.assign(p1, 1, LI, "nobody")
    assert operations.assign(p1, 1, LI, "han").assignee == "han"


def test_escalating_by_hand_pages_the_next_step_at_once(p1):
    operations.escalate(p1, 1, LI, "I need help")
    assert pages(p1)[-1] == ("han", "han-chat")


def test_an_incident_that_does_not_exist_is_said_so(bridge):
    with pytest.raises(NoSuchIncident, match="there is no INC-9"):
        operations.note(bridge, 9, LI, "?")


def test_everything_stands_on_the_timeline_with_who_and_from_where(p1):
    operations.note(p1, 1, Actor("han", "api"), "looking")
    with p1.database.reading() as connection:
        fact = incidents.facts_of(connection, 1)[-1]
    assert (fact.kind, fact.by, fact.text) == ("noted", Actor("han", "api"), "looking")


def test_no_page_follows_an_acknowledgement_that_races_with_the_step(p1, clock):
    """50 rounds: whoever commits first wins; a step after the acknowledgement does nothing."""
    clock.forward(minutes=5)
    for number in range(2, 12):
        tell(p1, alert(starts=START, gateway=f"g{number}"))
        clock.forward(minutes=5)
        threads = [
            threading.Thread(target=operations.take_due_steps, args=(p1,)),
            threading.Thread(target=lambda n=number: operations.acknowledge(p1, n, LI)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = kinds(p1, number)
        assert read(p1, number).status is Status.ACKNOWLEDGED
        assert "step_taken" not in told[told.index("acknowledged") :]
