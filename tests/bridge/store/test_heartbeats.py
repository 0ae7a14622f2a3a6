"""Rows of heartbeats: expected, heard, late, forgotten. Both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.store import heartbeats
from tests.conftest import START

MINUTE = timedelta(minutes=1)


def every(store):
    with store.reading() as connection:
        return heartbeats.every(connection)


def late(store, now):
    with store.reading() as connection:
        return set(heartbeats.late(connection, now))


@pytest.fixture
def expected(store):
    """Two heartbeats, due in one minute and in ten."""
    due = {"backup": START + MINUTE, "watchdog": START + 10 * MINUTE}
    store.run(lambda c: heartbeats.expect(c, due))
    return store


def test_what_is_expected_is_late_only_after_its_time(expected):
    assert late(expected, START) == set()
    assert late(expected, START + MINUTE) == {"backup"}
    assert late(expected, START + 11 * MINUTE) == {"backup", "watchdog"}


def test_what_is_marked_late_is_not_told_again_until_it_was_heard(expected):
    now = START + MINUTE
    expected.run(lambda c: heartbeats.mark_late(c, "backup", now))
    assert late(expected, now) == set()
    heard = now + 5 * MINUTE
    assert expected.run(lambda c: heartbeats.beat(c, "backup", heard, heard + MINUTE)) == now
    assert expected.run(lambda c: heartbeats.beat(c, "backup", heard, heard + MINUTE)) is None
    assert every(expected)["backup"].late_since is None
    assert late(expected, heard + MINUTE) == {"backup"}


def test_expecting_again_changes_nothing_and_forgets_what_is_not_named(expected):
    expected.run(lambda c: heartbeats.mark_late(c, "backup", START))
    gone = expected.run(lambda c: heartbeats.expect(c, {"watchdog": START, "new": START}))
    assert {name: found.late_since for name, found in gone.items()} == {"backup": START}
    assert {name: found.due_at for name, found in every(expected).items()} == {
        "new": START,
        "watchdog": START + 10 * MINUTE,
    }


def test_an_older_beat_that_comes_later_does_not_count(expected):
    expected.run(lambda c: heartbeats.beat(c, "backup", START + MINUTE, START + 2 * MINUTE))
    expected.run(lambda c: heartbeats.mark_late(c, "backup", START + 3 * MINUTE))
    assert expected.run(lambda c: heartbeats.beat(c, "backup", START, START + MINUTE)) is None
    found = every(expected)["backup"]
    assert (found.last_at, found.due_at) == (START + MINUTE, START + 2 * MINUTE)
    assert found.late_since == START + 3 * MINUTE


def test_a_beat_before_anybody_expected_it_is_kept(store):
    assert store.run(lambda c: heartbeats.beat(c, "early", START, START + MINUTE)) is None
    assert every(store)["early"].due_at == START + MINUTE


def test_what_is_put_off_is_due_later(expected):
    expected.run(lambda c: heartbeats.put_off(c, "backup", START + 5 * MINUTE))
    assert late(expected, START + 4 * MINUTE) == set()
    assert late(expected, START + 5 * MINUTE) == {"backup"}


def test_what_was_heard_meanwhile_is_not_put_off_to_an_earlier_time(expected):
    expected.run(lambda c: heartbeats.beat(c, "backup", START, START + 60 * MINUTE))
    expected.run(lambda c: heartbeats.put_off(c, "backup", START + 5 * MINUTE))
    assert every(expected)["backup"].due_at == START + 60 * MINUTE
