from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.config.values import Secret
from bridge.model import Notification
from bridge.sources import Delivery, NotUnderstood, grafana
from tests.bridge.sources.test_contract import NOW

WRITTEN = Path(__file__).parents[2] / "fixtures" / "grafana"
BODIES = sorted(file.stem for file in WRITTEN.glob("*.json"))
HEADER = "X-Grafana-Alerting-Signature"
BODY = b'{"version": "1"}'


def written(name: str) -> bytes:
    return (WRITTEN / f"{name}.json").read_bytes()


def decode(body: bytes) -> Notification:
    return grafana.decode(grafana.Settings(), Delivery("grafana", body, {}, NOW))


def changed(name: str, **changes: Any) -> Notification:
    """A body whose first alert is changed."""
    body = json.loads(written(name))
    body["alerts"][0] |= changes
    return decode(json.dumps(body).encode())


@pytest.mark.parametrize("name", BODIES)
def test_every_body_is_read_whole(name: str) -> None:
    raw, found = json.loads(written(name)), decode(written(name))
    assert found.flaws == ()
    assert found.unread == ()
    assert (found.receiver, found.hidden) == ("opsbridge (p1)", raw["truncatedAlerts"])
    assert found.group == raw["groupKey"]
    for alert, told in zip(found.alerts, raw["alerts"], strict=True):
        assert (alert.fingerprint, alert.labels, alert.link) == (
            told["fingerprint"],
            told["labels"],
            told["generatorURL"],
        )
        assert told["annotations"].items() <= alert.annotations.items()
        assert alert.state == told["status"]


def test_values_and_links_are_annotations() -> None:
    first, second = decode(written("firing_two")).alerts
    assert first.annotations["values"] == "A=0.42, C=1"
    assert first.annotations["dashboard_url"].startswith("http://grafana.example.test:3000/d/pay?from=")
    assert first.annotations["panel_url"].endswith("&viewPanel=4")
    assert "/alerting/silence/new?" in first.annotations["silence_url"]
    assert "image_url" not in first.annotations
    assert second.annotations["image_url"] == "https://images.example.test/panel.png"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"A": 1.5, "B": 2}, "A=1.5, B=2"),
        ({"A": 2.0, "B": 1e6, "C": 1e-9}, "A=2, B=1000000, C=1e-09"),
        ({"A": "NaN", "B": None, "C": [1]}, "A=NaN, B=, C=[1]"),
        ({"A": 10**30}, "A=1000000000000000000000000000000"),
        (None, "as a text"),
        ({}, "as a text"),
        ("odd", "as a text"),
    ],
)
def test_values_as_people_read_them(values: Any, text: str) -> None:
    found = changed("firing_two", values=values, valueString="as a text")
    assert found.alerts[0].annotations["values"] == text


def test_without_values_there_is_no_such_annotation() -> None:
    assert "values" not in decode(written("resolved_values_null")).alerts[0].annotations


def test_the_rules_own_annotations_stand() -> None:
    found = changed("firing_two", annotations={"values": "mine", "summary": "s"})
    assert found.alerts[0].annotations["values"] == "mine"


@pytest.mark.parametrize(
    ("name", "blind"), [("no_data", True), ("error", True), ("firing_two", False)], ids=str
)
def test_no_data_and_errors_are_a_broken_look_and_not_a_broken_service(name: str, *, blind: bool) -> None:
    assert {alert.blind for alert in decode(written(name)).alerts} == {blind}


@pytest.mark.parametrize("version", ["4", 4, True, None, "", "2", 1.5])
def test_another_version_goes_to_quarantine(version: Any) -> None:
    with pytest.raises(NotUnderstood, match="version"):
        decode(json.dumps({**json.loads(written("firing_two")), "version": version}).encode())


def test_a_custom_payload_goes_to_quarantine() -> None:
    with pytest.raises(NotUnderstood, match="custom payload"):
        decode(b'{"version": "1", "text": "PaymentSuccessLow"}')


def test_odd_extras_are_taken() -> None:
    keys = ("dashboardURL", "panelURL", "silenceURL", "imageURL", "valueString")
    extras = {key: ["\ud800"] for key in keys}
    found = changed("firing_two", **extras, orgId="x", values=[[]])
    assert len(found.alerts) == 2
    " ".join(found.alerts[0].annotations.values()).encode()


# Signatures


def seal(secret: str, body: bytes, before: str = "") -> str:
    return hmac.new(secret.encode(), before.encode() + body, hashlib.sha256).hexdigest()


def signed(headers: dict[str, str], body: bytes = BODY, now: datetime = NOW, **settings: Any) -> bool:
    made = grafana.Settings(secret=Secret("geheim 名"), **settings)
    return made.signed(headers, lambda: body, now)


def test_the_right_signature_is_taken_in_either_case() -> None:
    right = seal("geheim 名", BODY)
    assert signed({HEADER: right})
    assert signed({HEADER: f" {right.upper()} "})
    assert signed({"X-Seal": right}, signature_header="X-Seal")


@pytest.mark.parametrize(
    "made",
    [
        lambda right: "",
        lambda right: right[:-1],
        lambda right: right + "0",
        lambda right: right[:-1] + ("0" if right[-1] != "0" else "1"),
        lambda right: ("0" if right[0] != "0" else "1") + right[1:],
        lambda right: "sha256=" + right,
        lambda right: "é" * 64,
        lambda right: "g" * 64,
        lambda right: "\ud800" * 64,
        lambda right: "0" * 1_000_000,
        lambda right: ",".join([right] * 1_000),
    ],
    ids=range(11),
)
def test_any_other_signature_is_refused_without_an_error(made: Callable[[str], str]) -> None:
    assert not signed({HEADER: made(seal("geheim 名", BODY))})


def test_a_signature_is_for_one_body_and_one_secret() -> None:
    right = {HEADER: seal("geheim 名", BODY)}
    assert not signed(right, BODY + b" ")
    assert not signed({HEADER: seal("another", BODY)})
    assert not signed({})
    assert not signed(right, signature_header="X-Seal")


@pytest.mark.parametrize(
    ("seconds", "taken"), [(0, True), (-300, True), (300, True), (-301, False), (301, False), (-86400, False)]
)
def test_a_signed_time_must_be_fresh(seconds: int, *, taken: bool) -> None:
    told = str(int((NOW + timedelta(seconds=seconds)).timestamp()))
    headers = {HEADER: seal("geheim 名", BODY, f"{told}:"), "X-Time": told}
    assert signed(headers, timestamp_header="X-Time") == taken


@pytest.mark.parametrize("told", ["", "now", "-1", "1e9", "１７６４０３２４００", "9" * 5_000, " 1", "1.5"])
def test_a_time_that_is_none_is_refused(told: str) -> None:
    headers = {HEADER: seal("geheim 名", BODY, f"{told}:"), "X-Time": told}
    assert not signed(headers, timestamp_header="X-Time")


def test_the_time_itself_is_signed() -> None:
    told = str(int(NOW.timestamp()))
    assert not signed({HEADER: seal("geheim 名", BODY), "X-Time": told}, timestamp_header="X-Time")
    later = str(int(told) + 1)
    headers = {HEADER: seal("geheim 名", BODY, f"{told}:"), "X-Time": later}
    assert not signed(headers, timestamp_header="X-Time")


def test_the_body_is_not_read_for_what_cannot_be_a_signature() -> None:
    def never() -> bytes:
        raise AssertionError

    made = grafana.Settings(secret=Secret("s3cret"), timestamp_header="X-Time")
    assert not made.signed({}, never, NOW)
    assert not made.signed({HEADER: "short"}, never, NOW)
    assert not made.signed({HEADER: "0" * 64, "X-Time": "7"}, never, datetime(2026, 11, 22, tzinfo=UTC))


def test_without_a_secret_nothing_is_signed() -> None:
    assert not grafana.Settings().signed({HEADER: seal("", BODY)}, lambda: BODY, NOW)
