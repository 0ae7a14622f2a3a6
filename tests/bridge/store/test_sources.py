"""What is known of sources: who was heard, who looks, and why one cannot see. Both databases."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from bridge.store import sources
from bridge.store.database import Database
from bridge.store.sources import SourceState
from tests.conftest import START

LATER = START + timedelta(seconds=60)


def test_a_source_nobody_heard_of_is_an_empty_state(store: Database) -> None:
    with store.reading() as connection:
        assert sources.states(connection) == {}
        assert sources.state(connection, "main") == SourceState("main")


def test_deliveries_are_remembered_with_the_receivers_they_named(store: Database) -> None:
    def work(connection: Connection) -> SourceState:
        sources.delivered(connection, "main", START, ["ops", "p1"])
        sources.delivered(connection, "main", LATER, ["ops", "chat"])
        sources.delivered(connection, "main", LATER, [])
        return sources.states(connection)["main"]

    found = store.run(work)
    assert found.delivered_at == LATER
    assert found.receivers == ("ops", "p1", "chat")


def test_receivers_named_long_ago_make_room(store: Database) -> None:
    def work(connection: Connection) -> tuple[str, ...]:
        for number in range(150):
            sources.delivered(connection, "main", START, [f"r{number}"])
        return sources.state(connection, "main").receivers

    assert store.run(work) == tuple(f"r{number}" for number in range(50, 150))


def test_of_two_who_want_to_look_one_may(store: Database) -> None:
    first = store.run(lambda c: sources.claim(c, "main", None, START))
    second = store.run(lambda c: sources.claim(c, "main", None, START))
    later = store.run(lambda c: sources.claim(c, "main", START, LATER))
    assert (first, second, later) == (True, False, True)


def test_a_source_is_blind_until_the_last_cause_is_gone(store: Database) -> None:
    def work(connection: Connection) -> list[SourceState]:
        seen = []
        for step in (
            lambda: sources.blind(connection, "main", "one; two", LATER),
            lambda: sources.blind(connection, "main", "one; two", LATER),
            lambda: sources.blind(connection, "main", "three", START),
            lambda: sources.seeing(connection, "main", "one; two", "four"),
            lambda: sources.seeing(connection, "main", "four"),
            lambda: sources.seeing(connection, "main", "three"),
        ):
            told.append(step())
            seen.append(sources.state(connection, "main"))
        return seen

    told: list[bool] = []
    found = store.run(work)
    assert told == [True, False, True, True, False, True]
    assert [state.causes for state in found] == [
        ("one, two",),
        ("one, two",),
        ("one, two", "three"),
        ("three",),
        ("three",),
        (),
    ]
    assert [state.blind_since for state in found] == [LATER, LATER, START, START, START, None]


def test_a_silent_api_alone_is_no_reason_to_doubt_what_is_delivered() -> None:
    silent = SourceState("main", blind_since=START, blind_why=sources.SILENT)
    assert silent.doubted_since is None
    both = SourceState("main", blind_since=START, blind_why=f"{sources.SILENT}; heartbeat pulse is late")
    assert both.doubted_since == START
    assert SourceState("main").doubted_since is None


def test_sources_do_not_mix(store: Database) -> None:
    def work(connection: Connection) -> dict[str, SourceState]:
        sources.delivered(connection, "main", START, ["ops"])
        sources.blind(connection, "second", "late", START)
        sources.claim(connection, "third", None, START)
        sources.answered(connection, "third", START)
        return sources.states(connection)

    assert store.run(work) == {
        "main": SourceState("main", delivered_at=START, receivers=("ops",)),
        "second": SourceState("second", blind_since=START, blind_why="late"),
        "third": SourceState("third", looked_at=START, answered_at=START),
    }
