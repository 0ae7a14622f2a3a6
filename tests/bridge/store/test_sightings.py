"""What a look is compared with, read from stories told by deliveries. Both databases."""

from __future__ import annotations

from datetime import timedelta

from bridge.model import Alert, State
from bridge.sightings import Ended
from bridge.store import sightings
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.stories import alert, tell


def at(minutes: float) -> object:
    return START + timedelta(minutes=minutes)


def series(number: int, start: float, end: float | None = None, **fields: object) -> Alert:
    ends_at = None if end is None else at(end)
    return Alert(source="main", fingerprint=f"f{number}", starts_at=at(start), ends_at=ends_at, **fields)  # type: ignore[arg-type]


def test_what_has_not_ended_is_known_with_its_standing(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, series(1, 0), series(2, 0), series(3, 0, 1), series(4, 0, undated=True))
    tell(bridge, alert(starts=START, source="second"))
    clock.forward(minutes=1)
    tell(bridge, series(2, 0, standing=State.SILENCED, held_by="silence s1"))
    with bridge.database.reading() as connection:
        first, second = sorted(sightings.known(connection, "main"), key=lambda each: each.fingerprint)
    assert (first.fingerprint, first.standing, first.held_by) == ("f1", State.FIRING, "")
    assert (first.starts_at, first.last_seen) == (START, START)
    assert (second.standing, second.held_by) == (State.SILENCED, "silence s1")
    assert second.last_seen == clock()


def test_of_each_series_the_latest_end_is_known(bridge: Bridge) -> None:
    tell(bridge, series(1, 0, 1), series(1, 2, 3), series(2, 0, 1), series(3, 0))
    tell(bridge, alert(starts=START, source="second"))
    names = ["f1", "f2", "f3", *(f"none{number}" for number in range(1_000))]
    with bridge.database.reading() as connection:
        found = sightings.ended(connection, "main", names)
    assert found == {
        "f1": Ended(starts_at=at(2), inferred=False, last_seen=START),  # type: ignore[arg-type]
        "f2": Ended(starts_at=START, inferred=False, last_seen=START),
    }


def test_absence_is_written_and_forgotten(bridge: Bridge) -> None:
    tell(bridge, *(series(number, 0) for number in range(1_000)))

    def absent() -> dict[str, object]:
        with bridge.database.reading() as connection:
            return {each.fingerprint: each.absent_since for each in sightings.known(connection, "main")}

    with bridge.database.reading() as connection:
        ids = {each.fingerprint: each.id for each in sightings.known(connection, "main")}
    bridge.database.run(lambda c: sightings.mark_absent(c, dict.fromkeys(ids.values(), START)))
    assert set(absent().values()) == {START}
    bridge.database.run(lambda c: sightings.mark_absent(c, {ids["f7"]: None, ids["f8"]: at(1)}))  # type: ignore[dict-item]
    assert (absent()["f7"], absent()["f8"], absent()["f9"]) == (None, at(1), START)


def test_labels_are_read_for_many(bridge: Bridge) -> None:
    tell(bridge, *(series(number, 0, labels={"n": str(number)}) for number in range(1_000)))
    with bridge.database.reading() as connection:
        ids = {each.fingerprint: each.id for each in sightings.known(connection, "main")}
        found = sightings.labels_of(connection, ids.values())
    assert {name: found[number]["n"] for name, number in ids.items()} == {
        f"f{n}": str(n) for n in range(1_000)
    }


def test_who_cut_alerts_off_since_when(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, series(1, 0), hidden=3)
    clock.forward(minutes=1)
    tell(bridge, series(1, 0))
    tell(bridge, alert(starts=START, source="second"), hidden=1)
    with bridge.database.reading() as connection:
        assert sightings.cut_off(connection, START - timedelta(seconds=1)) == {
            "main": START,
            "second": clock(),
        }
        assert sightings.cut_off(connection, START) == {"second": clock()}
        assert sightings.cut_off(connection, clock()) == {}
