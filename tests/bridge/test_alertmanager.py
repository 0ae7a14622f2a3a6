"""Alertmanager's API, version 2, against captured answers of a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from bridge import alertmanager
from bridge.delivery import DeliveryError, Outbound
from tests.servers.alertmanager_api import Api, api
from tests.servers.http import floods, hangs, says

OUT = Outbound((ip_network("127.0.0.0/8"),))


@pytest.fixture
def am() -> Iterator[Api]:
    """Everything as it was captured."""
    with api() as answers:
        yield answers


def test_the_list_is_read_whole(am: Api) -> None:
    found = {alert.fingerprint: alert for alert in alertmanager.alerts(OUT, am.url + "/")}
    assert len(found) == 7
    alert = found["daf982a7f7d84b4b"]
    assert (alert.state, alert.receivers) == ("active", ("incident-webhook",))
    assert alert.starts_at == datetime(2026, 11, 22, 4, 4, 33, 971_000, tzinfo=UTC)
    assert alert.labels["gateway"] == "northpay"
    assert alert.annotations["summary"] == "Payment gateway northpay is timing out in eu-west-1"
    assert alert.link.startswith("http://prometheus.example.test:9090/graph?")
    assert found["bb27fec0cf1fa474"].silenced_by == ("c1bbcba3-a0c3-4d45-ad99-f071de369786",)
    assert found["b9a39c4180dfd3a5"].inhibited_by == ("bb27fec0cf1fa474",)
    assert found["b9a39c4180dfd3a5"].link == ""


def test_silences_that_are_on_are_read(am: Api) -> None:
    (silence,) = alertmanager.silences(OUT, am.url).values()
    assert (silence.by, silence.comment) == ("oncall", "维护窗口 / maintenance")
    assert silence.until == datetime(2026, 11, 22, 4, 14, 37, 141_000, tzinfo=UTC)


def test_since_when_it_runs_is_read(am: Api) -> None:
    assert alertmanager.started_at(OUT, am.url) == datetime(2026, 11, 22, 4, 4, 4, 960_000, tzinfo=UTC)


def test_nothing_is_muted_where_groups_do_not_say_so(am: Api) -> None:
    assert alertmanager.muted(OUT, am.url, ()) == {}


@pytest.mark.parametrize(
    ("receivers", "expected"),
    [((), set()), (("ops",), {"f1"}), (("ops", "chat"), set()), (("chat",), set())],
    ids=["to anybody", "to us", "to us on two routes, one open", "to another"],
)
def test_an_alert_is_muted_when_every_route_to_us_is(
    am: Api, receivers: tuple[str, ...], expected: set[str]
) -> None:
    plain = {**am.alerts[0], "fingerprint": "f1", "status": {"state": "active"}}
    muted = {**plain, "status": {"state": "suppressed", "mutedBy": ["nights"]}}
    am.groups = [
        {"receiver": {"name": "ops"}, "alerts": [muted], "labels": {}},
        {"receiver": {"name": "chat"}, "alerts": [plain], "labels": {}},
    ]
    assert set(alertmanager.muted(OUT, am.url, receivers)) == expected


def test_versions_to_come_may_say_more(am: Api) -> None:
    am.lists({**am.alerts[2], "new": {"a": 1}, "status": {"state": "paused", "newBy": ["x"]}})
    (alert,) = alertmanager.alerts(OUT, am.url)
    assert alert.state == "unprocessed"


def test_ugly_texts_are_storable_and_local_times_are_utc(am: Api) -> None:
    am.lists({**am.alerts[2], "labels": {"alertname": "a\x00b"}, "startsAt": "2026-11-22T12:04:05.752+08:00"})
    (alert,) = alertmanager.alerts(OUT, am.url)
    assert alert.labels == {"alertname": "a\u2400b"}
    assert alert.starts_at.isoformat() == "2026-11-22T04:04:05.752000+00:00"


def without(alert: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in alert.items() if key != name}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda alert: without(alert, "fingerprint"),
        lambda alert: without(alert, "status"),
        lambda alert: {**alert, "startsAt": "2026-11-22T04:04:05"},
        lambda alert: {**alert, "startsAt": "0001-01-01T00:00:00+14:00"},
        lambda alert: {**alert, "labels": {"a": 1}},
        lambda alert: [alert],
    ],
    ids=["no fingerprint", "no status", "no zone", "before all time", "a label that is no text", "a list"],
)
def test_one_alert_that_cannot_be_read_makes_the_list_unreadable(
    am: Api, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    am.lists(*am.alerts, spoil(am.alerts[2]))
    with pytest.raises(DeliveryError, match="alerts is not Alertmanager's"):
        alertmanager.alerts(OUT, am.url)


def test_an_answer_without_end_is_refused(am: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "ANSWER_LIMIT", 1_000_000)
    am.fail(by=floods(50_000_000))
    with pytest.raises(DeliveryError, match="larger than"):
        alertmanager.alerts(OUT, am.url)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [(says(500, b"secret"), "answered 500"), (hangs(), "no answer in time"), (says(401), "answered 401")],
)
def test_what_went_wrong_is_told_without_what_was_said(
    am: Api, monkeypatch: pytest.MonkeyPatch, behaviour: Any, words: str
) -> None:
    monkeypatch.setattr(alertmanager, "SECONDS", 0.3)
    am.fail(by=behaviour)
    with pytest.raises(DeliveryError, match=words) as error:
        alertmanager.alerts(OUT, am.url)
    assert "secret" not in str(error.value)
