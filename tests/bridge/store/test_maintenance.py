"""Maintenance windows as rows. Runs on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bridge.maintenance import Window
from bridge.matchers import Matcher
from bridge.store import maintenance
from bridge.store.history import BadCursor
from bridge.store.maintenance import NoSuchWindow
from tests.conftest import START

WINDOW = Window(
    name="升级 <b>",
    client="acme",
    match=(Matcher("host.name", "=~", 'a"\\n.*'), Matcher("service", "=", "payments")),
    starts_at=START + timedelta(hours=1),
    seconds=7200,
    rrule="FREQ=WEEKLY;BYDAY=TU",
    time_zone="Asia/Shanghai",
    reason="CHG-7",
    by="li",
    created_at=START,
)


def add(store, window=WINDOW, **changes):
    return store.run(lambda connection: maintenance.add(connection, replace(window, **changes)))


def active(store, now=START):
    with store.reading() as connection:
        return [window.id for window in maintenance.active(connection, now)]


def test_a_window_comes_back_as_it_was_saved(store):
    saved = add(store)
    assert saved == replace(WINDOW, id=1)
    with store.reading() as connection:
        assert maintenance.read(connection, 1) == saved
        with pytest.raises(NoSuchWindow, match="no maintenance window 2"):
            maintenance.read(connection, 2)


def test_a_window_is_cancelled_once(store):
    add(store)
    later = START + timedelta(hours=1)
    first = store.run(lambda connection: maintenance.cancel(connection, 1, "han", START))
    again = store.run(lambda connection: maintenance.cancel(connection, 1, "li", later))
    assert first == again
    assert (again.cancelled_at, again.cancelled_by) == (START, "han")
    with pytest.raises(NoSuchWindow):
        store.run(lambda connection: maintenance.cancel(connection, 7, "han", START))


def test_only_windows_that_may_be_on_or_come_are_active(store):
    single = replace(WINDOW, rrule="")
    for days in (-40, -31, -29, 0, 200):
        add(store, single, starts_at=START + timedelta(days=days), seconds=60)
    add(store, starts_at=START - timedelta(days=400))
    add(store)
    assert active(store) == [3, 4, 5, 6, 7]
    store.run(lambda connection: maintenance.cancel(connection, 6, "li", START))
    assert active(store) == [3, 4, 5, 7]


def test_windows_are_listed_newest_first_and_of_a_client_only_its_own(store):
    for client in ("acme", "nord", "", "acme"):
        add(store, client=client)
    with store.reading() as connection:
        page = maintenance.list_windows(connection, None, 3)
        assert ([window.id for window in page.items], page.total) == ([4, 3, 2], 4)
        rest = maintenance.list_windows(connection, None, 3, page.next)
        assert ([window.id for window in rest.items], rest.next) == ([1], None)
        own = maintenance.list_windows(connection, "acme", 10)
        assert ([window.id for window in own.items], own.total) == ([4, 1], 2)
        with pytest.raises(BadCursor):
            maintenance.list_windows(connection, None, 3, "nonsense")
