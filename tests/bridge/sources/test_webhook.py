"""What Alertmanager's and Grafana's bodies share, and that the fast way reads what the lenient one does."""

from __future__ import annotations

import json
import time
import timeit
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.sources import Delivery, NotUnderstood, alertmanager, webhook
from tests.bridge.sources.test_alertmanager import (
    ALERT,
    BODIES,
    SMALL,
    ZERO,
    captured,
    decode,
    mutated,
    one,
)
from tests.bridge.sources.test_alertmanager import (
    webhook as written,
)
from tests.bridge.sources.test_contract import NOW

LENIENT = "not strict JSON: read leniently"
FOR_THE_LENIENT = [
    pytest.param({"startsAt": ZERO}, id="no start"),
    pytest.param({"startsAt": "0001-01-01T00:00:00+14:00"}, id="year 1 east of Greenwich"),
    pytest.param({"startsAt": "9999-12-31T23:59:59-14:00"}, id="year 9999 west of Greenwich"),
    pytest.param({"startsAt": "1989-12-31T23:59:59Z"}, id="before 1990"),
    pytest.param({"startsAt": "2026-11-23T08:00:01Z"}, id="a day ahead"),
    pytest.param({"startsAt": "2026-11-22T07:59:00"}, id="no zone"),
    pytest.param({"startsAt": 1764032400}, id="a number"),
    pytest.param({"status": "Resolved"}, id="status"),
    pytest.param({"status": "resolved", "endsAt": ZERO}, id="no end"),
    pytest.param({"status": "resolved", "endsAt": "2026-11-22T07:00:00Z"}, id="an end before the start"),
    pytest.param({"status": "resolved", "endsAt": "2036-11-22T07:00:00Z"}, id="an end far ahead"),
    pytest.param({"labels": {"a": 1}}, id="a label that is no text"),
    pytest.param({"labels": {f"l{number}": "v" for number in range(501)}}, id="501 labels"),
    pytest.param({"labels": {"a": "b\0"}}, id="NUL"),
    pytest.param({"labels": {"a": "\ud800"}}, id="half a surrogate pair"),
    pytest.param({"annotations": {f"a{number}": "v" for number in range(501)}}, id="501 annotations"),
    pytest.param({"annotations": ["x"]}, id="annotations"),
    pytest.param({"annotations": None}, id="no annotations"),
    pytest.param({"fingerprint": ""}, id="no fingerprint"),
    pytest.param({"fingerprint": "f" * 129}, id="a long fingerprint"),
    pytest.param({"generatorURL": "http://x/" + "l" * 4_000}, id="a long link"),
    pytest.param({"generatorURL": None}, id="no link"),
]


def delivery(body: bytes) -> Delivery:
    return Delivery("main", body, {}, NOW)


def test_whatever_alertmanager_really_sent_takes_the_fast_way() -> None:
    slow = [name for name in BODIES if alertmanager._plain(delivery(captured(name))) is None]
    assert [name for name in slow if b"\\u0000" not in captured(name)] == []
    assert len(slow) < len(BODIES) / 20


@pytest.mark.parametrize("name", BODIES)
def test_both_ways_read_the_same_in_what_was_captured(name: str) -> None:
    both(captured(name))


@pytest.mark.parametrize("changes", FOR_THE_LENIENT)
def test_whatever_is_odd_about_one_alert_sends_all_the_lenient_way(changes: dict[str, Any]) -> None:
    body = written(ALERT, {**ALERT, "fingerprint": "other", **changes}, ALERT | {"fingerprint": "third"})
    assert alertmanager._plain(delivery(body)) is None
    assert len(decode(body).alerts) == 3


@pytest.mark.parametrize(
    "changes",
    [
        *({"version": version} for version in (4, "5", None)),
        *({"truncatedAlerts": count} for count in (-1, 1.5, True, 10**7, None)),
        *({"groupKey": key} for key in ("g" * 4_001, None, 5)),
        {"receiver": "r" * 401},
        {"routeLabels": {"a": 1}},
        {"alerts": []},
    ],
    ids=str,
)
def test_whatever_is_odd_around_the_alerts_too(changes: dict[str, Any]) -> None:
    assert alertmanager._plain(delivery(written(ALERT, **changes))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"startsAt": "2026-11-22T15:59:00.123+08:00"},
        {"startsAt": "2026-11-22T07:59:00." + "0" * 80 + "Z"},
        {"startsAt": "2026-11-23T08:00:00Z"},
        {"startsAt": "1990-01-01T00:00:00Z"},
        {"status": "resolved", "endsAt": "2026-11-22T15:59:30.123456789+08:00"},
        {"status": "resolved", "endsAt": ALERT["startsAt"]},
        {"labels": {f"l{number}": "v" for number in range(500)}},
        {"fingerprint": "f" * 128},
        {"generatorURL": "l" * 4_000},
        {"annotations": {}},
        {"unknown": {"a": [None, 1.5, {"b": []}]}},
        {"labels": {"服务.名称": "", "": "\u2028", "a b": "\U0001f469"}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_what_is_only_rare_takes_the_fast_way_and_means_the_same(changes: dict[str, Any]) -> None:
    assert both(written({**ALERT, **changes}, receiver=r"ops\.p1 \(eu\)", routeLabels={"priority": "P1"}))


def both(body: bytes) -> bool:
    """Assert that the two ways agree; False when the fast one does not take the body.

    They may differ in a word about keys nobody reads: the fast way does not look at their values.
    """
    fast = alertmanager._plain(delivery(body))
    if fast is None:
        return False
    assert fast.flaws == ()
    try:
        lenient = webhook.notification(delivery(body), "4")
    except NotUnderstood:
        return True  # broken in a key nobody reads: the fast way even takes more
    assert replace(lenient, flaws=()) == fast
    assert set(lenient.flaws) <= {LENIENT}
    assert all(alert.starts_at.tzinfo is UTC for alert in fast.alerts)
    return True


@settings(max_examples=400, deadline=2_000)
@given(mutated())
def test_both_ways_read_the_same_in_a_mutated_body(case: tuple[bytes, int]) -> None:
    both(case[0])


@settings(max_examples=400, deadline=2_000)
@given(st.sampled_from(SMALL), st.data())
def test_both_ways_read_the_same_in_a_damaged_body(name: str, data: st.DataObject) -> None:
    body = bytearray(captured(name))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    both(bytes(body))


TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(
    lambda moment: moment.isoformat()
) | st.timedeltas(timedelta(days=-3), timedelta(days=3)).map(lambda ahead: (NOW + ahead).isoformat())


@settings(max_examples=400, deadline=2_000)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "status": st.sampled_from(["firing", "resolved"]),
                "labels": st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
                "startsAt": TIMES,
                "endsAt": TIMES,
                "fingerprint": st.text(max_size=3),
            }
        ),
        max_size=4,
    )
)
def test_both_ways_read_the_same_in_any_alerts(alerts: list[dict[str, Any]]) -> None:
    both(written(*alerts))
    both(json.dumps({"version": "4", "alerts": alerts}, ensure_ascii=False).encode("utf-8", "replace"))


def test_the_fast_way_is_much_faster() -> None:
    """A ratio on one machine, far from the twice that it really is."""
    told = delivery(captured("group_1000"))
    fast = min(timeit.repeat(lambda: alertmanager._plain(told), number=3, repeat=5, timer=time.thread_time))
    lenient = min(
        timeit.repeat(lambda: webhook.notification(told, "4"), number=3, repeat=5, timer=time.thread_time)
    )
    assert fast < lenient / 1.2


@pytest.mark.parametrize(
    ("arrives", "name"),
    [
        (r"sre\.team \(eu\) \[p1\]\+", "sre.team (eu) [p1]+"),
        (r"a\\b", r"a\b"),
        (r"\\\.", r"\."),
        ("plain-名", "plain-名"),
        (r"\d not from Go", r"\d not from Go"),
    ],
)
def test_a_receiver_has_the_name_it_was_configured_with(arrives: str, name: str) -> None:
    assert decode(written(ALERT, receiver=arrives)).receiver == name
    assert decode(written({**ALERT, "status": "odd"}, receiver=arrives)).receiver == name


# What cannot be taken as it is


@pytest.mark.parametrize(
    "broken",
    [
        None,
        5,
        "text 名",
        [],
        {},
        {"labels": None, "annotations": {"summary": "lost?"}},
        {"labels": {}},
        "\ud800",
    ],
    ids=ascii,
)
def test_an_alert_that_cannot_be_read_is_handed_on_as_its_json(broken: Any) -> None:
    found = decode(written(broken, ALERT))
    (part,) = found.unread
    assert json.loads(part) == broken
    part.encode()
    assert "an alert without labels is kept in quarantine" in found.flaws


def test_a_thousand_unreadable_alerts_are_a_hundred_parts_and_the_rest() -> None:
    found = decode(written(*range(1_000), ALERT))
    assert len(found.unread) == 101
    assert json.loads(found.unread[0]) == 0
    assert json.loads(found.unread[-1]) == list(range(100, 1_000))


def test_what_is_too_long_or_odd_for_its_place_stands_in_the_annotations() -> None:
    found = one(annotations=["a", "list"], generatorURL="http://x/" + "l" * 5_000 + "end")
    (alert,) = found.alerts
    assert alert.annotations["annotations"] == '["a", "list"]'
    assert alert.annotations["link"].endswith("lend")
    assert alert.link == "", "half an address leads nowhere"
    assert len(found.flaws) == 2
    many = one(annotations={f"a{number}": "v" for number in range(502)}).alerts[0].annotations
    assert json.loads(many["annotations_left_out"]) == {"a500": "v", "a501": "v"}


def test_two_alerts_with_one_fingerprint_are_two_alerts_and_copies_are_one() -> None:
    other = {**ALERT, "labels": {"alertname": "Other"}}
    found = decode(written(ALERT, other, ALERT))
    assert len({alert.fingerprint for alert in found.alerts}) == 2
    assert found.flaws == ("one fingerprint for different labels: it is made of the labels",)
    copies = decode(written(ALERT, ALERT))
    assert (len({alert.fingerprint for alert in copies.alerts}), copies.flaws) == (1, ())
    halves = decode(written({**ALERT, "fingerprint": "\ud800"}, {**other, "fingerprint": "\ud801"}))
    assert halves.alerts[0].fingerprint != halves.alerts[1].fingerprint


def test_an_end_before_its_start_is_told() -> None:
    found = one(status="resolved", endsAt="2026-11-22T07:00:00Z")
    assert found.flaws == ("endsAt before startsAt: it ended when it began",)
