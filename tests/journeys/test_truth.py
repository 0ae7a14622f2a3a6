"""What is believed of alerts: flapping, cut-off lists, blindness, what a person ends, what rises."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import Connection, select, update

from bridge import operations, placement, selfwatch
from bridge.admission import admit
from bridge.hearing import Waiting
from bridge.model import Notification, Priority, State, Status
from bridge.store import incidents, sources
from bridge.store.schema import alerts, quarantine
from bridge.store.schema import sources as sources_table
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.stories import LI, alert, kinds, pages, read, tell


def flap(bridge: Bridge, clock: Clock, seconds: int) -> None:
    """It fires, and ends after some seconds; as many pass before the next time."""
    began = clock()
    tell(bridge, alert(starts=began))
    clock.forward(seconds=seconds)
    tell(bridge, alert(starts=began, ends=clock()))
    clock.forward(seconds=seconds)


def states(bridge: Bridge) -> list[str]:
    with bridge.database.reading() as connection:
        return list(connection.execute(select(alerts.c.state).order_by(alerts.c.starts_at)).scalars())


def test_an_hour_of_flapping_is_one_incident_told_once_and_counted(bridge: Bridge, clock: Clock) -> None:
    for _ in range(180):
        flap(bridge, clock, 10)
        operations.settle_due(bridge)
    found = read(bridge)
    assert found.is_open
    assert found.flapping_at is not None
    assert found.reopens == 179
    assert kinds(bridge).count("flapping_started") == 1
    assert kinds(bridge).count("reopened") == 3
    assert "flapping_stopped" not in kinds(bridge)
    # The first, two reopenings, the one that tells of the flapping; three steps, as nobody takes it.
    assert len(pages(bridge)) == 4 + 3
    clock.forward(minutes=9, seconds=30)
    assert operations.settle_due(bridge) == 0
    clock.forward(seconds=31)
    assert operations.settle_due(bridge) == 1
    assert kinds(bridge).count("flapping_stopped") == 1
    assert read(bridge).status is Status.RESOLVED
    assert read(bridge).reopens == 0
    assert len(pages(bridge, "resolved")) == 4 + 1, "each time to li, at last to han too"


def test_a_fire_that_stays_after_flapping_is_not_called_restored(bridge: Bridge, clock: Clock) -> None:
    for _ in range(4):
        flap(bridge, clock, 10)
    tell(bridge, alert(starts=clock()))
    clock.forward(hours=2)
    assert operations.settle_due(bridge) == 0
    assert read(bridge).is_open


def test_a_refire_after_the_window_opens_a_new_incident_that_names_the_old(
    bridge: Bridge, clock: Clock
) -> None:
    flap(bridge, clock, 10)
    clock.forward(minutes=31)
    tell(bridge, alert(starts=clock()))
    assert read(bridge, 1).status is Status.RESOLVED
    assert read(bridge, 2).follows == 1
    assert read(bridge, 2).reopens == 0


def test_a_closed_incident_is_not_reopened_within_the_window(bridge: Bridge, clock: Clock) -> None:
    flap(bridge, clock, 10)
    operations.close(bridge, 1, LI, "a cable")
    tell(bridge, alert(starts=clock()))
    assert read(bridge, 1).status is Status.CLOSED
    assert read(bridge, 2).follows == 1


def test_a_cut_off_list_restores_nothing_before_the_full_list_is_known(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START), hidden=37)
    clock.forward(minutes=5)
    tell(bridge, alert(starts=START, ends=clock()), hidden=37)
    assert read(bridge).is_open
    assert kinds(bridge).count("held") == 1
    released = bridge.database.run(lambda c: placement.release_held(c, bridge, "main", clock()))
    assert [incident.name for incident in released] == ["INC-1"]
    assert read(bridge).status is Status.RESOLVED


def test_cut_off_lists_open_one_self_incident_until_somebody_mends_it(bridge: Bridge, clock: Clock) -> None:
    for minute in range(5):
        tell(bridge, alert(starts=START, instance=str(minute)), hidden=3)
        clock.forward(minutes=1)
    assert read(bridge, 2).title == "A source hides alerts from us"
    operations.close(bridge, 2, LI, "max_alerts removed")
    tell(bridge, alert(starts=START, instance="9"), hidden=3)
    assert read(bridge, 3).follows == 2


def test_an_end_told_while_the_source_was_blind_is_not_believed(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START))
    blind(bridge, clock)
    clock.forward(minutes=4)
    tell(bridge, alert(starts=START, ends=clock()))
    assert read(bridge).is_open
    assert states(bridge) == [State.STALE]
    assert kinds(bridge)[-1] == "alerts_stale"
    clock.forward(minutes=1)
    tell(bridge, alert(starts=START))
    assert states(bridge) == [State.FIRING]


def test_the_same_alert_with_a_new_start_goes_on_after_blindness(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START))
    blind(bridge, clock)
    clock.forward(minutes=4)
    tell(bridge, alert(starts=START, ends=clock()))
    tell(bridge, alert(starts=clock.forward(minutes=1)))
    assert states(bridge) == [State.RESOLVED, State.FIRING]
    assert read(bridge).is_open
    assert kinds(bridge).count("reopened") == 0


def test_silenced_is_shown_and_is_no_end(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START))
    silenced = replace(
        alert(starts=START), standing=State.SILENCED, held_by="silence s1 by li until 12:00: works"
    )
    tell(bridge, silenced)
    assert states(bridge) == [State.SILENCED]
    assert read(bridge).is_open
    assert kinds(bridge)[-1] == "alerts_silenced"


def test_a_presumed_end_falls_when_the_alert_is_heard_again(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START))
    clock.forward(minutes=3)
    tell(bridge, replace(alert(starts=START, ends=clock()), presumed=True))
    assert read(bridge).status is Status.RESOLVED
    clock.forward(minutes=1)
    tell(bridge, alert(starts=START))
    assert read(bridge).is_open
    assert read(bridge).firing == 1
    assert states(bridge) == [State.FIRING]


def test_unreadable_alerts_are_kept_and_told_while_their_neighbours_are_taken(bridge: Bridge) -> None:
    outcome = tell(bridge, alert(starts=START), unread=('{"labels": 7}', '{"labels": null}'))
    assert outcome.new == 1
    with bridge.database.reading() as connection:
        kept = connection.execute(select(quarantine.c.body).order_by(quarantine.c.id)).scalars().all()
    assert kept == [b'{"labels": 7}', b'{"labels": null}']
    assert "could not be understood" in read(bridge, 2).title


def test_who_takes_it_at_the_senders_side_has_it(bridge: Bridge, clock: Clock) -> None:
    told = alert(starts=START)
    tell(bridge, told)
    now = clock.forward(minutes=1)
    taken = Notification(source="main", alerts=(), taken=(told.fingerprint,))
    bridge.database.run(lambda c: admit(c, [Waiting("t", taken, now, 0, "")], bridge, now))
    assert read(bridge).status is Status.ACKNOWLEDGED


def test_a_standing_notice_is_one_episode_and_ends_when_it_is_said(bridge: Bridge, clock: Clock) -> None:
    def say(*, ends: bool) -> None:
        now = clock.forward(minutes=1)
        told = selfwatch.notification("BridgeX", "something", "detail", now, "a", ends=ends)
        bridge.database.run(lambda c: admit(c, [Waiting(f"t{now}", told, now, 0, "")], bridge, now))

    say(ends=True)
    assert states(bridge) == []
    say(ends=False)
    say(ends=False)
    assert states(bridge) == [State.FIRING]
    say(ends=True)
    assert states(bridge) == [State.RESOLVED]
    assert read(bridge).status is Status.RESOLVED


def test_a_rise_tells_the_old_and_the_new_deadline(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START, severity="warning", gateway="", name="X"))
    clock.forward(minutes=30)
    by_hand = operations.set_priority(bridge, 1, LI, Priority.P1, "worse than thought")
    assert by_hand.priority == "P1"
    with bridge.database.reading() as connection:
        moved = [fact for fact in incidents.facts_of(connection, 1) if fact.kind == "deadlines_moved"]
    assert len(moved) == 1
    deadlines = moved[0].data["deadlines"]
    assert deadlines["respond"] == [None, (START + timedelta(minutes=40)).isoformat().replace("+00:00", "Z")]
    assert deadlines["plan"][1] is None


def blind(bridge: Bridge, clock: Clock) -> None:
    """The source cannot see since now."""

    def work(connection: Connection) -> None:
        sources.delivered(connection, "main", clock(), [])
        connection.execute(
            update(sources_table)
            .where(sources_table.c.name == "main")
            .values(blind_since=clock(), blind_why="Prometheus is gone")
        )

    bridge.database.run(work)
