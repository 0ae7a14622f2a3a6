"""Opening, upgrading and judging databases of both kinds."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text

from bridge.store import database
from bridge.store.schema import counters, metadata, stops
from tests import postgres


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, tmp_path, database_url):
    """A database without any table, beside the migrated one of the test."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    yield postgres.new_database(server, "empty")
    postgres.drop_database(server, "empty")


def test_migrations_lead_exactly_to_the_schema_of_the_code(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_an_empty_database_says_what_to_do_and_an_upgrade_does_it(empty_url):
    found = database.connect(empty_url)
    assert "run `bridge db upgrade`" in database.schema_problem(found)
    database.upgrade(found)
    assert database.schema_problem(found) == ""
    with found.reading() as connection:
        assert connection.execute(select(stops.c.scope, stops.c.stopped)).all() == [("all", False)]
    found.engine.dispose()


def test_several_replicas_may_upgrade_at_the_same_time(empty_url):
    failures: list[Exception] = []

    def upgrade() -> None:
        found = database.connect(empty_url)
        try:
            database.upgrade(found)
        except Exception as error:  # collected for the assertion below
            failures.append(error)
        finally:
            found.engine.dispose()

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_moment_without_a_zone_is_refused(store):
    naive = datetime(2026, 1, 1)
    with pytest.raises(Exception, match="no time zone"), store.transaction() as connection:
        connection.execute(insert(stops).values(scope="x", stopped=True, by="", reason="", at=naive))


def test_moments_come_back_in_utc(store):
    moment = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
    with store.transaction() as connection:
        connection.execute(insert(stops).values(scope="x", stopped=True, by="", reason="", at=moment))
        assert connection.execute(select(stops.c.at).where(stops.c.scope == "x")).scalar_one() == moment


def test_a_failed_transaction_leaves_nothing(store):
    with pytest.raises(RuntimeError), store.transaction() as connection:
        connection.execute(insert(counters).values(name="x", value=1))
        raise RuntimeError("stop")
    with store.reading() as connection:
        assert connection.execute(select(counters).where(counters.c.name == "x")).all() == []


def test_a_duplicate_is_a_conflict(store):
    with pytest.raises(database.Conflict), store.transaction() as connection:
        for _ in range(2):
            connection.execute(insert(counters).values(name="x", value=1))


def test_a_server_that_is_away_is_unavailable():
    found = database.connect(f"postgresql+psycopg://bridge@127.0.0.1:{postgres.free_port()}/none")
    with pytest.raises(database.Unavailable), found.reading():
        pass


def test_two_writers_wait_for_each_other_instead_of_failing(store):
    with store.transaction() as connection:
        connection.execute(insert(counters).values(name="x", value=0))

    def count(_: int) -> None:
        for _ in range(20):
            store.run(
                lambda c: c.execute(
                    counters.update().where(counters.c.name == "x").values(value=counters.c.value + 1)
                )
            )

    threads = [threading.Thread(target=count, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        assert connection.execute(select(counters.c.value).where(counters.c.name == "x")).scalar_one() == 80


def test_sqlite_is_new_enough_and_keeps_what_it_acknowledged(tmp_path):
    found = database.connect(f"sqlite:///{tmp_path / 'x.db'}")
    assert database.sqlite_version() >= database.SAFE_SQLITE
    with found.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    found.engine.dispose()


def test_a_backup_is_a_complete_database_and_damage_is_found(tmp_path, _sqlite_template):
    found = database.connect(f"sqlite:///{_sqlite_template}")
    database.backup(found, tmp_path / "backup.db")
    found.engine.dispose()
    copy = database.connect(f"sqlite:///{tmp_path / 'backup.db'}")
    assert database.check(copy) == []
    assert database.schema_problem(copy) == ""
    copy.engine.dispose()
    raw = bytearray((tmp_path / "backup.db").read_bytes())
    raw[4096:4196] = b"\xff" * 100
    (tmp_path / "backup.db").write_bytes(raw)
    damaged = database.connect(f"sqlite:///{tmp_path / 'backup.db'}")
    assert "malformed" in database.check(damaged)[0]
    damaged.engine.dispose()
