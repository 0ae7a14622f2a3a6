"""Rows in bulk: as many as asked for, whatever is in them, and a constraint still holds. Both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select

from bridge.store import bulk
from bridge.store.database import Conflict, Database
from bridge.store.schema import alerts
from bridge.text import storable
from tests.conftest import START

COLUMNS = (
    "source",
    "fingerprint",
    "starts_at",
    "ends_at",
    "inferred",
    "state",
    "labels",
    "annotations",
    "link",
    "incident",
    "first_seen",
    "last_seen",
    "occurrences",
)
# 0; 1; 4, the smallest statement of several; and 300, of 256, 16, 16 and three times 4
COUNTS = [0, 1, 4, 300]
UGLY = [
    "",
    'it\'s "quoted" `and` $1 ? :x %s %(y)s',
    "tab\there, new\nline, return\r, both\r\n, \x0b\x0c\x85\u2028",
    "back\\slash, \\n, \\N, \\., \\t, \\\\",
    "\\.",
    "\\N",
    "支付网关 👩\u200d👧 \u202e\u0301",
    "'; DROP TABLE alerts; --",
    "x" * 100_000,
]


def row(connection: Connection, number: int, text: str = "") -> tuple[Any, ...]:
    """An episode's row as intake writes it."""
    moment, flag = bulk.moment(connection), bulk.flag(connection)
    began = moment(START + timedelta(seconds=number, microseconds=number))
    ends = None if number % 2 else moment(START + timedelta(days=1))
    told = (flag(value=number % 3 == 0), "firing", "{}", '{"summary":"s"}', text, None)
    return ("main", f"f{number}", began, ends, *told, moment(START), moment(START), number)


def insert(store: Database, rows: int, text: str = "") -> None:
    def work(connection: Connection) -> None:
        bulk.insert(connection, alerts, COLUMNS, [row(connection, number, text) for number in range(rows)])

    store.run(work)


def stored(store: Database) -> Sequence[Any]:
    with store.reading() as connection:
        return connection.execute(select(alerts).order_by(alerts.c.occurrences)).all()


@pytest.mark.parametrize("count", COUNTS)
def test_every_row_is_inserted_once_and_reads_back_through_the_schema(store: Database, count: int) -> None:
    insert(store, count)
    found = stored(store)
    assert [each.fingerprint for each in found] == [f"f{number}" for number in range(count)]
    for number, each in enumerate(found):
        assert each.starts_at == START + timedelta(seconds=number, microseconds=number)
        assert each.ends_at == (None if number % 2 else START + timedelta(days=1))
        assert each.inferred is (number % 3 == 0)
        assert (each.labels, each.annotations, each.incident) == ({}, {"summary": "s"}, None)


@pytest.mark.parametrize("text", UGLY, ids=lambda text: ascii(text[:16]))
def test_text_is_stored_as_it_is(store: Database, text: str) -> None:
    insert(store, 5, text)
    assert [each.link for each in stored(store)] == [text] * 5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=20).map(storable), min_size=1, max_size=6))
@example(["\\", "\t", "\\\n", "\\."])
def test_any_text_is_stored_as_it_is(store: Database, texts: list[str]) -> None:
    def work(connection: Connection) -> None:
        connection.execute(delete(alerts))
        rows = [row(connection, number, text) for number, text in enumerate(texts)]
        bulk.insert(connection, alerts, COLUMNS, rows)

    store.run(work)
    assert [each.link for each in stored(store)] == texts


@pytest.mark.parametrize("count", [1, 300])
def test_a_row_that_a_constraint_forbids_is_a_conflict_and_nothing_is_written(
    store: Database, count: int
) -> None:
    insert(store, 1)
    with pytest.raises(Conflict), store.transaction() as connection:
        bulk.insert(connection, alerts, COLUMNS, [row(connection, number) for number in range(count)][::-1])
    assert len(stored(store)) == 1


@pytest.mark.parametrize("count", COUNTS)
def test_ids_are_new_and_as_many_as_asked_for(store: Database, count: int) -> None:
    insert(store, 3)
    with store.transaction() as connection:
        ids = bulk.next_ids(connection, alerts, count)
        rows = [(number, *row(connection, 10 + at)) for at, number in enumerate(ids)]
        bulk.insert(connection, alerts, ("id", *COLUMNS), rows)
    assert len(ids) == len(set(ids)) == count
    assert ids == sorted(ids)
    assert len(stored(store)) == 3 + count


def test_ids_of_rows_that_come_by_themselves_and_of_rows_with_ids_do_not_meet(store: Database) -> None:
    with store.transaction() as connection:
        first = bulk.next_ids(connection, alerts, 4)
        rows = [(number, *row(connection, at)) for at, number in enumerate(first)]
        bulk.insert(connection, alerts, ("id", *COLUMNS), rows)
        bulk.insert(connection, alerts, COLUMNS, [row(connection, 9)])
        assert not set(bulk.next_ids(connection, alerts, 4)) & set(first)
    assert len({each.id for each in stored(store)}) == 5


@pytest.mark.parametrize("count", COUNTS)
def test_a_condition_finds_exactly_the_rows_that_are_named(store: Database, count: int) -> None:
    insert(store, 310)
    wanted = [f"f{number}" for number in range(5, 5 + count)]
    found: list[str] = []
    with store.reading() as connection:
        for condition, values in bulk.among(connection, "fingerprint", wanted):
            query = f"SELECT fingerprint FROM alerts WHERE {condition}"  # our own condition
            found += connection.exec_driver_sql(query, values).scalars()
    assert sorted(found) == sorted(wanted)


def test_statements_have_few_shapes_so_that_the_driver_knows_them(store: Database) -> None:
    with store.reading() as connection:
        shapes = {
            condition
            for count in range(400)
            for condition, _ in bulk.among(connection, "id", list(range(count)))
        }
    assert len(shapes) <= 5


def test_a_moment_is_written_as_the_schema_writes_it_and_read_back(store: Database) -> None:
    insert(store, 1)
    with store.transaction() as connection:
        moment = bulk.moment(connection)
        mark = bulk.mark(connection)
        for at in (START, START.replace(microsecond=1), datetime.max.replace(tzinfo=START.tzinfo)):
            connection.exec_driver_sql(f"UPDATE alerts SET last_seen = {mark}", (moment(at),))
            assert connection.execute(select(alerts.c.last_seen)).scalar_one() == at
            raw = connection.exec_driver_sql("SELECT last_seen FROM alerts").scalar_one()
            assert bulk.read_moment(raw) == at
            # Compared in the database as text on SQLite: the same moment must be the same text.
            same = select(alerts.c.id).where(alerts.c.last_seen == at)
            assert len(connection.execute(same).all()) == 1
