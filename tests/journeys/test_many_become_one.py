"""Correlation: what needs a burning service joins its incident, a storm of one client is one incident."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select

from bridge import operations
from bridge.model import Priority, Status
from bridge.store.schema import alerts, incidents
from bridge.wiring import Bridge, read_config, wire
from tests.conftest import START, Clock
from tests.stories import alert, kinds, pages, read, tell

STORM = "intake: {storm: {incidents: 5, within: 1m}}"
RULES = """
- name: database
  match: ['service="orders-db"']
  priority: P2
- name: nodes
  match: ['alertname="NodeDown"']
  priority: P2
  incident_by: [client, instance]
- name: all else
  priority: P1
  incident_by: [client, service, alertname]
"""


@pytest.fixture
def needing(make_bridge: Callable[..., Bridge], clock: Clock) -> Iterator[Bridge]:
    """Orders need their database; bonus needs it by way of orders."""
    file = make_bridge(more=STORM, triage=RULES).file
    assert file is not None
    needs = (
        "services:\n  orders-db: {}\n  orders: {depends_on: [orders-db]}\n  bonus: {depends_on: [orders]}\n"
    )
    file.write_text(file.read_text().replace("services:\n", needs))
    made = wire(read_config(file), now=clock, file=file)
    yield made
    made.database.engine.dispose()


def counted(bridge: Bridge) -> tuple[int, int]:
    """Incidents and episodes there are."""
    with bridge.database.reading() as connection:
        return (
            connection.execute(select(func.count(incidents.c.number))).scalar_one(),
            connection.execute(select(func.count(alerts.c.id))).scalar_one(),
        )


def test_alerts_of_dependants_join_the_burning_database(needing: Bridge, clock: Clock) -> None:
    tell(needing, alert("DatabaseDown", starts=START, service="orders-db"))
    clock.forward(minutes=1)
    tell(needing, alert("OrdersFail", starts=clock(), service="orders"))
    tell(needing, alert("BonusFails", starts=clock(), service="bonus"))
    assert counted(needing) == (1, 3)
    found = read(needing)
    assert found.service == "orders-db"
    assert found.firing == 3
    assert found.priority is Priority.P1, "a member asked for more than the database itself"
    assert "priority_changed" in kinds(needing)
    assert len(pages(needing)) == 2, "paged as P2, and again when it rose"


def test_in_one_delivery_what_others_need_comes_first(needing: Bridge) -> None:
    told = [
        alert("BonusFails", starts=START, service="bonus"),
        alert("OrdersFail", starts=START, service="orders"),
    ]
    tell(needing, *told, alert("DatabaseDown", starts=START, service="orders-db"))
    assert counted(needing) == (1, 3)
    assert read(needing).service == "orders-db"


def test_another_clients_database_is_no_cause(needing: Bridge) -> None:
    tell(needing, alert("DatabaseDown", starts=START, service="orders-db", client="nord"))
    tell(needing, alert("OrdersFail", starts=START, service="orders"))
    assert counted(needing) == (2, 2)


def test_a_shared_database_without_a_client_is_a_cause_for_all(needing: Bridge) -> None:
    tell(needing, alert("DatabaseDown", starts=START, service="orders-db", client=""))
    tell(needing, alert("OrdersFail", starts=START, service="orders"))
    tell(needing, alert("OrdersFail", starts=START, service="orders", client="nord"))
    assert counted(needing) == (1, 3)


def test_a_restored_database_takes_nothing_any_more(needing: Bridge, clock: Clock) -> None:
    tell(needing, alert("DatabaseDown", starts=START, service="orders-db"))
    clock.forward(minutes=1)
    tell(needing, alert("DatabaseDown", starts=START, ends=clock(), service="orders-db"))
    tell(needing, alert("OrdersFail", starts=clock(), service="orders"))
    assert counted(needing) == (2, 2)


def test_it_is_restored_when_the_last_member_is_quiet(needing: Bridge, clock: Clock) -> None:
    tell(needing, alert("DatabaseDown", starts=START, service="orders-db"))
    tell(needing, alert("OrdersFail", starts=START, service="orders"))
    clock.forward(minutes=5)
    tell(needing, alert("DatabaseDown", starts=START, ends=clock(), service="orders-db"))
    assert read(needing).is_open
    tell(needing, alert("OrdersFail", starts=START, ends=clock(), service="orders"))
    assert read(needing).status is Status.RESOLVED


def test_young_incidents_of_dependants_are_told_of_a_cause_that_shows_later(
    needing: Bridge, clock: Clock
) -> None:
    tell(needing, alert("OldTrouble", starts=START, service="orders"))
    clock.forward(minutes=11)
    tell(needing, alert("OrdersFail", starts=clock(), service="orders"))
    clock.forward(minutes=1)
    tell(needing, alert("DatabaseDown", starts=START, service="orders-db"))
    assert "cause_suspected" in kinds(needing, 2)
    assert "cause_suspected" not in kinds(needing, 1)


def test_the_suspected_cause_is_told_also_when_its_consequence_changes_with_it(
    needing: Bridge, clock: Clock
) -> None:
    tell(needing, alert("OrdersFail", starts=START, service="orders"))
    clock.forward(minutes=1)
    told = [alert("DatabaseDown", starts=START, service="orders-db")]
    tell(needing, *told, alert("OrdersFail", starts=START, service="orders", region="eu"))
    assert [kind for kind in kinds(needing, 1) if kind in ("cause_suspected", "alerts_joined")] == [
        "cause_suspected",
        "alerts_joined",
    ]


def test_what_was_over_when_it_came_is_no_cause(needing: Bridge) -> None:
    tell(
        needing,
        alert("DatabaseDown", starts=START, ends=START, service="orders-db"),
        alert("OrdersFail", starts=START, service="orders"),
    )
    assert counted(needing) == (2, 2)
    assert [read(needing, number).is_open for number in (1, 2)] == [False, True]


def test_a_storm_of_one_client_is_one_incident_and_everything_is_recorded(
    needing: Bridge, clock: Clock
) -> None:
    tell(needing, *[alert("NodeDown", starts=START, instance=f"n{n}", service="") for n in range(40)])
    assert counted(needing) == (6, 40)
    storm = read(needing, 6)
    assert storm.title == "A storm of problems: acme"
    assert storm.firing == 35
    clock.forward(seconds=30)
    tell(needing, *[alert("NodeDown", starts=clock(), instance=f"m{n}", service="") for n in range(500)])
    assert counted(needing) == (6, 540)
    assert len(pages(needing)) == 6, "one page an incident, none for what joins the storm"


def test_a_storm_takes_in_nothing_of_other_clients_and_ends_when_it_is_calm(
    needing: Bridge, clock: Clock
) -> None:
    tell(needing, *[alert("NodeDown", starts=START, instance=f"n{n}", service="") for n in range(40)])
    tell(needing, alert("NodeDown", starts=START, instance="x", service="", client="nord"))
    assert read(needing, 7).client == "nord"
    clock.forward(seconds=61)
    assert operations.settle_due(needing) == 1
    assert kinds(needing, 6)[-1] == "storm_over"
    tell(needing, alert("NodeDown", starts=clock(), instance="late", service=""))
    assert read(needing, 8).client == "acme"


def test_a_p1_in_a_storm_of_lesser_things_raises_it_and_pages(needing: Bridge, clock: Clock) -> None:
    tell(needing, *[alert("NodeDown", starts=START, instance=f"n{n}", service="") for n in range(40)])
    before = len(pages(needing))
    clock.forward(seconds=10)
    tell(needing, alert("CheckoutDown", starts=clock(), service="shop"))
    assert read(needing, 6).priority is Priority.P1
    assert len(pages(needing)) == before + 1


def test_problems_that_come_slowly_are_no_storm(needing: Bridge, clock: Clock) -> None:
    for number in range(12):
        tell(needing, alert("NodeDown", starts=clock(), instance=f"n{number}", service=""))
        clock.forward(seconds=20)
    assert counted(needing) == (12, 12)
