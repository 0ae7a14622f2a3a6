"""Which incident new episodes get: that of their key, of a service they need, of a storm, or a new one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge.correlation import Candidates, Member, Slot, Terms, highest, is_storm, placed, storm_key
from bridge.episodes import Episode
from bridge.model import Alert, Incident, Policy, Priority, Status, Verdict
from bridge.selfwatch import SOURCE
from bridge.triage import Known, Rule, ServiceFacts

NOW = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
NEEDS = {
    "orders": ("db",),
    "bonus": ("orders",),
    "reports": ("db",),
    "chicken": ("egg",),
    "egg": ("chicken",),
    "self": ("self",),
    "db": (),
}
KNOWN = Known(
    rules=(Rule(name="all"),),
    version="v",
    services={name: ServiceFacts(depends_on=needed) for name, needed in NEEDS.items()},
)
CALM = Terms(needs=KNOWN.needs, storm_from=0)
STORMY = Terms(needs=KNOWN.needs, storm_from=3)


def member(
    service: str = "",
    *,
    key: str = "",
    client: str = "acme",
    source: str = "am",
    priority: Priority = Priority.P2,
    plan: str = "",
) -> Member:
    """A new episode with the verdict on it."""
    key = key or f"{client}/{service}"
    verdict = Verdict(
        rule="r", priority=priority, client=client, service=service, key=key, title=key, plan=plan
    )
    return Episode(alert=Alert(source=source, fingerprint=key, starts_at=NOW)), 0, verdict


def groups(*members: Member) -> dict[str, list[Member]]:
    """The members by their key, as admission hands them over."""
    found: dict[str, list[Member]] = {}
    for each in members:
        found.setdefault(each[2].key, []).append(each)
    return found


def burning(service: str = "", *, client: str = "acme", **fields: object) -> Incident:
    """An open incident."""
    made = Incident(
        number=1,
        key=f"{client}/{service}",
        status=Status.TRIGGERED,
        priority=Priority.P2,
        client=client,
        service=service,
        title="t",
        began_at=NOW,
        opened_at=NOW,
        rule="r",
        rules_version="v",
        policy=Policy(name=""),
        firing=1,
    )
    return replace(made, **fields)


def storm(**fields: object) -> Incident:
    """A storm that goes on."""
    usual = {"key": storm_key("acme"), "settle_at": NOW + timedelta(seconds=30), "number": 9}
    return burning(**{**usual, **fields})


def sizes(slots: list[Slot]) -> dict[str, int]:
    """How many episodes each slot got, by its key."""
    return {slot.key: len(slot.episodes) for slot in slots}


# Keys


def test_a_known_key_joins_its_incident_and_an_unknown_one_opens_its_own() -> None:
    known = burning("db")
    told = groups(member("db"), member("db"), member("web"))
    slots = placed(told, Candidates(by_key={known.key: known}), CALM, NOW)
    assert [(slot.found, len(slot.episodes), slot.because) for slot in slots] == [
        (known, 2, ""),
        (None, 1, ""),
    ]


def test_nothing_new_needs_no_incident() -> None:
    assert placed({}, Candidates(), STORMY, NOW) == []


@pytest.mark.parametrize(
    ("members", "plan", "priority"),
    [
        ([member(priority=Priority.P3), member(priority=Priority.P1, plan="x")], "x", "P1"),
        ([member(priority=Priority.P1), member(priority=Priority.P1, plan="x")], "x", "P1"),
        ([member(priority=Priority.P1), member(priority=Priority.P2, plan="x")], "", "P1"),
    ],
    ids=["the most urgent", "of equals the one with a plan", "a plan does not beat urgency"],
)
def test_the_most_urgent_verdict_decides(members: list[Member], plan: str, priority: str) -> None:
    found = highest(verdict for _, _, verdict in members)
    assert (found.priority, found.plan) == (priority, plan)
    (slot,) = placed(groups(*members), Candidates(), CALM, NOW)
    assert slot.verdict is found


# Dependencies


def test_needs_reach_through_others_and_no_circle_hinders() -> None:
    assert KNOWN.needs == {
        "orders": {"db"},
        "bonus": {"orders", "db"},
        "reports": {"db"},
        "chicken": {"egg"},
        "egg": {"chicken"},
    }


@pytest.mark.parametrize("order", [("bonus", "orders", "db"), ("db", "bonus", "orders")])
def test_of_one_delivery_the_needed_service_has_the_incident(order: tuple[str, ...]) -> None:
    slots = placed(groups(*map(member, order)), Candidates(), CALM, NOW)
    assert sizes(slots) == {"acme/db": 3}
    assert slots[0].verdict.service == "db"


def test_services_that_need_one_another_are_one_incident_of_the_first() -> None:
    assert sizes(placed(groups(member("egg"), member("chicken")), Candidates(), CALM, NOW)) == {"acme/egg": 2}
    assert sizes(placed(groups(member("chicken"), member("egg")), Candidates(), CALM, NOW)) == {
        "acme/chicken": 2
    }


@pytest.mark.parametrize(
    ("root", "joins"),
    [
        pytest.param(burning("db"), True, id="its own client's"),
        pytest.param(burning("db", client=""), True, id="shared by all"),
        pytest.param(burning("db", client="nord"), False, id="another client's"),
        pytest.param(burning("db", firing=0), False, id="nothing of it fires"),
        pytest.param(burning("bonus"), False, id="what needs it is not what it needs"),
    ],
)
def test_an_alert_joins_the_burning_incident_of_what_its_service_needs(
    root: Incident, *, joins: bool
) -> None:
    (slot,) = placed(groups(member("orders")), Candidates(needed=(root,)), CALM, NOW)
    assert slot.found == (root if joins else None)
    assert slot.because == ("orders depends on db" if joins else "")
    assert slot.key == (root.key if joins else "acme/orders")


def test_its_own_incident_goes_before_that_of_a_cause() -> None:
    own = burning("orders", number=2)
    known = Candidates(by_key={own.key: own}, needed=(burning("db"),))
    (slot,) = placed(groups(member("orders")), known, CALM, NOW)
    assert slot.found is own


def test_several_dependants_join_one_cause_together() -> None:
    known = Candidates(needed=(burning("db"),))
    slots = placed(groups(member("orders"), member("bonus"), member("reports")), known, CALM, NOW)
    assert sizes(slots) == {"acme/db": 3}


def test_of_one_delivery_another_clients_service_is_no_cause() -> None:
    slots = placed(groups(member("db", client="nord"), member("orders")), Candidates(), CALM, NOW)
    assert sizes(slots) == {"nord/db": 1, "acme/orders": 1}
    shared = groups(member("db", client=""), member("orders"), member("orders", client="nord"))
    assert sizes(placed(shared, Candidates(), CALM, NOW)) == {"/db": 3}


# Storms


def many(count: int, **fields: str) -> dict[str, list[Member]]:
    return groups(*(member(f"s{number}", **fields) for number in range(count)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("new", "lately", "own", "in_storm"),
    [
        pytest.param(3, 0, 3, 0, id="as many as allowed"),
        pytest.param(4, 0, 3, 1, id="one more"),
        pytest.param(500, 0, 3, 497, id="a storm"),
        pytest.param(2, 2, 1, 1, id="together with those opened a moment ago"),
        pytest.param(1, 3, 0, 1, id="so many were opened a moment ago"),
    ],
)
def test_more_new_incidents_of_a_client_than_allowed_are_a_storm(
    new: int, lately: int, own: int, in_storm: int
) -> None:
    slots = placed(many(new), Candidates(opened_lately=Counter(acme=lately)), STORMY, NOW)
    stormy = [slot for slot in slots if slot.key == storm_key("acme")]
    assert len(slots) - len(stormy) == own
    assert sum(len(slot.episodes) for slot in stormy) == in_storm
    for slot in stormy:
        assert (slot.verdict.rule, slot.verdict.service) == ("storm", "")
        assert slot.verdict.title == "A storm of problems: acme"


def test_with_zero_there_are_no_storms_not_even_one_that_goes_on() -> None:
    going = Candidates(by_key={storm_key("acme"): storm()}, opened_lately=Counter(acme=100))
    assert len(placed(many(50), going, CALM, NOW)) == 50


def test_clients_have_storms_of_their_own() -> None:
    told = {**many(5), **many(3, client="nord"), **many(4, client="")}
    slots = placed(told, Candidates(), STORMY, NOW)
    assert {slot.key: len(slot.episodes) for slot in slots if slot.verdict.rule == "storm"} == {
        storm_key("acme"): 2,
        storm_key(""): 1,
    }
    titles = {slot.verdict.title for slot in slots if slot.verdict.rule == "storm"}
    assert titles == {"A storm of problems: acme", "A storm of problems: no known client"}


def test_what_opsbridge_says_of_itself_is_never_part_of_a_storm() -> None:
    going = Candidates(by_key={storm_key(""): storm(client="", key=storm_key(""))})
    assert all(slot.found is None for slot in placed(many(9, client="", source=SOURCE), going, STORMY, NOW))
    told = {**many(3, client=""), **groups(member("opsbridge", client="", source=SOURCE))}
    assert len(placed(told, Candidates(), STORMY, NOW)) == 4


@pytest.mark.parametrize(
    ("fields", "joins"),
    [
        pytest.param({}, True, id="it goes on"),
        pytest.param({"settle_at": NOW}, False, id="it has been calm for long enough"),
        pytest.param({"settle_at": None}, False, id="it is over"),
        pytest.param({"status": Status.RESOLVED}, False, id="it is restored"),
        pytest.param(
            {"opened_at": NOW - timedelta(hours=1)}, False, id="it lasts for too long to be a storm"
        ),
    ],
)
def test_a_new_problem_joins_a_storm_that_goes_on(fields: dict[str, object], *, joins: bool) -> None:
    found = storm(**fields)
    (slot,) = placed(many(1), Candidates(by_key={found.key: found}), STORMY, NOW)
    assert slot.found == (found if joins else None)
    assert slot.because == ("it came in a storm" if joins else "")


def test_a_second_storm_soon_after_reopens_the_incident_of_the_first() -> None:
    over = storm(status=Status.RESOLVED, settle_at=None)
    slots = placed(many(4), Candidates(by_key={over.key: over}), STORMY, NOW)
    assert [slot.found for slot in slots] == [None, None, None, over]


def test_known_keys_and_needed_services_come_before_a_storm() -> None:
    own, root = burning("s0", number=2), burning("db", number=3)
    going = storm()
    known = Candidates(by_key={own.key: own, going.key: going}, needed=(root,))
    slots = placed(groups(member("s0"), member("orders"), member("s1")), known, STORMY, NOW)
    assert [slot.found for slot in slots] == [own, going, root]


def test_every_episode_gets_exactly_one_slot() -> None:
    told = {**many(9), **many(2, client="nord"), **groups(member("db"), member("bonus"), member("orders"))}
    given = [each[0].identity for slot in placed(told, Candidates(), STORMY, NOW) for each in slot.episodes]
    wanted = [each[0].identity for members in told.values() for each in members]
    assert sorted(given) == sorted(wanted)


@pytest.mark.parametrize(
    ("key", "client", "expected"),
    [
        (storm_key("acme"), "acme", True),
        (storm_key(""), "", True),
        (storm_key("nord"), "acme", False),
        ("storm=a", "acme", False),
    ],
)
def test_a_storms_incident_is_known_by_its_key_and_client(key: str, client: str, *, expected: bool) -> None:
    assert is_storm(burning(client=client, key=key)) is expected
