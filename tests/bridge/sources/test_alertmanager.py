from __future__ import annotations

import contextlib
import copy
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import Notification
from bridge.sources import Delivery, NotUnderstood, alertmanager
from tests.bridge.sources.test_contract import NOW

CAPTURED = Path(__file__).parents[2] / "fixtures" / "alertmanager"
BODIES = sorted(file.stem for file in CAPTURED.glob("*.json"))
ZERO = "0001-01-01T00:00:00Z"
ALERT: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "PaymentGatewayTimeout", "gateway": "alipay"},
    "annotations": {"summary": "times out"},
    "startsAt": "2026-11-22T07:59:00.123Z",
    "endsAt": ZERO,
    "generatorURL": "http://prometheus.test/graph",
    "fingerprint": "0123456789abcdef",
}


def decode(body: bytes, at: datetime = NOW) -> Notification:
    return alertmanager.decode(alertmanager.Settings(), Delivery("main", body, {}, at))


def webhook(*alerts: Any, **other: Any) -> bytes:
    values = {"version": "4", "groupKey": "{}:{}", "receiver": "ops", "truncatedAlerts": 0, "alerts": alerts}
    return json.dumps({**values, **other}).encode()


def one(**changes: Any) -> Notification:
    return decode(webhook({**ALERT, **changes}))


def captured(name: str) -> bytes:
    return (CAPTURED / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", BODIES)
def test_everything_that_was_captured_is_read_whole(name: str) -> None:
    raw = json.loads(captured(name))
    found = decode(captured(name))
    assert found.flaws == ()
    assert found.hidden == raw["truncatedAlerts"]
    assert found.route_labels == raw.get("routeLabels", {})
    assert [alert.fingerprint for alert in found.alerts] == [alert["fingerprint"] for alert in raw["alerts"]]
    for alert, told in zip(found.alerts, raw["alerts"], strict=True):
        assert alert.labels == {key: text.replace("\0", "\u2400") for key, text in told["labels"].items()}
        assert set(alert.annotations) == set(told["annotations"])
        assert alert.state == told["status"]
        assert alert.link == told["generatorURL"]
        assert abs(alert.starts_at - datetime.fromisoformat(told["startsAt"][:19] + "Z")) < timedelta(
            seconds=1
        )
        assert (alert.ends_at is None) == (told["endsAt"] == ZERO)


def test_enough_was_captured() -> None:
    assert len(BODIES) > 100
    assert sum(name.startswith("v034") for name in BODIES) >= 5


@pytest.mark.parametrize("wire", [json.dumps(json.loads(captured("firing_single")), indent=1).encode()])
def test_a_repeat_is_the_same_episode_however_it_is_spelled(wire: bytes) -> None:
    assert decode(wire).alerts == decode(captured("firing_single")).alerts


@pytest.mark.parametrize(
    "starts_at",
    [
        *(
            ZERO,
            "9999-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-12:00",
            "-1",
            -1,
            5,
            1e300,
        ),
        *(True, None, [], {}, "", "yesterday", "2026-11-22T07:59:00", "2026-11-22T24:00:00Z", "9" * 5_000),
        *("2016-12-31T23:59:60Z", "nan", "2036-11-22T00:00:00Z", "1989-12-31T23:59:59Z"),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_a_start_that_cannot_be_means_now(starts_at: Any, status: str) -> None:
    found = one(startsAt=starts_at, status=status, endsAt="2026-11-22T07:59:30Z")
    (alert,) = found.alerts
    assert alert.starts_at == NOW
    assert found.flaws
    for zone in ("America/New_York", "Asia/Shanghai", "Pacific/Kiritimati"):
        assert alert.starts_at.astimezone(ZoneInfo(zone))


@pytest.mark.parametrize(
    ("ends_at", "kept"),
    [
        ("2026-11-22T07:59:30Z", datetime(2026, 11, 22, 7, 59, 30, tzinfo=UTC)),
        ("2026-11-22T15:59:30.123456789+08:00", datetime(2026, 11, 22, 7, 59, 30, 123457, tzinfo=UTC)),
        ("2026-11-22T07:00:00Z", datetime(2026, 11, 22, 7, 59, 0, 123000, tzinfo=UTC)),
        (ZERO, NOW),
        ("9999-12-31T23:59:59Z", NOW),
        (None, NOW),
        (7, NOW),
    ],
    ids=str,
)
def test_resolved_always_has_an_end_not_before_its_start(ends_at: Any, kept: datetime) -> None:
    (alert,) = one(status="resolved", endsAt=ends_at).alerts
    assert alert.ends_at == kept
    assert alert.ends_at >= alert.starts_at


def test_a_start_a_little_ahead_is_another_clock() -> None:
    (alert,) = one(startsAt="2026-11-22T10:00:00Z").alerts
    assert alert.starts_at == NOW + timedelta(hours=2)
    (alert,) = one(startsAt="2026-11-22T10:00:00Z", status="resolved", endsAt=None).alerts
    assert alert.ends_at == alert.starts_at


@pytest.mark.parametrize("status", ["suppressed", "Resolved", "RESOLVED", "", None, 5, [], {"a": 1}])
def test_an_unknown_status_is_taken_as_firing(status: Any) -> None:
    found = one(status=status, endsAt="2026-11-22T07:59:30Z")
    assert found.alerts[0].ends_at is None
    assert found.flaws


@pytest.mark.parametrize("version", ["5", "1", None, 5, [], {"a": [1]}, "", True])
def test_another_version_goes_to_quarantine(version: Any) -> None:
    with pytest.raises(NotUnderstood, match="version"):
        decode(webhook(ALERT, version=version))


@pytest.mark.parametrize("version", ["4", 4])
def test_version_4(version: Any) -> None:
    assert decode(webhook(ALERT, version=version)).flaws == ()


@pytest.mark.parametrize(
    ("told", "hidden"),
    [
        (0, 0),
        (37, 37),
        (37.0, 37),
        (10**30, 1_000_000),
        (-1, 0),
        (True, 0),
        ("x", 0),
        (None, 0),
        (1e300, 1_000_000),
    ],
    ids=str,
)
def test_hidden_alerts_are_counted_in_what_a_database_holds(told: Any, hidden: int) -> None:
    assert decode(webhook(ALERT, truncatedAlerts=told)).hidden == hidden


@pytest.mark.parametrize(
    "value",
    [5, 1.5, True, None, [], ["x", ["\ud800"]], {"a": {"b": "\ud800\u0000"}}, 10**30, -(10**25), 1e308],
    ids=ascii,
)
def test_labels_that_are_no_text_are_written_out(value: Any) -> None:
    body = webhook({**ALERT, "labels": {"alertname": "A", "odd": value}, "annotations": {"odd": value}})
    found = decode(body)
    (alert,) = found.alerts
    assert alert.labels["alertname"] == "A"
    assert isinstance(alert.labels["odd"], str)
    assert found.flaws
    "".join([*alert.labels.values(), *alert.annotations.values()]).encode()
    assert "\0" not in alert.labels["odd"]


def raw_label(value: bytes) -> bytes:
    return b'{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","x":' + value + b"}}]}"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (rb'"a\ud800b"', "a\ufffdb"),
        (rb'"a\u0000b"', "a\u2400b"),
        (b'"a\nb\x1b"', "a\nb\x1b"),
        (b'"a\xe9b"', "a\ufffdb"),
        (rb'"\u202e{{7*7}}%s"', "\u202e{{7*7}}%s"),
        (b"1e999", "Infinity"),
        (b"[" * 900 + b"]" * 900, "[" * 900 + "]" * 900),
        (b'"1", "x": "2"', "2"),
        (b'"' + b"v" * 1_000_000 + b'"', "v" * 1_000_000),
    ],
    ids=["surrogate", "NUL", "raw control", "latin-1", "template", "infinite", "900 deep", "twice", "1 MB"],
)
def test_ugly_text_is_kept_as_well_as_it_can_be(value: bytes, kept: str) -> None:
    (alert,) = decode(raw_label(value)).alerts
    assert alert.labels["x"] == kept


@pytest.mark.parametrize("depth", range(940, 1_010, 3))
def test_any_depth_is_read_or_refused(depth: int) -> None:
    for value in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        try:
            assert decode(raw_label(value)).alerts
        except NotUnderstood:
            continue


@pytest.mark.parametrize(
    "value", [b"1" * 5_000, b"NaN", b"-Infinity"], ids=["5,000 digits", "NaN", "Infinity"]
)
def test_numbers_that_are_none_are_refused_whole(value: bytes) -> None:
    with pytest.raises(NotUnderstood):
        decode(raw_label(value))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_other_encodings_are_read_and_told(encoding: str) -> None:
    text = json.dumps(json.loads(captured("unicode_zh")), ensure_ascii=False)
    found = decode(text.encode(encoding))
    assert found.alerts == decode(captured("unicode_zh")).alerts
    assert found.flaws == ("not strict JSON: read leniently",)


@pytest.mark.parametrize(
    "alerts", [None, {}, "x", 5, [], [None], [{}], [{"labels": {}}], [{"labels": None}], [[]]]
)
def test_nothing_to_act_on(alerts: Any) -> None:
    with pytest.raises(NotUnderstood):
        decode(json.dumps({"version": "4", "alerts": alerts}).encode())


@pytest.mark.parametrize(
    "broken", [None, 5, "x", [], {}, {"labels": None}, {"labels": {}}, {"labels": ["a"]}]
)
def test_a_broken_alert_takes_no_other_with_it(broken: Any) -> None:
    found = decode(webhook(broken, ALERT, broken))
    assert [alert.fingerprint for alert in found.alerts] == ["0123456789abcdef"]
    assert found.flaws


@pytest.mark.parametrize("odd", [None, 5, "x", [], [[["x"]]], {"a": {"b": 1}}], ids=str)
def test_odd_parts_around_an_alert_do_not_hide_it(odd: Any) -> None:
    other = {**ALERT, "annotations": odd, "generatorURL": odd, "fingerprint": odd}
    found = decode(
        webhook(other, groupKey=odd, receiver=odd, routeLabels=odd, commonLabels=odd, groupLabels=odd)
    )
    assert len(found.alerts) == 1
    assert isinstance(found.group, str)
    assert isinstance(found.alerts[0].link, str)


def test_deep_parts_around_an_alert_do_not_hide_it() -> None:
    deep: Any = "x"
    for _ in range(940):
        deep = [deep]
    for name in ("groupKey", "receiver"):
        assert decode(webhook(ALERT, **{name: deep})).alerts
    for name in ("status", "startsAt", "generatorURL", "fingerprint", "annotations"):
        assert one(**{name: deep}).alerts


def test_without_fingerprint_one_is_made_of_the_labels_alone() -> None:
    def made(labels: dict[str, str], **other: Any) -> str:
        return one(fingerprint=None, labels=labels, **other).alerts[0].fingerprint

    first = made({"a": "1", "b": "2"})
    assert first == made({"b": "2", "a": "1"}, annotations={"x": "y"}, startsAt="2026-11-22T07:00:00Z")
    assert len({first, made({"a": "1", "b": "3"}), made({"a": "1\xffb\xff2"}), made({"a": '1","b":"2'})}) == 4
    assert one(fingerprint="f" * 129).alerts[0].fingerprint == one(fingerprint=None).alerts[0].fingerprint


def test_many_labels_and_long_names() -> None:
    labels = {"alertname": "A", "n" * 10_000: "v", **{f"l{number}": "v" for number in range(5_000)}}
    found = one(labels=labels)
    assert len(found.alerts[0].labels) == 500
    assert found.alerts[0].name == "A"
    assert "rest stands in an annotation" in " ".join(found.flaws)
    assert '"l4999": "v"' in found.alerts[0].annotations["labels_left_out"]


def test_names_that_are_special_elsewhere() -> None:
    names = ["服务.名称", "a b", "__proto__", "{{x}}", "", "class", "Alertname"]
    assert set(one(labels=dict.fromkeys(names, "v")).alerts[0].labels) == set(names)


def test_flaws_are_few_however_many_alerts_are_odd() -> None:
    found = decode(webhook(*({**ALERT, "labels": {f"n{number}": number}} for number in range(5_000))))
    assert len(found.alerts) == 5_000
    assert len(found.flaws) <= 20


@pytest.mark.parametrize("odd", [False, True], ids=["strict", "lenient"])
def test_many_alerts_are_read_in_two_seconds(odd: bool) -> None:  # noqa: FBT001
    alerts = [{**ALERT, "fingerprint": f"{number:016x}"} for number in range(50_000)]
    if odd:
        alerts[7] = {**ALERT, "annotations": {"summary": "\ud800"}}
    body = webhook(*alerts)
    began = time.thread_time()
    assert len(decode(body).alerts) == 50_000
    assert time.thread_time() - began < 2


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(
        [ZERO, "9999-12-31T23:59:59Z", "resolved", "4", "\ud800", "a\0b", "x" * 10_000, [[]], {"a": []}]
    ),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        found += places(inner, (*path, key))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, int]:
    """A captured body with a few values replaced or gone, and how many alerts were left untouched."""
    body = json.loads(captured(draw(st.sampled_from(SMALL))))
    touched: set[Any] = set()
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(body)[1:]))
        inner = body
        for key in path[:-1]:
            inner = inner[key]
        if draw(st.booleans()):
            inner[path[-1]] = copy.deepcopy(draw(ODD))
        else:
            del inner[path[-1]]
        touched.add(
            path[1] if path[0] == "alerts" and len(path) > 2 else path[0] if path[0] == "alerts" else None
        )
    whole = -1 if "alerts" in touched else len(body["alerts"]) - len(touched - {None})
    return json.dumps(body).encode(), whole


SMALL = [name for name in BODIES if (CAPTURED / f"{name}.json").stat().st_size < 3_000]


@settings(max_examples=400, deadline=2_000)
@given(mutated())
def test_a_mutated_body_is_read_or_not_understood_and_loses_no_good_alert(case: tuple[bytes, int]) -> None:
    body, whole = case
    try:
        found = decode(body)
    except NotUnderstood:
        foreign = json.loads(body).get("version") not in ("4", 4)  # kept in quarantine, whole
        assert whole <= 0 or foreign or b"NaN" in body or b"Infinity" in body
        return
    assert len(found.alerts) >= whole
    for alert in found.alerts:
        assert alert.labels
        assert alert.fingerprint
        assert alert.starts_at.tzinfo is UTC
        assert alert.ends_at is None or alert.ends_at >= alert.starts_at
        " ".join([alert.fingerprint, alert.link, *alert.labels, *alert.labels.values()]).encode()


@settings(max_examples=300, deadline=2_000)
@given(st.sampled_from(SMALL), st.data())
def test_a_damaged_body_is_read_or_not_understood(name: str, data: st.DataObject) -> None:
    body = bytearray(captured(name))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(NotUnderstood):
        assert decode(bytes(body)).alerts
