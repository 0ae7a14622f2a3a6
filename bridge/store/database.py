"""Opening the database, transactions, and what its failures mean.

SQLite: WAL, `synchronous=FULL` (an acknowledged alert survives a power cut), `BEGIN IMMEDIATE` for
writers (a plain BEGIN deadlocks two of them). PostgreSQL: READ COMMITTED and guarded updates.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, exc, func, select, text
from sqlalchemy.engine import make_url

T = TypeVar("T")

BUSY_SECONDS = 5.0
LARGEST_NUMBER = 2**63 - 1  # of a column
# Older versions can corrupt a database when two connections write and checkpoint at once.
SAFE_SQLITE = (3, 51, 3)
_RETRIES = 5
_PASSING = ("40001", "40P01", "55P03", "57014")


class Unavailable(Exception):
    """The database cannot take this now; trying again later may work."""


class Conflict(Exception):
    """Somebody else changed the same thing first; the work is repeated on what is there now."""


@dataclass(frozen=True)
class Database:
    """A database that can be read and written."""

    engine: Engine
    _writer: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def is_sqlite(self) -> bool:
        """A file on this machine, for one replica."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent look without locks. Raises Unavailable."""
        with _explained(), self.engine.connect().execution_options(reading=True) as connection:
            yield connection

    @contextmanager
    def transaction(self, serial: str = "") -> Iterator[Connection]:
        """One transaction, committed at the end. `serial` names work that must not overlap itself.

        Raises Unavailable or Conflict; in both cases nothing was written.
        """
        with _explained(), self._turn(), self.engine.begin() as connection:
            if serial and not self.is_sqlite:
                # Transaction-level, so it is safe behind pgbouncer; SQLite has one writer anyway.
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(serial))))
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """SQLite has one writer: threads of this process queue here instead of polling its lock.

        Its own busy handler sleeps up to 100 ms between two looks, in which a page that was sent is not
        yet marked so.
        """
        if not self.is_sqlite:
            yield
            return
        if not self._writer.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("another write takes too long")
        try:
            yield
        finally:
            self._writer.release()

    def run(self, work: Callable[[Connection], T], serial: str = "") -> T:
        """Do `work` in a transaction, again when somebody else was first. Raises Unavailable."""
        for _ in range(_RETRIES):
            try:
                with self.transaction(serial) as connection:
                    return work(connection)
            except Conflict:
                continue
        raise Unavailable("the same thing is being changed by others again and again")


def connect(url: str) -> Database:
    """Open the database of a configuration URL; makes the folder of a SQLite file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        # Plans made for good while tables were empty read them whole when they are full.
        options = (
            "-c statement_timeout=15000 -c lock_timeout=5000 -c timezone=UTC "
            "-c plan_cache_mode=force_custom_plan"
        )
        engine = create_engine(
            parsed,
            pool_size=10,
            max_overflow=10,
            pool_timeout=2,
            pool_pre_ping=True,
            hide_parameters=True,  # they are webhook bodies and hashes of secrets: nothing for a log
            connect_args={"connect_timeout": 5, "options": options},
        )
        return Database(engine)
    if parsed.database and parsed.database != ":memory:":
        file = Path(parsed.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # it holds the session key; SQLite gives its side files the same rights
    engine = create_engine(
        parsed,
        module=_sqlite_module(),
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        pool_size=20,
        pool_timeout=2,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


def sqlite_version() -> tuple[int, ...]:
    """The version of the SQLite that is used."""
    return tuple(int(part) for part in _sqlite_module().sqlite_version.split("."))


def upgrade(database: Database) -> None:
    """Bring the schema to this version of opsbridge; safe when several replicas start at once."""
    with database.transaction(serial="migrations") as connection:
        _alembic(connection, lambda config: alembic.command.upgrade(config, "head"))


def schema_problem(database: Database) -> str:
    """Why this program cannot run on the schema it finds, in one sentence; empty when it can."""
    head = ScriptDirectory.from_config(_alembic_config()).get_current_head()
    with database.reading() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found == head:
        return ""
    return f"the database is at schema {found or 'none'}, this version needs {head}: run `bridge db upgrade`"


def check(database: Database) -> list[str]:
    """Problems the database finds in itself: integrity on SQLite, an answer on PostgreSQL."""
    question = "PRAGMA integrity_check" if database.is_sqlite else "SELECT 'ok'"
    try:
        with database.reading() as connection:
            rows = connection.execute(text(question)).scalars().all()
    except Unavailable as error:
        return [str(error)]
    return [str(row) for row in rows if row != "ok"]


def backup(database: Database, target: Path) -> None:
    """Copy a SQLite database while it is in use; PostgreSQL has pg_dump for that."""
    if not database.is_sqlite:
        raise Unavailable("this is PostgreSQL: back it up with pg_dump")
    raw = database.engine.raw_connection()
    try:
        raw.cursor().execute("VACUUM INTO ?", (str(target),))  # not allowed inside SQLAlchemy's BEGIN
    finally:
        raw.close()


def _alembic_config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _alembic(connection: Connection, command: Callable[[alembic.config.Config], None]) -> None:
    config = _alembic_config()
    config.attributes["connection"] = connection
    command(config)


def _sqlite_module() -> Any:
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        try:
            import pysqlite3  # noqa: PLC0415  # only needed where Python's own SQLite is too old
        except ImportError:
            return sqlite3  # there is no wheel for this machine; `bridge doctor` says what that means
        return pysqlite3
    return sqlite3


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={int(BUSY_SECONDS * 1000)}",
        "cache_size=-32000",
        "wal_autocheckpoint=4000",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except exc.IntegrityError as error:
        raise Conflict(_first_line(error)) from error
    except (exc.OperationalError, exc.TimeoutError) as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) in ("40001", "40P01"):
            raise Conflict(_first_line(error)) from error
        raise Unavailable(_first_line(error)) from error
    except exc.DBAPIError as error:
        if type(error) is exc.DatabaseError:  # SQLite says so when the file is damaged
            raise Unavailable(_first_line(error)) from error
        if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _PASSING:
            raise Unavailable(_first_line(error)) from error
        raise


def _first_line(error: Exception) -> str:
    """What the database said, without the statement and its values."""
    return str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
