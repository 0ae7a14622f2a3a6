from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Alert, Notification
from bridge.sources import Delivery, NotUnderstood, pagerduty
from tests.bridge.sources.test_contract import NOW

CAPTURED = Path(__file__).parents[2] / "fixtures" / "pagerduty"
PAYLOAD: dict[str, Any] = {"summary": "disk full on db-1", "source": "db-1", "severity": "critical"}
EVENT: dict[str, Any] = {
    "routing_key": "k",
    "event_action": "trigger",
    "dedup_key": "db-1/disk",
    "payload": PAYLOAD,
}
WRONG_SEVERITY = "'payload.severity' is invalid (must be one of: 'critical', 'warning', 'error', 'info')"
WRONG_ACTION = "'event_action' is invalid (must be one of: 'trigger', 'acknowledge', 'resolve')"


def decode(body: bytes, at: Any = NOW, **settings: str) -> Notification:
    return pagerduty.decode(pagerduty.Settings(**settings), Delivery("pd", body, {}, at))


def told(**changes: Any) -> Notification:
    return decode(json.dumps({**EVENT, **changes}).encode())


def alert(found: Notification) -> Alert:
    (one,) = found.alerts
    return one


def payload(**changes: Any) -> Alert:
    return alert(told(payload={**PAYLOAD, **changes}))


def captured(name: str) -> Notification:
    return decode((CAPTURED / f"{name}.json").read_bytes())


def refused(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(pagerduty.Invalid) as caught:
        told(**changes)
    return caught.value.errors


def test_a_trigger_is_an_alert_that_fires_from_now_on() -> None:
    found = told()
    assert found == Notification(
        source="pd",
        group="db-1/disk",
        alerts=(
            Alert(
                source="pd",
                fingerprint=pagerduty.fingerprint("db-1/disk"),
                starts_at=NOW,
                undated=True,
                labels={"alertname": "db-1/disk", "source": "db-1", "severity": "critical"},
                annotations={"summary": "disk full on db-1", "dedup_key": "db-1/disk"},
            ),
        ),
    )
    assert len(found.alerts[0].fingerprint) == 16


def test_a_resolve_ends_it_and_needs_no_payload() -> None:
    ended = alert(told(event_action="resolve", payload=None))
    assert (ended.fingerprint, ended.ends_at, ended.undated) == (
        pagerduty.fingerprint("db-1/disk"),
        NOW,
        True,
    )


def test_an_acknowledge_takes_its_incident_and_tells_no_alert() -> None:
    found = told(event_action="acknowledge", payload=None)
    assert (found.alerts, found.taken) == ((), (pagerduty.fingerprint("db-1/disk"),))


def test_an_old_timestamp_does_not_move_the_begin() -> None:
    one = payload(timestamp="2015-07-17T08:42:58.315+0000")
    assert one.starts_at == NOW
    assert one.annotations["timestamp"] == "2015-07-17T08:42:58.315+0000"


def test_without_a_key_each_event_is_its_own_and_its_key_is_told() -> None:
    body = json.dumps({**EVENT, "dedup_key": None}).encode()
    first, later = decode(body), decode(body, NOW + timedelta(microseconds=1))
    assert len(first.group) == 32
    assert first.group != later.group
    assert alert(first).fingerprint == pagerduty.fingerprint(first.group)
    assert alert(first).labels["alertname"] == "disk full on db-1"


@pytest.mark.parametrize("key", ["a\0b", "a\ud800b"])
def test_a_key_that_cannot_be_stored_as_it_came_is_flagged(key: str) -> None:
    found = told(dedup_key=key)
    assert found.group == key.replace("\0", "\u2400").replace("\ud800", "\ufffd")
    assert found.flaws == ("'dedup_key' holds characters that cannot be stored: they are replaced",)


# What PagerDuty requires


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"event_action": None}, ("'event_action' is missing or blank",)),
        ({"event_action": "explode"}, (WRONG_ACTION,)),
        ({"event_action": ["trigger"]}, (WRONG_ACTION,)),
        ({"event_action": "resolve", "dedup_key": " "}, ("'dedup_key' is missing or blank",)),
        ({"event_action": "acknowledge", "dedup_key": None}, ("'dedup_key' is missing or blank",)),
        ({"dedup_key": "k" * 256}, ("'dedup_key' is too long (maximum is 255 characters)",)),
        ({"payload": {**PAYLOAD, "summary": ""}}, ("'payload.summary' is missing or blank",)),
        ({"payload": {**PAYLOAD, "source": None}}, ("'payload.source' is missing or blank",)),
        ({"payload": {**PAYLOAD, "severity": "fatal"}}, (WRONG_SEVERITY,)),
        ({"payload": {**PAYLOAD, "severity": ""}}, ("'payload.severity' is missing or blank",)),
        (
            {"payload": None},
            tuple(f"'payload.{name}' is missing or blank" for name in ("summary", "source", "severity")),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_pagerduty_refuses_is_refused_with_its_reasons(
    changes: dict[str, Any], errors: tuple[str, ...]
) -> None:
    assert refused(**changes) == errors


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"[" * 100_000, b"{"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(pagerduty.Invalid, match="not a JSON object"):
        decode(body)
    assert pagerduty.event(body) is None


@pytest.mark.parametrize("told", [{}, {"routing_key": None}, {"routing_key": ["R"]}])
def test_an_event_without_a_key_belongs_to_nobody(told: dict[str, Any]) -> None:
    assert pagerduty.routing_key(told) == ""


def test_a_key_of_255_characters_is_taken() -> None:
    assert told(dedup_key="键" * 255).group == "键" * 255


# What is odd is taken


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": {**PAYLOAD, "severity": "Critical"}},
        {"payload": {**PAYLOAD, "summary": "s" * 1_025}},
        {"payload": {**PAYLOAD, "source": 7}},
        {"payload": {**PAYLOAD, "component": {"a": 1}}},
        {"payload": {**PAYLOAD, "custom_details": "text"}},
        {"payload": {**PAYLOAD, "custom_details": ["text"]}},
        {"event_action": "Trigger"},
        {"dedup_key": 42},
    ],
    ids=lambda changes: str(changes)[-50:],
)
def test_odd_but_usable_events_are_taken_and_noted(changes: dict[str, Any]) -> None:
    found = told(**changes)
    assert found.flaws
    assert alert(found).labels["severity"] == "critical"


def test_a_long_summary_is_kept_whole() -> None:
    assert payload(summary="s" * 5_000).annotations["summary"] == "s" * 5_000


def test_details_become_labels_where_alerts_can_be_told_apart_by_them() -> None:
    details = {
        "ping time": "1500ms",
        "load avg": 0.75,
        "client": "acme",
        "on": True,
        "empty": "",
        "nothing": None,
        "long": "l" * 201,
        "lines": "a\nb",
        "deep": {"a": [1]},
        "severity": "mine",
        "num_firing": "1",
    }
    one = payload(custom_details=details)
    assert one.labels == {
        "alertname": "db-1/disk",
        "severity": "critical",
        "source": "db-1",
        "ping time": "1500ms",
        "load avg": "0.75",
        "client": "acme",
        "on": "true",
    }
    notes = {"long": "l" * 201, "lines": "a\nb", "deep": '{"a": [1]}', "severity": "mine", "num_firing": "1"}
    assert notes.items() <= one.annotations.items()


def test_many_details_stay_few_labels_and_nothing_is_lost() -> None:
    one = payload(custom_details={f"d{number}": number for number in range(1_000)})
    assert len(one.labels) == pagerduty.MOST_LABELS + 1
    assert one.annotations["d999"] == "999"


def test_links_images_and_client_are_annotations() -> None:
    found = told(
        links=[{"href": "https://x.example/", "text": "Look"}, {"href": "https://y.example/"}, "odd", None],
        images=[{"src": "https://x.example/p.png", "alt": "Panel", "href": "https://x.example"}],
        client="Sample",
        client_url="https://monitoring.example",
    )
    one = alert(found)
    assert one.annotations["links"] == "Look https://x.example/\nhttps://y.example/\nodd"
    assert one.annotations["images"] == "Panel https://x.example/p.png"
    assert (one.annotations["client"], one.annotations["client_url"]) == (
        "Sample",
        "https://monitoring.example",
    )
    assert one.link == "https://monitoring.example"
    assert "client" not in one.labels, "the sender's name is not whose system it is"
    assert alert(told(links=[{"href": "https://x.example/"}])).link == "https://x.example/"


@pytest.mark.parametrize(
    "odd", [None, 5, "x", [], [[["x"]]], {"a": {"b": 1}}, "\ud800\0", [None, 5]], ids=ascii
)
def test_odd_parts_around_an_event_do_not_hide_it(odd: Any) -> None:
    names = ("links", "images", "client", "client_url", "unknown")
    found = told(
        **dict.fromkeys(names, odd),
        payload={**PAYLOAD, "timestamp": odd, "custom_details": odd, "group": odd},
    )
    " ".join([*alert(found).labels.values(), *alert(found).annotations.values(), alert(found).link]).encode()
    assert "\0" not in str(alert(found))


# Names


@pytest.mark.parametrize(
    ("details", "more", "settings", "name"),
    [
        ({"alertname": "DiskFull"}, {"class": "disk"}, {}, "DiskFull"),
        ({"client": "acme"}, {"class": "disk"}, {}, "disk"),
        ({"service": "orders"}, {"class": "disk"}, {}, "disk"),
        ({}, {"class": "disk"}, {"client": "acme"}, "disk"),
        ({}, {"class": "disk"}, {}, "db-1/disk"),
        ({"client": "acme"}, {}, {}, "db-1/disk"),
    ],
    ids=[
        "alertname",
        "class of a client",
        "class of a service",
        "client by settings",
        "class alone",
        "no class",
    ],
)
def test_the_name_merges_no_strangers(
    details: dict[str, str], more: dict[str, str], settings: dict[str, str], name: str
) -> None:
    event = {**EVENT, "payload": {**PAYLOAD, **more, "custom_details": details}}
    assert alert(decode(json.dumps(event).encode(), **settings)).labels["alertname"] == name


def test_the_sources_client_and_service_stand_where_details_name_none() -> None:
    def labels(details: dict[str, str]) -> dict[str, str]:
        event = {**EVENT, "payload": {**PAYLOAD, "custom_details": details}}
        return alert(decode(json.dumps(event).encode(), client="acme", service="orders")).labels

    assert (labels({})["client"], labels({})["service"]) == ("acme", "orders")
    assert labels({"client": "nord"})["client"] == "nord"


# What a real Alertmanager sends


def test_a_real_alertmanager_with_only_a_routing_key() -> None:
    first, again, over = map(
        captured, ("alertmanager_trigger", "alertmanager_trigger_second_alert", "alertmanager_resolve")
    )
    assert first.flaws == again.flaws == over.flaws == ()
    assert len({alert(found).fingerprint for found in (first, again, over)}) == 1
    assert alert(first).labels == alert(again).labels, "nothing in them changes while it fires"
    assert alert(first).annotations["firing"] != alert(again).annotations["firing"]
    assert "支付网关超时 <alipay>" in alert(first).annotations["firing"]
    assert (alert(again).ends_at, alert(over).ends_at) == (None, NOW)
    assert alert(first).link.startswith("http://alertmanager.example.test:9093/#/alerts")


def test_a_real_alertmanager_that_fills_every_field() -> None:
    found = captured("alertmanager_rich_trigger")
    assert alert(found).labels == {
        "alertname": "PaymentGatewayTimeout",
        "class": "PaymentGatewayTimeout",
        "client": "acme",
        "component": "payments",
        "group": "eu-west",
        "service": "payments",
        "severity": "critical",
        "source": "Alertmanager",
    }
    assert alert(found).annotations["links"] == "Runbook https://runbooks.example/PaymentGatewayTimeout"
    assert alert(captured("alertmanager_rich_resolve")).ends_at == NOW


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["event_action", "dedup_key", "payload", "links", "images", "client", "client_url"])
    | st.sampled_from([f"payload.{name}" for name in (*PAYLOAD, "class", "custom_details", "timestamp")]),
    ODD,
)
def test_an_event_with_anything_in_it_is_read_or_refused(place: str, odd: Any) -> None:
    changes = {place: odd}
    if place.startswith("payload."):
        changes = {"payload": {**PAYLOAD, place.removeprefix("payload."): odd}}
    with contextlib.suppress(NotUnderstood):
        found = told(**changes)
        assert bool(found.alerts) != bool(found.taken)
        for one in found.alerts:
            assert all(isinstance(text, str) for text in (*one.labels.values(), *one.annotations.values()))
            assert one.labels["alertname"]
