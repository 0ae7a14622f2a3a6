"""A heartbeat that does not come opens one incident; back, it ends it. Both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from bridge import heartbeats
from bridge.admission import admit
from bridge.hearing import Waiting
from bridge.model import Notification, Priority, Status
from bridge.store import heartbeats as rows
from bridge.store import sources
from bridge.store.schema import deliveries, incidents
from tests.conftest import START
from tests.senders import add_sources, remove_source
from tests.stories import alert, episodes, pages, read, tell

BACKUP = "{type: heartbeat, every: 1m, grace: 30s, client: acme, service: backups, token: beat}"
WATCHDOG = """{type: heartbeat, every: 1m, watches: main, match: ['alertname="Watchdog"'], priority: P1}"""
LATE = timedelta(seconds=90)


@pytest.fixture
def backup(bridge, tmp_path):
    """A bridge that expects to hear from a backup every minute."""
    add_sources(bridge, tmp_path, backup=BACKUP)
    heartbeats.expect(bridge)
    return bridge


@pytest.fixture
def watched(bridge, tmp_path):
    """A bridge whose source `main` must fire its Watchdog every minute."""
    add_sources(bridge, tmp_path, watchdog=WATCHDOG)
    heartbeats.expect(bridge)
    return bridge


def beat(bridge, name="backup"):
    told = Waiting(
        f"beat {bridge.now()}", Notification(source=name, alerts=(), beats=(name,)), bridge.now(), 0, ""
    )
    bridge.database.run(lambda c: admit(c, [told], bridge, bridge.now()), serial="intake")


def row(bridge, name="backup"):
    with bridge.database.reading() as connection:
        return rows.every(connection).get(name)


def count(bridge, table):
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def main(bridge):
    with bridge.database.reading() as connection:
        return sources.state(connection, "main")


def test_a_heartbeat_that_keeps_coming_is_never_late(backup, clock):
    for _ in range(10):
        clock.forward(seconds=60)
        beat(backup)
        assert heartbeats.tell_late(backup) == 0
    assert count(backup, incidents) == 0


def test_a_late_heartbeat_opens_one_incident(backup, clock):
    clock.forward(seconds=20)
    beat(backup)
    clock.forward(seconds=89)
    assert heartbeats.tell_late(backup) == 0
    clock.forward(seconds=1)
    assert heartbeats.tell_late(backup) == 1
    for _ in range(20):
        clock.forward(seconds=5)
        assert heartbeats.tell_late(backup) == 0
    incident = read(backup)
    assert count(backup, incidents) == 1
    assert (incident.client, incident.service, incident.priority) == ("acme", "backups", Priority.P2)
    assert incident.title == "Heartbeat backup is late since 2026-11-25 02:01:50 UTC"
    assert pages(backup) == [("li", "li-chat")]


def test_one_that_was_never_heard_is_late_too_and_says_so(backup, clock):
    clock.forward(seconds=90)
    heartbeats.tell_late(backup)
    with backup.database.reading() as connection:
        from bridge.store.schema import alerts

        found = connection.execute(select(alerts)).one()
    assert found.labels == {
        "alertname": "HeartbeatLate",
        "heartbeat": "backup",
        "client": "acme",
        "service": "backups",
        "priority": "P2",
    }
    assert found.annotations["description"] == ("Expected every 1m, with 30s of grace; it was never heard.")


def test_back_it_ends_its_alert_and_may_be_late_again(backup, clock):
    clock.forward(seconds=90)
    heartbeats.tell_late(backup)
    clock.forward(seconds=300)
    beat(backup)
    assert read(backup).status is Status.RESOLVED
    assert episodes(backup) == [("resolved", False, 1)]
    clock.forward(seconds=90)
    assert heartbeats.tell_late(backup) == 1
    assert [state for state, _, _ in episodes(backup)] == ["resolved", "firing"]


def test_two_workers_tell_it_once(backup, clock):
    clock.forward(seconds=90)
    assert [heartbeats.tell_late(backup) for _ in range(2)] == [1, 0]


def test_a_tick_that_finds_nothing_writes_nothing(backup, monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(type(backup.database), "run", never)
    heartbeats.expect(backup)
    assert heartbeats.tell_late(backup) == 0


# Configuration


def test_a_heartbeat_that_is_configured_no_more_is_forgotten_and_its_alert_ends(backup, clock, tmp_path):
    clock.forward(seconds=90)
    heartbeats.tell_late(backup)
    remove_source(backup, tmp_path, "backup")
    heartbeats.tell_late(backup)
    heartbeats.expect(backup)
    assert row(backup) is None
    assert read(backup).status is Status.RESOLVED
    restored = backup.metrics.registry.get_sample_value(
        "bridge_time_to_restore_seconds_count", {"priority": "P2"}
    )
    assert restored == 1


def test_a_new_heartbeat_gets_one_interval_from_the_tick_that_sees_it(backup, clock, tmp_path):
    clock.forward(hours=1)
    add_sources(backup, tmp_path, fresh="{type: heartbeat, every: 1h}")
    heartbeats.expect(backup)
    assert row(backup, "fresh").due_at == clock() + timedelta(minutes=61)
    assert row(backup).due_at == START + LATE, "what was expected before stays as it was"


# Starting


@pytest.mark.parametrize(
    ("every", "patience"),
    [("1m", timedelta(minutes=1)), ("1d", heartbeats.MOST_PATIENCE)],
    ids=["often", "seldom"],
)
def test_what_fell_due_while_nobody_listened_gets_some_time_after_the_start(
    bridge, clock, tmp_path, every, patience
):
    add_sources(bridge, tmp_path, backup=f"{{type: heartbeat, every: {every}, grace: 30s}}")
    heartbeats.expect(bridge)
    clock.forward(days=3)
    look = heartbeats.watcher(bridge)
    look()
    assert row(bridge).due_at == clock() + patience + timedelta(seconds=30)
    assert count(bridge, incidents) == 0
    clock.moment = row(bridge).due_at
    look()
    assert read(bridge).title.startswith("Heartbeat backup is late")


def test_a_start_excuses_nothing_that_was_told_and_nothing_that_is_not_due(backup, clock):
    due = row(backup).due_at
    heartbeats.watcher(backup)()
    assert row(backup).due_at == due
    clock.forward(seconds=90)
    heartbeats.tell_late(backup)
    heartbeats.watcher(backup)()
    assert (row(backup).due_at, row(backup).late_since) == (due, clock())


# The Watchdog of an Alertmanager


def test_an_alert_that_fires_and_matches_is_a_beat(watched, clock):
    clock.forward(seconds=60)
    tell(watched, alert("Watchdog", starts=START))
    assert row(watched, "watchdog").last_at == clock()


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"name": "Other"}, id="another alert"),
        pytest.param({"name": "Watchdog", "source": "second"}, id="another source"),
        pytest.param({"name": "Watchdog", "ends": START + timedelta(seconds=50)}, id="one that has ended"),
    ],
)
def test_anything_else_is_no_beat(watched, clock, told):
    clock.forward(seconds=60)
    tell(watched, alert(starts=START, **told))
    assert row(watched, "watchdog").last_at is None


def test_while_it_is_late_its_source_is_blind_since_it_was_heard_last(watched, clock):
    tell(watched, alert("Watchdog", starts=START))
    clock.forward(seconds=120)
    heartbeats.tell_late(watched)
    assert (main(watched).blind_since, main(watched).blind_why) == (START, "heartbeat watchdog is late")
    clock.forward(seconds=30)
    assert heartbeats.tell_late(watched) == 0
    assert main(watched).blind_since == START
    tell(watched, alert("Watchdog", starts=START))
    heartbeats.tell_late(watched)
    assert main(watched).blind_since is None


def test_an_end_that_is_told_while_its_source_is_blind_is_not_believed(watched, clock):
    tell(watched, alert("Watchdog", starts=START), alert(starts=START))
    clock.forward(seconds=120)
    heartbeats.tell_late(watched)
    tell(watched, alert(starts=START, ends=clock()))
    states = {state for state, _, _ in episodes(watched)}
    assert states == {"firing", "stale"}


def test_another_cause_of_blindness_stays(watched, clock):
    watched.database.run(lambda c: sources.blind(c, "main", "its API does not answer", START))
    clock.forward(seconds=120)
    heartbeats.tell_late(watched)
    tell(watched, alert("Watchdog", starts=START))
    heartbeats.tell_late(watched)
    assert main(watched).causes == ("its API does not answer",)


def test_a_source_sees_again_when_nothing_watches_it_any_more(watched, clock, tmp_path):
    clock.forward(seconds=120)
    heartbeats.tell_late(watched)
    remove_source(watched, tmp_path, "watchdog")
    heartbeats.watcher(watched)()
    assert main(watched).blind_since is None
    assert read(watched).status is Status.RESOLVED


def test_a_beat_is_kept_like_every_delivery(backup):
    beat(backup)
    assert count(backup, deliveries) == 1
