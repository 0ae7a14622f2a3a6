"""The worker: ticks find what is due, threads carry it out, and nothing that breaks stops the rest."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select

from bridge import operations, worker
from bridge.store import outbox
from bridge.store.schema import quarantine, tasks
from bridge.wiring import utc_now
from bridge.worker import PER_CHANNEL, Worker
from tests.conftest import payload
from tests.stories import LI, alert, kinds, tell


@pytest.fixture
def live(make_bridge, clock):
    """A bridge on the real clock, with its worker running."""
    bridge = make_bridge()
    object.__setattr__(bridge, "now", utc_now)
    running = Worker(bridge)
    running.start()
    yield bridge
    running.stop()


def rows(bridge):
    with bridge.database.reading() as connection:
        return connection.execute(
            select(tasks.c.state, tasks.c.attempts, tasks.c.error).order_by(tasks.c.id)
        ).all()


def until(look, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            return
        time.sleep(0.05)
    raise AssertionError("did not happen in time")


def test_an_incident_is_paged_within_two_seconds(live):
    began = time.monotonic()
    tell(live, alert(starts=datetime.now(UTC)))
    until(lambda: "told" in kinds(live))
    assert time.monotonic() - began < 2
    with live.database.reading() as connection:
        channel = connection.execute(select(tasks.c.channel)).scalar_one()
    sent = {"channel": channel, "result": "sent"}
    until(lambda: live.metrics.registry.get_sample_value("bridge_deliveries_total", sent) == 1)


def test_gauges_tell_what_is_open_and_due(live):
    tell(live, alert(starts=datetime.now(UTC)))
    until(lambda: live.metrics.registry.get_sample_value("bridge_incidents_open", {"priority": "P1"}) == 1)
    operations.resolve(live, 1, LI)
    until(lambda: live.metrics.registry.get_sample_value("bridge_incidents_open", {"priority": "P1"}) == 0)


def test_a_task_that_breaks_the_program_is_set_aside_and_the_others_go_on(make_bridge, clock, monkeypatch):
    bridge = make_bridge()
    tell(bridge, alert(starts=clock()))
    tell(bridge, alert(starts=clock(), gateway="other"))
    broken = []

    def run(bridge, task):
        if task.incident == 1:
            broken.append(task.id)
            raise ZeroDivisionError
        bridge.database.run(lambda c: outbox.done(c, task, "", bridge.now()))

    monkeypatch.setitem(worker.RUN, "page", run)
    found = Worker(bridge)
    for _ in range(6):
        found.run_tasks()
        until(lambda: not found._busy.total())
        clock.forward(minutes=6)
    found._pool.shutdown()
    assert len(broken) == 5
    assert [row[:2] for row in rows(bridge)] == [("dead", 5), ("done", 1)]


def test_a_hanging_channel_holds_four_threads_and_the_others_go_on(make_bridge, clock, monkeypatch):
    bridge = make_bridge()
    for number in range(10):
        tell(bridge, alert(starts=clock(), gateway=str(number)))
    release, busy = threading.Event(), []

    def hang(bridge, task):
        busy.append(task.id)
        release.wait(10)
        bridge.database.run(lambda c: outbox.done(c, task, "", bridge.now()))

    monkeypatch.setitem(worker.RUN, "page", hang)
    found = Worker(bridge)
    found.run_tasks()
    found.run_tasks()
    assert found.run_tasks() == 0
    assert found._busy["li-chat"] == PER_CHANNEL
    clock.forward(minutes=5)
    operations.take_due_steps(bridge)
    assert found.run_tasks() == PER_CHANNEL, "the other channel has threads of its own"
    release.set()
    found._pool.shutdown()


def test_a_tick_that_fails_is_logged_and_comes_again():
    calls: list[int] = []

    def broken():
        calls.append(1)
        raise ZeroDivisionError

    tick = worker._safely("test", broken)
    tick()
    tick()
    assert len(calls) == 2


def test_what_is_rare_is_also_done_when_the_worker_starts(make_bridge):
    bridge = make_bridge()
    kept = {"trace": "t", "source": "main", "received_at": bridge.now(), "reason": "an old reader"}
    kept |= {"body": payload("firing_single"), "kind": "alertmanager", "version": "0.0.1"}
    bridge.database.run(lambda c: c.execute(insert(quarantine).values(kept)))
    running = Worker(bridge)
    running.start()
    try:
        until(lambda: settled(bridge))
    finally:
        running.stop()


def settled(bridge):
    with bridge.database.reading() as connection:
        return connection.execute(select(quarantine.c.settled_at)).scalar_one()
