"""The outbox: leases, retries, order. Runs on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from bridge.store import outbox
from bridge.store.outbox import LEASE, new_task
from bridge.store.schema import incidents, tasks
from tests.conftest import START

KINDS = ("page",)
_INCIDENT = {
    "number": 1, "key": "k", "status": "triggered", "priority": "P1", "client": "", "service": "",
    "title": "",
    "began_at": START, "opened_at": START, "rule": "", "rules_version": "",
    "policy": {"name": ""}, "terms": [],
    "runbook": "", "plan": "", "assignee": "", "step": 0, "round": 0, "firing": 0, "version": 1,
}  # fmt: skip


def add(store, *keys, due_at=START, kind="page", channel="chat", priority="P1"):
    with store.transaction() as connection:
        for key in keys:
            row = new_task(kind, key, None, START, channel=channel, due_at=due_at)
            connection.execute(insert(tasks).values(row | {"priority": priority}))


def claim(store, owner="a", now=START, most=10, **how):
    return store.run(
        lambda connection: outbox.claim(connection, owner, now, how.pop("kinds", KINDS), most, **how)
    )


def test_a_task_is_claimed_once_while_its_lease_lasts(store):
    add(store, "one")
    assert [task.key for task in claim(store, "a")] == ["one"]
    assert claim(store, "b") == []


def test_a_dead_workers_task_is_taken_over_when_its_lease_ends(store):
    add(store, "one")
    claim(store, "a")
    assert claim(store, "b", START + LEASE) == []
    taken = claim(store, "b", START + LEASE + timedelta(seconds=1))
    assert [(task.key, task.owner, task.attempts) for task in taken] == [("one", "b", 2)]


def test_whoever_lost_the_lease_cannot_end_the_task(store):
    add(store, "one")
    [late] = claim(store, "a")
    [taken] = claim(store, "b", START + LEASE * 2)
    assert not store.run(lambda connection: outbox.done(connection, late, "sent", START))
    assert store.run(lambda connection: outbox.done(connection, taken, "sent", START))


def test_a_task_that_is_not_due_waits(store):
    add(store, "later", due_at=START + timedelta(seconds=5))
    assert claim(store) == []
    assert len(claim(store, now=START + timedelta(seconds=5))) == 1


def test_the_most_severe_task_is_claimed_first(store):
    add(store, "p2", priority="P2")
    add(store, "p1", priority="P1")
    assert [task.key for task in claim(store, most=1)] == ["p1"]


def test_a_channel_is_claimed_by_itself_and_the_most_severe_one_is_named_first(store):
    add(store, "slow", channel="slow", priority="P2")
    add(store, "quick", channel="quick", priority="P1")
    with store.reading() as connection:
        assert outbox.due_channels(connection, START, KINDS) == ["quick", "slow"]
    assert [task.key for task in claim(store, channel="quick")] == ["quick"]


def test_tickets_of_one_incident_are_updated_one_after_the_other(store):
    add(store, "first", "second", kind="ticket")
    with store.transaction() as connection:
        connection.execute(insert(incidents).values(_INCIDENT))
        connection.execute(tasks.update().values(incident=1))
    [first] = claim(store, kinds=("ticket",))
    assert first.key == "first"
    store.run(lambda connection: outbox.done(connection, first, "", START))
    assert [task.key for task in claim(store, kinds=("ticket",))] == ["second"]


def test_a_retry_is_due_later_and_an_attempt_not_made_is_not_counted(store):
    add(store, "one")
    [task] = claim(store)
    again = START + timedelta(seconds=7)
    store.run(lambda connection: outbox.later(connection, task, "busy", again, counted=False))
    assert claim(store, now=START + timedelta(seconds=6)) == []
    assert claim(store, now=again)[0].attempts == 1


def test_a_dead_task_stays_visible_and_is_not_claimed(store):
    add(store, "one")
    [task] = claim(store)
    store.run(lambda connection: outbox.dead(connection, task, "401", START))
    assert claim(store, now=START + timedelta(days=1)) == []
    with store.reading() as connection:
        assert connection.execute(select(tasks.c.state, tasks.c.error)).one() == ("dead", "401")


@pytest.mark.parametrize(
    ("attempts", "after", "seconds"),
    [
        pytest.param(1, None, 2.0, id="first pause"),
        pytest.param(2, None, 4.0, id="doubles"),
        pytest.param(5, None, 32.0, id="2 x 2^4"),
        pytest.param(12, None, 300.0, id="never longer than five minutes by itself"),
        pytest.param(1, 30.0, 30.0, id="what the provider asked for"),
        pytest.param(5, 1.0, 32.0, id="our own pause when it is longer"),
    ],
)
def test_pauses_double_up_to_five_minutes(attempts, after, seconds):
    assert outbox.pause(attempts, after, 0.0) == pytest.approx(seconds)


def test_many_workers_never_claim_the_same_task(store):
    add(store, *(f"t{n}" for n in range(60)))
    claimed: list[str] = []
    lock = threading.Lock()

    def work(name: str) -> None:
        while True:
            found = claim(store, name, most=3)
            if not found:
                return
            with lock:
                claimed.extend(task.key for task in found)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(f"t{n}" for n in range(60))


def test_the_backlog_tells_how_many_and_how_old(store):
    add(store, "one", "two")
    with store.reading() as connection:
        assert outbox.backlog(connection, START + timedelta(seconds=30)) == (2, 30.0)
        assert outbox.backlog(connection, START - timedelta(seconds=1)) == (0, 0.0)
