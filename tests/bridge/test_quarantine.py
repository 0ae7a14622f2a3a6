"""Quarantine: kept raw and told, tried again by people and after an upgrade, dismissed. On both databases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from bridge import quarantine
from bridge.incident import NotAllowed
from bridge.metrics import program_version
from bridge.model import Notification
from bridge.sources import Delivery
from bridge.store import history, incidents
from bridge.store.quarantine import NoSuchBody
from bridge.store.schema import alerts, deliveries
from bridge.store.schema import quarantine as table
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.stories import LI, alert, read, tell


def one(**more: Any) -> dict[str, Any]:
    """An alert as Alertmanager sends it."""
    return {
        "status": "firing",
        "labels": {"alertname": "Timeout", "client": "acme", "service": "payments", "severity": "critical"},
        "annotations": {},
        "startsAt": START.isoformat(),
        "fingerprint": "f1",
    } | more


def body(version: str = "4", *told: Any) -> bytes:
    return msgspec.json.encode({"version": version, "alerts": list(told or [one()])})


def kept(bridge: Bridge, raw: bytes, source: str = "main", kind: str = "alertmanager") -> int:
    """Keep a body that could not be read; its number."""
    delivery = Delivery(source, raw, {"Content-Type": "application/json"}, bridge.now())
    quarantine.keep(bridge, f"first{len(rows(bridge))}", kind, delivery, "not the JSON of a webhook")
    return int(rows(bridge)[-1].id)


def rows(bridge: Bridge) -> list[Any]:
    with bridge.database.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)))


def firing(bridge: Bridge) -> list[str]:
    """What fires, by name."""
    with bridge.database.reading() as connection:
        found = connection.execute(select(alerts.c.labels).where(alerts.c.ends_at.is_(None))).scalars()
        return sorted(labels["alertname"] for labels in found)


def test_a_body_is_kept_with_what_another_try_needs_and_people_are_told(bridge: Bridge) -> None:
    kept(bridge, b"\xff\x00 nonsense")
    [row] = rows(bridge)
    assert (row.source, row.kind, row.content_type) == ("main", "alertmanager", "application/json")
    assert (row.body, row.trace, row.received_at) == (b"\xff\x00 nonsense", "first0", START)
    assert (row.version, row.settled_at, row.outcome) == (program_version(), None, "")
    assert firing(bridge) == ["BridgeQuarantine"]
    assert bridge.metrics.registry.get_sample_value("bridge_quarantined_total", {"source": "main"}) == 1


def test_what_can_be_read_by_now_is_taken_like_a_delivery(bridge: Bridge, clock: Clock) -> None:
    number = kept(bridge, body())
    clock.forward(hours=3)
    found = quarantine.retry(bridge, number)
    assert (found.taken, found.incidents) == (True, ("INC-2",))
    assert (read(bridge, 2).priority, read(bridge, 2).client) == ("P1", "acme")
    [row] = rows(bridge)
    assert (row.settled_at, row.outcome) == (clock.moment, f"taken by trace {found.said}")
    with bridge.database.reading() as connection:
        delivery = connection.execute(select(deliveries).where(deliveries.c.trace == found.said)).one()
    assert (delivery.source, delivery.received_at, delivery.size) == ("main", START, len(body()))
    assert delivery.flaws == ["from quarantine: first received as trace first0"]


def test_what_still_cannot_be_read_stays_with_the_new_reason(bridge: Bridge) -> None:
    number = kept(bridge, body("99"))
    bridge.database.run(lambda c: c.execute(update(table).values(version="0.0.1")))
    found = quarantine.retry(bridge, number)
    assert (found.taken, found.incidents) == (False, ())
    [row] = rows(bridge)
    assert row.settled_at is None
    assert row.reason == found.said == "version '99' of the webhook; this reads version 4"
    assert row.version == program_version()
    assert firing(bridge) == ["BridgeQuarantine"]


def test_a_part_of_a_delivery_is_tried_as_a_delivery_of_its_own(bridge: Bridge) -> None:
    part = msgspec.json.encode(one()).decode()
    tell(bridge, alert("Disk", starts=START, severity="info"), unread=(part, f"[{part}, {part}]", "[1]"))
    assert [row.kind for row in rows(bridge)] == ["alert"] * 3
    assert [quarantine.retry(bridge, row.id).taken for row in rows(bridge)] == [True, True, False]
    assert firing(bridge) == ["BridgeQuarantine", "Disk", "Timeout"]
    assert "no alert in it can be read" in rows(bridge)[-1].reason


def test_the_source_as_it_is_now_reads_it(bridge: Bridge) -> None:
    number = kept(bridge, body(), source="gone")
    assert "no source 'gone' in the configuration" in quarantine.retry(bridge, number).said
    form = kept(bridge, msgspec.json.encode(one()), source="form", kind="alert")
    assert "a part of a webhook, but 'form' is form now" in quarantine.retry(bridge, form).said
    report = kept(bridge, b"title=It+is+slow", source="form", kind="form")
    bridge.database.run(
        lambda c: c.execute(update(table).values(content_type="application/x-www-form-urlencoded"))
    )
    assert quarantine.retry(bridge, report).taken


def test_what_breaks_the_program_stays_and_stops_nothing_else(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = kept(bridge, body()), kept(bridge, body("4", one(fingerprint="f2")))
    admit = quarantine.admit

    def breaking(connection: Any, waiting: Any, *rest: Any) -> Any:
        if any(told.fingerprint == "f1" for told in waiting[0].notification.alerts):
            raise ZeroDivisionError
        return admit(connection, waiting, *rest)

    monkeypatch.setattr(quarantine, "admit", breaking)
    found = quarantine.retry_all(bridge)
    assert [(one.number, one.taken) for one in found] == [(first, False), (second, True)]
    assert rows(bridge)[0].reason == "opsbridge broke on it: ZeroDivisionError"
    assert rows(bridge)[0].settled_at is None


def test_the_self_incident_ends_with_the_last_that_waits_of_its_source(bridge: Bridge) -> None:
    mine, other, more = kept(bridge, body()), kept(bridge, b"x", source="second"), kept(bridge, b"{}")
    quarantine.retry(bridge, mine)
    assert firing(bridge) == ["BridgeQuarantine", "BridgeQuarantine", "Timeout"]
    quarantine.dismiss(bridge, more, LI, "a test of ours")
    assert firing(bridge) == ["BridgeQuarantine", "Timeout"]
    assert (read(bridge, 1).title, read(bridge, 1).is_open) == ("A delivery could not be understood", True)
    quarantine.dismiss(bridge, other, LI, "and another")
    assert firing(bridge) == ["Timeout"]
    assert not read(bridge, 1).is_open


def test_nothing_ends_twice_and_a_new_one_is_told_again(bridge: Bridge, clock: Clock) -> None:
    quarantine.dismiss(bridge, kept(bridge, b"x"), LI, "noise")
    clock.forward(minutes=5)
    quarantine.dismiss(bridge, kept(bridge, b"y"), LI, "noise")
    clock.forward(minutes=5)
    kept(bridge, b"z")
    assert firing(bridge) == ["BridgeQuarantine"]


def test_a_dismissal_needs_a_reason_and_says_who(bridge: Bridge) -> None:
    number = kept(bridge, b"x")
    with pytest.raises(NotAllowed, match="say why"):
        quarantine.dismiss(bridge, number, LI, "  ")
    quarantine.dismiss(bridge, number, LI, "a curl\nof mine")
    assert rows(bridge)[0].outcome == "dismissed by li: a curl of mine"
    with pytest.raises(NotAllowed, match="is settled"):
        quarantine.dismiss(bridge, number, LI, "again")
    with pytest.raises(NotAllowed, match="is settled: dismissed by li"):
        quarantine.retry(bridge, number)
    with pytest.raises(NoSuchBody):
        quarantine.retry(bridge, 99)
    with pytest.raises(NoSuchBody):
        quarantine.dismiss(bridge, 99, LI, "x")


def test_of_two_who_try_at_once_one_takes_it(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    number = kept(bridge, body())
    read_row = quarantine._read

    def slowly(*arguments: Any) -> tuple[Delivery, Notification]:
        found = read_row(*arguments)
        monkeypatch.setattr(quarantine, "_read", read_row)
        assert quarantine.retry(bridge, number).taken
        return found

    monkeypatch.setattr(quarantine, "_read", slowly)
    with pytest.raises(NotAllowed, match="meanwhile"):
        quarantine.retry(bridge, number)
    with bridge.database.reading() as connection:
        assert history.alert_counts(connection, [2])[2] == 1
        assert len(incidents.read_many(connection, range(1, 9))) == 2


def test_after_an_upgrade_what_an_older_version_kept_is_tried_once(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(bridge, body())
    kept(bridge, b"nonsense")
    assert quarantine.retry_after_upgrade(bridge) == 0
    assert len(rows(bridge)) == 2
    monkeypatch.setattr(quarantine, "program_version", lambda: "99.0")
    assert quarantine.retry_after_upgrade(bridge) == 1
    assert [row.settled_at is None for row in rows(bridge)] == [False, True]
    before = rows(bridge)
    assert quarantine.retry_after_upgrade(bridge) == 0
    assert rows(bridge) == before


def test_a_list_of_bodies_has_their_beginnings_and_sizes(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "LARGEST_SAMPLE", 4)
    kept(bridge, b"\xff" * 10)
    quarantine.dismiss(bridge, kept(bridge, b"abc"), LI, "noise")
    with bridge.database.reading() as connection:
        page = history.list_quarantine(connection, 10)
        assert [(row.body, row.size) for row in page.items] == [(b"abc", 3), (b"\xff" * 4, 10)]
        assert [history.list_quarantine(connection, 1, settled=flag).total for flag in (True, False)] == [
            1,
            1,
        ]
        assert history.list_quarantine(connection, 1, page.next or "").total == 2


def test_what_a_retried_alert_says_is_what_it_would_have_said_on_time(bridge: Bridge, clock: Clock) -> None:
    number = kept(bridge, body("4", one(startsAt="nonsense")))
    clock.forward(hours=2)
    quarantine.retry(bridge, number)
    with bridge.database.reading() as connection:
        row = connection.execute(select(alerts).where(alerts.c.fingerprint == "f1")).one()
    assert (row.starts_at, row.first_seen) == (START, clock.moment)
