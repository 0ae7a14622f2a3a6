"""What alerts do to their incident: restored or not, flapping, storms, doubt and maintenance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge import incident as machine
from bridge import members
from bridge.incident import CLOCK, TRIAGE
from bridge.members import LONGEST_STORM, Flapping
from bridge.model import (
    Actor,
    Alert,
    Change,
    Effect,
    Incident,
    Policy,
    Priority,
    State,
    Status,
    Step,
    Verdict,
)

NOW = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
LI = Actor("li", "console")
POLICY = Policy(name="page", steps=(Step(after=0, notify=("li",)), Step(after=300, notify=("han",))))
FLAPPING = Flapping(reopens=3, within=timedelta(minutes=30), quiet=timedelta(minutes=10))
OPEN = [Status.TRIGGERED, Status.ACKNOWLEDGED]
OVER = [Status.RESOLVED, Status.CLOSED]


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def alert(name: str = "Down", *, began: float = -1, ended: float | None = None, **more: object) -> Alert:
    return Alert(
        source="am",
        fingerprint="f1",
        starts_at=later(began),
        ends_at=None if ended is None else later(ended),
        labels={"alertname": name},
        **more,  # type: ignore[arg-type]
    )


def incident(status: Status = Status.TRIGGERED, *, firing: int = 1, **fields: object) -> Incident:
    """An incident at minute 3 in a status, reached the way it is reached in life."""
    verdict = Verdict(rule="r", priority=Priority.P1, client="acme", service="pay", key="k", title="Down")
    found = machine.open_(7, verdict, [alert()], POLICY, (), "v1", NOW).incident
    found = machine.step_due(found, NOW).incident
    if status is Status.ACKNOWLEDGED:
        found = machine.acknowledge(found, LI, later(1)).incident
    if status in OVER:
        found = machine.resolve(found, LI, "", later(2)).incident
    if status is Status.CLOSED:
        found = machine.close(found, LI, "a cable", later(3)).incident
    return replace(found, **{"firing": firing, "version": 5, **fields})


def kinds(change: Change) -> list[str]:
    return [fact.kind for fact in change.facts]


# Joining and ending


@pytest.mark.parametrize("status", OPEN)
def test_service_is_restored_when_the_last_alert_is_quiet(status: Status) -> None:
    change = members.changed(incident(status, firing=2), (), [alert(ended=1)], later(2))
    assert (change.incident.status, change.incident.firing) == (status, 1)
    change = members.changed(change.incident, (), [alert(ended=2)], later(3))
    assert (change.incident.status, change.incident.firing) == ("resolved", 0)
    assert kinds(change) == ["alerts_ended", "resolved"]
    assert change.facts[1].by == TRIAGE


@pytest.mark.parametrize("status", OVER)
def test_alerts_that_end_after_a_person_resolved_change_only_the_count(status: Status) -> None:
    change = members.changed(incident(status), (), [alert(ended=2)], later(3))
    assert (change.incident.status, change.incident.firing, change.effects) == (status, 0, ())


def test_more_ends_than_alerts_never_count_below_zero() -> None:
    change = members.changed(incident(firing=1), (), [alert(ended=1), alert(ended=2)], later(3))
    assert change.incident.firing == 0


def test_one_that_joins_as_another_ends_keeps_it_burning() -> None:
    change = members.changed(incident(), [alert()], [alert(ended=1)], later(3))
    assert (change.incident.firing, kinds(change)) == (1, ["alerts_joined", "alerts_ended"])


def test_joined_alerts_are_one_line_with_the_most_frequent_names_first() -> None:
    names = ["A"] * 3 + ["B"] * 2 + ["C", "D", "E", "F", "G"]
    change = members.changed(incident(), [alert(name, began=-30) for name in names], (), later(1))
    (fact,) = change.facts
    # 7 names; the five most frequent are written out
    assert (fact.text, fact.data) == ("A ×3, B ×2, C, D, E and 2 other names", {"count": 10})
    assert (change.incident.firing, change.incident.began_at) == (1 + 10, later(-30))


def test_a_line_tells_why_they_joined_and_no_name_makes_it_long() -> None:
    told = [alert("x\n" * 50_000), alert("y" * 50_000)]
    (fact,) = members.changed(incident(), told, (), later(1), because="orders depends on db").facts
    assert fact.text.endswith("… (orders depends on db)")
    assert len(fact.text) < 300
    assert fact.data == {"count": 2, "because": "orders depends on db"}


@pytest.mark.parametrize(
    ("fields", "restored"),
    [
        pytest.param({"firing": 0}, True, id="quiet"),
        pytest.param({"firing": 1}, False, id="one fires"),
        pytest.param({"firing": 0, "held": True}, False, id="quiet as far as a cut-off list says"),
        pytest.param({"firing": 0, "flapping_at": NOW}, False, id="quiet while it flaps"),
    ],
)
@pytest.mark.parametrize("status", OPEN)
def test_it_is_restored_when_nothing_fires_and_nothing_speaks_against_it(
    status: Status, fields: dict[str, object], *, restored: bool
) -> None:
    change = members.settled(Change(incident=incident(status, **fields)), later(4), "why not")
    assert (change.incident.status is Status.RESOLVED) is restored
    assert [fact.text for fact in change.facts] == (["why not"] if restored else [])


@pytest.mark.parametrize("status", OVER)
def test_what_is_over_is_not_restored_again(status: Status) -> None:
    change = Change(incident=incident(status, firing=0))
    assert members.settled(change, later(4)) is change


# Flapping


@pytest.mark.parametrize(
    ("reopens", "minutes", "counted", "flaps"),
    [
        pytest.param(0, 1, 1, False, id="the first time"),
        pytest.param(1, 1, 2, False, id="the second"),
        pytest.param(2, 1, 3, True, id="the third: it flaps"),
        pytest.param(7, 30, 8, True, id="at the last moment of the window"),
        pytest.param(7, 31, 1, False, id="after a long quiet it counts anew"),
    ],
)
def test_reopened_too_often_it_flaps(reopens: int, minutes: float, counted: int, *, flaps: bool) -> None:
    before = incident(Status.RESOLVED, firing=0, reopens=reopens, resolved_at=NOW)
    change = members.fires_again(before, FLAPPING, later(minutes))
    found = change.incident
    assert (found.status, found.reopens) == ("triggered", counted)
    assert (found.flapping_at is not None, "flapping_started" in kinds(change)) == (flaps, flaps)
    assert kinds(change)[0] == "reopened"
    assert found.escalate_at == later(minutes), "it is paged"


def flapping(**fields: object) -> Incident:
    return incident(**{"flapping_at": NOW, "reopens": 3, **fields})


@pytest.mark.parametrize(
    ("before", "after", "settle_at", "reopens"),
    [
        pytest.param(flapping(firing=1), flapping(firing=0), later(14), 3, id="quiet begins"),
        pytest.param(
            flapping(firing=0, settle_at=later(9)),
            flapping(firing=0, settle_at=later(9)),
            later(9),
            3,
            id="quiet goes on",
        ),
        pytest.param(
            flapping(firing=0, settle_at=later(9)),
            flapping(firing=1, settle_at=later(9)),
            None,
            4,
            id="a re-fire is counted and the quiet was none",
        ),
        pytest.param(flapping(firing=1), flapping(firing=2), None, 3, id="one more fires"),
        pytest.param(incident(Status.RESOLVED, firing=0), flapping(firing=1), None, 3, id="it begins now"),
        pytest.param(incident(), incident(firing=0), None, 0, id="it does not flap"),
    ],
)
def test_every_quiet_of_a_flapping_incident_is_waited_for_and_every_refire_counted(
    before: Incident, after: Incident, settle_at: datetime | None, reopens: int
) -> None:
    found = members.flapped(before, Change(incident=after), FLAPPING, later(4)).incident
    assert (found.settle_at, found.reopens) == (settle_at, reopens)


def test_what_a_flapping_incidents_alerts_do_is_not_written_line_by_line() -> None:
    change = members.changed(flapping(), [alert()], [alert(ended=1)], later(4))
    assert change.facts == ()


def test_quiet_for_long_enough_ends_flapping_and_restores() -> None:
    change = members.settle(flapping(firing=0, settle_at=later(14), reopens=9), later(14))
    assert kinds(change) == ["flapping_stopped", "resolved"]
    assert change.facts[0].data == {"reopens": 9, "since": NOW}
    found = change.incident
    assert (found.status, found.flapping_at, found.settle_at, found.reopens) == ("resolved", None, None, 0)


def test_flapping_that_ends_in_doubt_leaves_the_incident_open() -> None:
    change = members.settle(flapping(firing=0, held=True), later(14))
    assert kinds(change) == ["flapping_stopped"]
    assert change.incident.is_open


# Storms


def test_the_end_of_a_storm_is_told_and_changes_nothing_else() -> None:
    before = incident(settle_at=later(1))
    change = members.settle(before, later(1))
    assert (kinds(change), change.facts[0].by, change.effects) == (["storm_over"], CLOCK, ())
    assert change.incident == replace(before, settle_at=None)


@pytest.mark.parametrize(
    ("fields", "minutes", "takes"),
    [
        pytest.param({"settle_at": later(5)}, 4, True, id="it goes on"),
        pytest.param({"settle_at": later(5)}, 5, False, id="it was calm for long enough"),
        pytest.param({}, 4, False, id="it is over"),
        pytest.param({"settle_at": later(5), "status": Status.RESOLVED}, 4, False, id="restored"),
        pytest.param({"settle_at": later(61)}, 59.9, True, id="for an hour"),
        pytest.param({"settle_at": later(61)}, 60, False, id="and no longer"),
    ],
)
def test_a_storm_takes_in_what_comes_while_it_goes_on(
    fields: dict[str, object], minutes: float, *, takes: bool
) -> None:
    assert timedelta(hours=1) == LONGEST_STORM
    assert members.storm_takes(incident(**fields), later(minutes)) is takes


# Cut-off lists


def test_an_incident_of_a_cut_off_list_is_in_doubt_and_says_so_once() -> None:
    change = members.hold(incident(), 37, later(4))
    assert (change.incident.held, kinds(change), change.facts[0].data) == (True, ["held"], {"hidden": 37})
    assert members.hold(change.incident, 40, later(5)) == Change(incident=change.incident)


@pytest.mark.parametrize("status", OVER)
def test_what_is_over_is_not_put_in_doubt(status: Status) -> None:
    before = incident(status)
    assert members.hold(before, 37, later(4)) == Change(incident=before)


def test_the_full_list_ends_the_doubt_and_restores_what_is_quiet() -> None:
    burning = members.release(incident(held=True), later(4), "known")
    assert (burning.incident.held, kinds(burning), burning.incident.is_open) == (False, ["released"], True)
    quiet = members.release(incident(held=True, firing=0), later(4), "known")
    assert (kinds(quiet), quiet.incident.status) == (["released", "resolved"], "resolved")
    assert quiet.facts[1].text == "known"
    sure = incident(firing=0)
    assert members.release(sure, later(4), "known") == Change(incident=sure), "it was never in doubt"


# Maintenance


def test_a_muted_incident_has_no_due_step_and_starts_no_failover() -> None:
    asked = (Effect(kind="failover", key="f"), Effect(kind="ticket", key="t"))
    change = members.mute(Change(incident=incident(), effects=asked), later(60), later(4))
    found = change.incident
    assert (found.muted_until, found.escalate_at, found.round_at) == (later(60), None, None)
    assert [effect.kind for effect in change.effects] == ["ticket"]
    assert (kinds(change), change.facts[0].data) == (["muted"], {"until": later(60)})


@pytest.mark.parametrize(
    ("known", "told"),
    [(None, ["muted"]), (later(30), ["muted"]), (later(60), []), (later(90), [])],
    ids=["not muted yet", "for longer than before", "for as long", "for less long"],
)
def test_muting_is_told_when_it_lasts_longer_than_was_known(known: datetime | None, told: list[str]) -> None:
    change = members.mute(Change(incident=incident(muted_until=known)), later(60), later(4))
    assert (kinds(change), change.incident.muted_until) == (told, later(60))


@pytest.mark.parametrize(
    ("fields", "paged"),
    [
        pytest.param({}, True, id="it fires"),
        pytest.param({"firing": 0}, False, id="nothing fires: reopened by hand"),
        pytest.param({"firing": 0, "flapping_at": NOW}, True, id="quiet at this moment, but it flaps"),
        pytest.param({"firing": 0, "held": True}, True, id="quiet as far as a cut-off list says"),
        pytest.param({"status": Status.ACKNOWLEDGED}, False, id="somebody took it"),
        pytest.param({"status": Status.RESOLVED, "firing": 0}, False, id="over"),
        pytest.param({"policy": Policy(name="page")}, False, id="its priority pages nobody"),
    ],
)
def test_after_maintenance_what_is_not_over_is_paged_from_the_first_step(
    fields: dict[str, object], *, paged: bool
) -> None:
    muted = {"muted_until": later(60), "escalate_at": None, "round_at": None, "step": 1}
    change = members.unmute(incident(**{**muted, **fields}), later(60))
    assert (kinds(change), change.incident.muted_until) == (["unmuted"], None)
    assert change.incident.escalate_at == (later(60) if paged else None)
    assert not paged or change.incident.step == 0


# Silenced, inhibited, stale


def test_what_holds_alerts_back_is_told_one_line_a_state_and_is_no_end() -> None:
    before = incident(firing=4)
    told = [
        alert("A", standing=State.SILENCED, held_by="silence s1 by li"),
        alert("B", standing=State.SILENCED, held_by="silence s1 by li"),
        alert("C", standing=State.STALE, held_by="nobody knows"),
        alert("D"),
    ]
    change = members.held_back(before, told, later(4))
    assert change.incident == before
    assert [(fact.kind, fact.text) for fact in change.facts] == [
        ("alerts_silenced", "A, B (silence s1 by li)"),
        ("alerts_stale", "C (nobody knows)"),
        ("alerts_firing", "D"),
    ]
