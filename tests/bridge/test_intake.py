"""Group commit: one transaction for all that waits, and one bad delivery harms only itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from bridge import intake as group_commit
from bridge.intake import Intake
from bridge.store.database import Conflict, Unavailable
from bridge.store.schema import alerts
from tests.conftest import START
from tests.stories import alert, read, waiting


@pytest.fixture
def running(bridge):
    """An intake whose commits are counted, with its wake-up calls."""
    woken: list[int] = []
    found = Intake(bridge, lambda: woken.append(1))
    found.woken = woken
    found.start()
    yield found
    found.stop()


def deliveries(count, **labels):
    return [waiting(alert(starts=START, region=str(n), **labels), now=START) for n in range(count)]


def stored(bridge):
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(alerts)).scalar_one()


def test_every_delivery_gets_its_own_outcome_and_the_worker_is_woken(bridge, running):
    told = deliveries(40)
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(running.submit, told))
    assert [(outcome.trace, outcome.new) for outcome in outcomes] == [(one.trace, 1) for one in told]
    assert stored(bridge) == 40
    assert running.woken


def test_what_queued_up_meanwhile_is_committed_together(bridge, monkeypatch):
    batches: list[int] = []
    real = group_commit.admit
    monkeypatch.setattr(
        group_commit, "admit", lambda c, batch, *rest: (batches.append(len(batch)), real(c, batch, *rest))[1]
    )
    found = Intake(bridge)
    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(found.submit, delivery) for delivery in deliveries(10)]
        while found._queue.qsize() < 10:
            pass
        found.start()
        for future in futures:
            future.result()
    found.stop()
    assert batches == [10]


def test_a_poison_delivery_fails_alone(bridge, running, monkeypatch):
    real = group_commit.admit

    def picky(connection, batch, *rest):
        if any("poison" in delivery.notification.alerts[0].labels.values() for delivery in batch):
            raise ZeroDivisionError
        return real(connection, batch, *rest)

    monkeypatch.setattr(group_commit, "admit", picky)
    poison = waiting(alert(starts=START, region="poison"), now=START)
    with ThreadPoolExecutor(8) as pool:
        good = [pool.submit(running.submit, delivery) for delivery in deliveries(7)]
        bad = pool.submit(running.submit, poison)
        assert [future.result().new for future in good] == [1] * 7
        with pytest.raises(ZeroDivisionError):
            bad.result()
    assert stored(bridge) == 7


def test_a_lost_race_is_repeated_on_what_is_there_now(bridge, running, monkeypatch):
    real, tries = group_commit.admit, []

    def contested(*given):
        tries.append(1)
        if len(tries) < 3:
            raise Conflict("somebody was first")
        return real(*given)

    monkeypatch.setattr(group_commit, "admit", contested)
    assert running.submit(deliveries(1)[0]).new == 1
    assert (len(tries), stored(bridge)) == (3, 1)


def test_a_database_that_stays_away_is_unavailable_and_nothing_is_kept(bridge, running, monkeypatch):
    def away(*_):
        raise Unavailable("disk full")

    monkeypatch.setattr(group_commit, "admit", away)
    monkeypatch.setattr(group_commit, "PATIENCE", 0.3)
    with pytest.raises(Unavailable):
        running.submit(deliveries(1)[0])
    assert stored(bridge) == 0


def test_a_full_queue_refuses_at_once(bridge, monkeypatch):
    monkeypatch.setattr(group_commit, "MOST_WAITING", 1)
    monkeypatch.setattr(group_commit, "PATIENCE", 0.1)
    found = Intake(bridge)  # never started: nobody empties it
    first = threading.Thread(target=lambda: pytest.raises(Unavailable, found.submit, deliveries(1)[0]))
    first.start()
    while found._queue.empty():
        pass
    with pytest.raises(Unavailable, match="too many"):
        found.submit(deliveries(1)[0])
    first.join()


def test_stopping_stores_what_was_queued(bridge):
    found = Intake(bridge)
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(found.submit, delivery) for delivery in deliveries(5)]
        while found._queue.qsize() < 5:
            pass
        found.start()
        found.stop()
        assert [future.result().new for future in futures] == [1] * 5
    assert read(bridge).firing == 5
