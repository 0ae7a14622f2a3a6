"""Forgetting: what goes, what stays, in pieces, and what an old incident still says. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Table, func, insert, select, update

from bridge import operations, retention
from bridge.model import Alert
from bridge.store import history, people
from bridge.store.schema import (
    alerts,
    deliveries,
    facts,
    incidents,
    quarantine,
    sessions,
    sign_in_failures,
    sign_in_links,
    tasks,
)
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.stories import LI, alert, tell

HOUR = timedelta(hours=1)
KEPT = "retention: {alerts: 30d, deliveries: 10d, quarantine: 20d}"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE", 0)


@pytest.fixture
def bridge(make_bridge: Callable[..., Bridge]) -> Bridge:
    """Keeps alerts for 30 days, deliveries for 10, quarantine for 20."""
    return make_bridge(more=KEPT)


def count(bridge: Bridge, table: Table) -> int:
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def counted(bridge: Bridge, number: int = 1) -> int:
    with bridge.database.reading() as connection:
        return history.alert_counts(connection, [number])[number]


def ended(bridge: Bridge, clock: Clock, *told: Alert) -> None:
    """Alerts fire for an hour."""
    tell(bridge, *told)
    clock.forward(hours=1)
    tell(bridge, *(Alert(**{**_fields(one), "ends_at": clock.moment}) for one in told))


def _fields(one: Alert) -> dict[str, object]:
    return {name: getattr(one, name) for name in Alert.__struct_fields__}


def closed(bridge: Bridge, clock: Clock, *told: Alert) -> None:
    """Alerts fire for an hour and their incident is closed."""
    ended(bridge, clock, *told)
    operations.close(bridge, 1, LI, "a bad disk")


def test_ended_episodes_of_a_closed_incident_go_when_they_are_old_enough(
    bridge: Bridge, clock: Clock
) -> None:
    closed(bridge, clock, alert(starts=START), alert(starts=START, region="eu"))
    clock.moment = START + HOUR + timedelta(days=30)
    assert retention.forget(bridge)["alerts"] == 0
    clock.forward(seconds=1)
    assert retention.forget(bridge)["alerts"] == 2
    assert count(bridge, alerts) == 0
    assert retention.forget(bridge)["alerts"] == 0


def test_an_old_incident_goes_on_to_say_how_many_alerts_it_had(bridge: Bridge, clock: Clock) -> None:
    closed(bridge, clock, alert(starts=START), alert(starts=START, region="eu"))
    clock.forward(days=1)
    operations.reopen(bridge, 1, LI)
    ended(bridge, clock, alert(starts=clock.moment, region="us"))
    operations.close(bridge, 1, LI, "the same disk")
    facts_before = count(bridge, facts)
    clock.moment = START + timedelta(days=30, hours=2)
    assert retention.forget(bridge)["alerts"] == 2
    assert counted(bridge) == 3
    clock.forward(days=2)
    assert retention.forget(bridge)["alerts"] == 1
    assert counted(bridge) == 3
    assert (count(bridge, incidents), count(bridge, facts)) == (1, facts_before)


def test_what_fires_stays_and_what_was_restored_long_ago_goes_though_nobody_closed_it(
    bridge: Bridge, clock: Clock
) -> None:
    tell(bridge, alert(starts=START, gateway="fires"))
    tell(bridge, alert(starts=START, gateway="quiet beside it"))
    ended(bridge, clock, alert(starts=START, gateway="restored"))
    clock.forward(days=500)
    assert retention.forget(bridge)["alerts"] == 1
    assert count(bridge, alerts) == 2


def test_episodes_of_no_incident_go_too(bridge: Bridge, clock: Clock) -> None:
    ended(bridge, clock, alert(starts=START))
    bridge.database.run(lambda c: c.execute(update(alerts).values(incident=None)))
    clock.forward(days=31)
    assert retention.forget(bridge)["alerts"] == 1


def test_tasks_that_are_done_go_with_the_alerts_of_a_closed_incident(bridge: Bridge, clock: Clock) -> None:
    closed(bridge, clock, alert(starts=START))
    bridge.database.run(lambda c: c.execute(update(tasks).values(state="done", done_at=clock.moment)))
    report = {"kind": "report", "key": "report/acme/2026-10", "priority": "P4", "channel": "", "data": {}}
    report |= {"state": "done", "created_at": START, "due_at": START, "attempts": 1, "done_at": START}
    report |= {"error": "", "receipt": ""}
    bridge.database.run(lambda c: c.execute(insert(tasks).values(report)))
    dead = report | {"key": "dead", "state": "dead", "incident": 1}
    bridge.database.run(lambda c: c.execute(insert(tasks).values(dead)))
    before = count(bridge, tasks)
    clock.forward(days=31)
    assert retention.forget(bridge)["tasks"] == before - 2
    with bridge.database.reading() as connection:
        assert set(connection.execute(select(tasks.c.key)).scalars()) == {"report/acme/2026-10", "dead"}


def test_deliveries_go_but_the_newest_stays_so_that_its_id_is_not_given_again(
    bridge: Bridge, clock: Clock
) -> None:
    for number in range(3):
        tell(bridge, alert(starts=clock.moment, region=str(number)))
        clock.forward(days=1)
    clock.moment = START + timedelta(days=11, seconds=1)
    assert retention.forget(bridge)["deliveries"] == 2
    clock.forward(days=100)
    assert retention.forget(bridge)["deliveries"] == 0
    tell(bridge, alert(starts=clock.moment))
    with bridge.database.reading() as connection:
        assert list(connection.execute(select(deliveries.c.id).order_by(deliveries.c.id)).scalars()) == [3, 4]


def test_quarantine_goes_when_it_is_settled_and_old(bridge: Bridge, clock: Clock) -> None:
    rows = [
        {"trace": name, "source": "main", "received_at": START, "reason": "", "body": b""} for name in "abc"
    ]
    for row, settled in zip(rows, (None, START, START + timedelta(days=5)), strict=True):
        bridge.database.run(
            lambda c, row=row, settled=settled: c.execute(
                insert(quarantine).values(**row, settled_at=settled)
            )
        )
    clock.moment = START + timedelta(days=20, seconds=1)
    assert retention.forget(bridge)["quarantine"] == 1
    with bridge.database.reading() as connection:
        assert sorted(connection.execute(select(quarantine.c.trace)).scalars()) == ["a", "c"]


def test_what_has_expired_goes_and_what_counts_stays(bridge: Bridge, clock: Clock) -> None:
    def sign_in(connection: Connection) -> None:
        people.new_link(connection, "li", clock.moment)
        people.new_session(connection, "li", clock.moment)
        connection.execute(insert(sign_in_failures).values(subject="li", at=clock.moment))

    bridge.database.run(lambda c: people.add_user(c, "li", "responder", START))
    bridge.database.run(sign_in)
    tables = (sessions, sign_in_links, sign_in_failures)
    assert [count(bridge, table) for table in tables] == [1, 1, 1]
    retention.forget(bridge)
    assert [count(bridge, table) for table in tables] == [1, 1, 1]
    clock.forward(minutes=16)
    assert retention.forget(bridge)["sign_in_failures"] == 1
    clock.forward(hours=12)
    assert retention.forget(bridge)["sessions"] == 1
    clock.forward(hours=12)
    assert retention.forget(bridge)["sign_in_links"] == 1


def test_much_goes_in_small_transactions_and_what_is_left_over_goes_next_time(
    bridge: Bridge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [alert(starts=START, region=str(number)) for number in range(60)]
    closed(bridge, clock, *many)
    clock.forward(days=31)
    monkeypatch.setattr(retention, "MOST_AT_ONCE", 25)
    monkeypatch.setattr(retention, "SECONDS", -1)
    assert [retention.forget(bridge)["alerts"] for _ in range(4)] == [25, 25, 10, 0]
    assert counted(bridge) == 60


def test_rows_that_stay_do_not_hide_those_behind_them(
    bridge: Bridge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_READ_AT_ONCE", 3)
    for number in range(10):
        one = alert(starts=clock.moment, gateway=str(number))
        if number % 4 == 3:
            ended(bridge, clock, one)
        else:
            tell(bridge, one)
    clock.forward(days=40)
    assert retention.forget(bridge)["alerts"] == 2
    assert [counted(bridge, number) for number in (4, 8)] == [1, 1]


def test_an_incident_reopened_meanwhile_keeps_its_alerts(
    bridge: Bridge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(bridge, clock, alert(starts=START))
    clock.forward(days=31)
    look = retention.store.old_alerts

    def looked(*arguments: object) -> object:
        found = look(*arguments)  # type: ignore[arg-type]
        operations.reopen(bridge, 1, LI)
        return found

    monkeypatch.setattr(retention.store, "old_alerts", looked)
    assert retention.forget(bridge)["alerts"] == 0
    assert (count(bridge, alerts), counted(bridge)) == (1, 1)


def test_what_was_forgotten_is_counted(bridge: Bridge, clock: Clock) -> None:
    closed(bridge, clock, alert(starts=START))
    clock.forward(days=31)
    retention.forget(bridge)
    value = bridge.metrics.registry.get_sample_value
    assert value("bridge_forgotten_total", {"what": "alerts"}) == 1
    assert value("bridge_forgotten_total", {"what": "deliveries"}) == 1
