"""A database with a million stored episodes, made in a minute or two.

A few thousand alerts are told to a real `bridge run`, which opens, pages and resolves real incidents.
Then every row of theirs is copied hundreds of times inside the database. The columns are read from the
schema: keys and references move by a stride, times go back, and what must be unique gets a suffix; so a
new column needs nothing here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, String, Table, UniqueConstraint, func, select

from bench import client, payload, servers
from bridge.store.columns import UTCDateTime
from bridge.store.database import Database, connect
from bridge.store.schema import metadata, tasks

SERIES = 2_000  # told to the real program
VARIANTS = 16  # the first digit of a copied fingerprint: SERIES * VARIANTS series in all
_GATEWAYS = 50
_HOURS = 12  # between one copy and the next: 500 copies are 250 days
_DIGITS = "0123456789abcdef"
_ROOTS = ("deliveries", "incidents", "alerts")
_TAKEN_OVER = {
    ("incidents", "status"): "'closed'",
    ("alerts", "fingerprint"): f"substr('{_DIGITS}', k % {VARIANTS} + 1, 1) || substr(t.fingerprint, 2)",
}


def fill(url: str, folder: Path, stored: int) -> int:
    """Store at least `stored` ended episodes; how many there are."""
    copies = -(-stored // SERIES) - 1
    _tell(url, folder)
    database = connect(url)
    try:
        _copy(database, copies)
    finally:
        database.engine.dispose()
    return servers.count(url, metadata.tables["alerts"])


def known_fingerprint(number: int, variant: int) -> str:
    """The fingerprint of a stored series."""
    return _DIGITS[variant] + payload.fingerprint(number)[1:]


def _tell(url: str, folder: Path) -> None:
    """Let the program itself store alerts and their ends, and page."""
    now = datetime.now(UTC)
    starts, ends = (payload.moment(now - timedelta(minutes=minutes)) for minutes in (60, 50))
    with servers.bridge(folder, url, "run") as started:
        for end in (payload.NO_END, ends):
            told = [
                payload.alert(number, starts_at=starts, ends_at=end, gateway=f"g{number % _GATEWAYS}")
                for number in range(SERIES)
            ]
            bodies = [payload.webhook(told[first : first + 4]) for first in range(0, SERIES, 4)]
            requests = [client.http_post(servers.INGEST, body) for body in bodies]
            failures = client.play(started.port, requests, connections=8).failures
            if failures:
                raise RuntimeError(f"{failures} of {len(requests)} webhooks were not stored")
        until = time.monotonic() + 30
        while servers.count(url, tasks, tasks.c.state == "pending") and time.monotonic() < until:
            time.sleep(0.3)


def _copy(database: Database, copies: int) -> None:
    """Multiply every row that hangs on the deliveries, incidents and alerts."""
    tables = list(_multiplied())
    with database.reading() as connection:
        strides = {
            table.name: connection.execute(select(func.max(key))).scalar_one() + 1
            for table in tables
            if (key := _own_key(table)) is not None
            and connection.execute(select(func.count()).select_from(table)).scalar_one()
        }
    raw = database.engine.raw_connection()
    try:
        cursor = raw.cursor()
        for statement in _before(database):
            cursor.execute(statement)
        for table in tables:
            cursor.execute(_statement(table, strides, copies, sqlite=database.is_sqlite))
        raw.commit()
        for statement in _after(database, strides):
            cursor.execute(statement)
        raw.commit()
    finally:
        raw.close()
    if not database.is_sqlite:
        # What autovacuum would have done in the months that the rows stand for.
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _multiplied() -> Iterator[Table]:
    """The three tables and all that refer to them, parents first."""
    names = set(_ROOTS)
    for table in metadata.sorted_tables:
        if table.name in names or any(key.column.table.name in names for key in table.foreign_keys):
            names.add(table.name)
            yield table


def _own_key(table: Table) -> Column[Any] | None:
    """The integer that numbers the table's rows, when it has one that refers to nothing."""
    keys = list(table.primary_key.columns)
    if len(keys) == 1 and isinstance(keys[0].type, Integer) and not keys[0].foreign_keys:
        return keys[0]
    return None


def _statement(table: Table, strides: dict[str, int], copies: int, *, sqlite: bool) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    values = ", ".join(_value(table, column, strides, sqlite=sqlite) for column in table.columns)
    return (
        f'INSERT INTO "{table.name}" ({names}) '
        f"WITH RECURSIVE copy(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM copy WHERE k < {copies}) "
        f'SELECT {values} FROM copy CROSS JOIN "{table.name}" AS t'
    )


def _value(table: Table, column: Column[Any], strides: dict[str, int], *, sqlite: bool) -> str:
    """What copy `k` holds in a column."""
    name = f't."{column.name}"'
    parent = next((key.column.table.name for key in column.foreign_keys), None)
    moves = parent if parent is not None else table.name if column is _own_key(table) else None
    if given := _TAKEN_OVER.get((table.name, column.name)):
        value = given
    elif moves in strides:
        value = f"{name} + k * {strides[moves]}"
    elif isinstance(column.type, UTCDateTime):
        value = _earlier(name, sqlite=sqlite)
    elif isinstance(column.type, String) and _must_differ(table, column):
        value = f"{name} || '~' || k"
    else:
        value = name
    return value


def _earlier(name: str, *, sqlite: bool) -> str:
    if sqlite:  # in the very form SQLAlchemy writes: microseconds
        return f"strftime('%Y-%m-%d %H:%M:%f000', {name}, '-' || (k * {_HOURS}) || ' hours')"
    return f"{name} - (k * {_HOURS}) * interval '1 hour'"


def _must_differ(table: Table, column: Column[Any]) -> bool:
    """Is this text unique by itself, or with others that stay the same in a copy?"""
    groups = [
        list(constraint.columns)
        for constraint in (*table.constraints, *(index for index in table.indexes if index.unique))
        if isinstance(constraint, UniqueConstraint) or constraint in table.indexes
    ]
    return any(
        column in group
        and not any(isinstance(other.type, UTCDateTime) or other.foreign_keys for other in group)
        for group in groups
    )


def _before(database: Database) -> list[str]:
    """Nothing of this must survive a power cut, and what is copied refers to what is copied."""
    if database.is_sqlite:
        quick = ("foreign_keys=OFF", "synchronous=OFF", "cache_size=-500000", "temp_store=MEMORY")
        return [f"PRAGMA {pragma}" for pragma in quick]
    return ["SET session_replication_role = replica", "SET statement_timeout = 0", "SET work_mem = '256MB'"]


def _after(database: Database, strides: dict[str, int]) -> list[str]:
    """Numbers go on behind the copies."""
    counted = "UPDATE counters SET value = (SELECT max(number) FROM incidents) WHERE name = 'incident'"
    if database.is_sqlite:
        return [counted, "PRAGMA wal_checkpoint(TRUNCATE)"]
    numbered = [
        f"SELECT setval(pg_get_serial_sequence('{name}', '{key.name}'), max({key.name})) FROM {name}"
        for name in strides
        if (key := _own_key(metadata.tables[name])) is not None and key.autoincrement is not False
    ]
    return [counted, *numbered]
