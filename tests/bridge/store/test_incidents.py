"""Incidents as rows: versions guard every change. Runs on both databases."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bridge.model import Actor, Fact, Incident, Policy, Priority, Status, Step, Term
from bridge.store import incidents
from bridge.store.database import Conflict
from tests.conftest import START

INCIDENT = Incident(
    number=7,
    key="client=acme",
    status=Status.TRIGGERED,
    priority=Priority.P1,
    client="acme",
    service="payments",
    title="支付 <b>\u202e",
    began_at=START,
    opened_at=START,
    rule="all",
    rules_version="abc",
    policy=Policy(name="page", steps=(Step(after=0, notify=("li",)),), repeat=2),
    terms=(Term(target="respond", seconds=600, calendar="always"),),
    escalate_at=START,
)


def save(store, incident):
    return store.run(lambda connection: incidents.save_all(connection, [(incident, None)])[0])


def test_an_incident_comes_back_as_it_was_saved(store):
    saved = save(store, INCIDENT)
    with store.reading() as connection:
        assert incidents.read(connection, 7) == saved == replace(INCIDENT, version=1)


def test_a_change_of_what_was_changed_meanwhile_is_a_conflict(store):
    read_by_two = save(store, INCIDENT)
    save(store, replace(read_by_two, assignee="li"))
    with pytest.raises(Conflict, match="INC-7 was changed"), store.transaction() as connection:
        incidents.save_all(connection, [(replace(read_by_two, assignee="han"), read_by_two)])
    with store.reading() as connection:
        assert incidents.read(connection, 7).assignee == "li"


def test_a_second_open_incident_of_a_key_is_forbidden_by_the_database(store):
    save(store, INCIDENT)
    with pytest.raises(Conflict), store.transaction() as connection:
        incidents.save_all(connection, [(replace(INCIDENT, number=8), None)])
    save(store, replace(INCIDENT, number=9, status=Status.CLOSED))


def test_numbers_are_given_once_and_in_order(store):
    with store.transaction() as connection:
        assert [*incidents.next_numbers(connection, 2), *incidents.next_numbers(connection, 1)] == [1, 2, 3]


def test_facts_keep_their_order_and_are_asked_for_by_kind(store):
    save(store, INCIDENT)
    told = [
        Fact(at=START, kind=kind, by=Actor("li", "api"), text="x", data={"n": 1}) for kind in ("b", "a", "b")
    ]
    store.run(lambda connection: incidents.add_facts(connection, [(7, fact) for fact in told]))
    with store.reading() as connection:
        assert incidents.facts_of(connection, 7) == told
        assert [fact.kind for fact in incidents.facts_of(connection, 7, {"a"})] == ["a"]


def test_the_open_incident_of_a_key_goes_before_one_restored_lately(store):
    save(store, replace(INCIDENT, number=1, status=Status.RESOLVED, resolved_at=START))
    save(store, replace(INCIDENT, number=2))
    with store.reading() as connection:
        assert incidents.by_key(connection, ["client=acme"], START)["client=acme"].number == 2
