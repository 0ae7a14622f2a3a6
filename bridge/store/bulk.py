"""Many rows at once, past SQLAlchemy's work per row: one statement for SQLite, COPY for PostgreSQL.

Intake is what must be fast. Values here are what the driver takes: times through `moment`, JSON as text.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from bridge.store.database import Conflict, Unavailable

Row = Sequence[Any]
_json = msgspec.json.Encoder().encode
_LONG = len('"2026-01-31T09:00:00.000000Z"')
_NEVER: frozenset[str] = frozenset()
# COPY takes two turns with the server, and as many rows as one likes.
_FEW = 8
_BLOCK = 256
# Few different statements, so that the driver's statement cache always has them.
_SIZES = (256, 64, 16, 4, 1)


def is_sqlite(connection: Connection) -> bool:
    """Is this SQLite (else PostgreSQL)?"""
    return connection.dialect.name == "sqlite"


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens when the row is there already."""
    return sqlite.insert(table) if is_sqlite(connection) else postgresql.insert(table)


def moment(connection: Connection) -> Callable[[datetime], Any]:
    """How a UTC time is written for this database (SQLite keeps text, as SQLAlchemy writes it)."""
    return _as_text if is_sqlite(connection) else _as_it_is


def flag(connection: Connection) -> Callable[..., Any]:
    """How true and false are written (SQLite keeps numbers, and its driver is slow with anything else)."""
    return _as_number if is_sqlite(connection) else _as_flag


def nothing(connection: Connection) -> Any:
    """How NULL is written where rows are many: SQLite's driver takes longer for None than for half a row."""
    return "" if is_sqlite(connection) else None


def read_moment(value: Any) -> datetime:
    """A time as it came from either database."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC)  # type: ignore[no-any-return]


def insert(
    connection: Connection,
    table: Table,
    names: tuple[str, ...],
    rows: Sequence[Row],
    maybe: frozenset[str] = frozenset(),
) -> None:
    """Insert rows; columns of `maybe` may hold `nothing`.

    Raises Conflict when a constraint forbids one, Unavailable when it cannot be done now.
    """
    if not rows:
        return
    if is_sqlite(connection):
        for part in _parts(rows):
            # One step for many rows: the driver gives up the interpreter lock once, not once a row.
            values = tuple(itertools.chain.from_iterable(part))
            connection.exec_driver_sql(_insert(table.name, names, maybe, "?", len(part)), values)
        return
    if len(rows) <= _FEW:
        values = tuple(itertools.chain.from_iterable(rows))
        connection.exec_driver_sql(_insert(table.name, names, _NEVER, "%s", len(rows)), values)
        return
    try:
        with connection.connection.cursor() as cursor, cursor.copy(_copy(table.name, names)) as copy:  # type: ignore[attr-defined]
            for row in rows:
                copy.write_row(row)
    except psycopg.IntegrityError as error:
        raise Conflict(str(error).partition("\n")[0]) from error
    except psycopg.OperationalError as error:
        raise Unavailable(str(error).partition("\n")[0]) from error


def next_ids(connection: Connection, table: Table, count: int) -> list[int]:
    """Ids for rows about to be inserted. The caller is the table's only writer at this time."""
    if is_sqlite(connection):
        last = connection.exec_driver_sql(f'SELECT coalesce(max(id), 0) FROM "{table.name}"').scalar_one()  # noqa: S608  # our own table's name
        return list(range(last + 1, last + 1 + count))
    spare: list[int] = connection.info.setdefault("spare_ids", {}).setdefault(table.name, [])
    if len(spare) < count:
        # A block for this connection: gaps do no harm, a round trip in every transaction does.
        wanted = (table.name, max(count, _BLOCK))
        query = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
        spare += [row[0] for row in connection.exec_driver_sql(query, wanted)]
    ids, spare[:] = spare[:count], spare[count:]
    return ids


def among(
    connection: Connection, column: str, values: Sequence[Any]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A condition and its parameters for `column` being one of `values`; several where they are many."""
    if not is_sqlite(connection):
        yield f"{column} = ANY(%s)", (list(values),)
        return
    for part in _parts(values):
        yield f"{column} IN ({_marks(len(part))})", tuple(part)


def mark(connection: Connection) -> str:
    """How this driver writes a parameter."""
    return "?" if is_sqlite(connection) else "%s"


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


@functools.lru_cache(maxsize=256)
def _insert(table: str, names: tuple[str, ...], maybe: frozenset[str], mark: str, count: int) -> str:
    marks = (f"nullif({mark}, '')" if name in maybe else mark for name in names)
    row = f"({','.join(marks)})"
    return f'INSERT INTO "{table}" ({_listed(names)}) VALUES {",".join([row] * count)}'  # noqa: S608  # our own names


@functools.lru_cache(maxsize=64)
def _copy(table: str, names: tuple[str, ...]) -> str:
    return f'COPY "{table}" ({_listed(names)}) FROM STDIN'


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@functools.lru_cache(maxsize=64)
def _marks(count: int) -> str:
    return ",".join("?" * count)


def _as_text(value: datetime) -> str:
    # Three times as fast as isoformat, which asks the zone for its offset again and again.
    text = _json(value).decode()
    return f"{text[1:11]} {text[12:27]}" if len(text) == _LONG else f"{text[1:11]} {text[12:20]}.000000"


def _as_it_is(value: datetime) -> datetime:
    return value


def _as_number(*, value: bool) -> int:
    return int(value)


def _as_flag(*, value: bool) -> bool:
    return value
