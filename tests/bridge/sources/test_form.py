from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.datastructures import Headers

from bridge.model import Alert
from bridge.sources import Delivery, NotUnderstood, form
from tests.bridge.sources.test_contract import NOW

FORM = Headers({"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})


def reported(body: bytes, headers: Any = None) -> Alert:
    (alert,) = form.decode(form.Settings(), Delivery("form", body, headers or {}, NOW)).alerts
    return alert


def report(**fields: Any) -> Alert:
    return reported(json.dumps(fields).encode())


def test_a_report_becomes_an_alert() -> None:
    alert = report(
        title=" 付款失败 ",
        description="客户 A\n无法付款",
        client="acme",
        service="payments",
        priority="P1",
        reporter="王",
    )
    assert alert.labels == {
        "alertname": "ReportedProblem",
        "client": "acme",
        "service": "payments",
        "title": "付款失败",
        "priority": "P1",
    }
    assert alert.annotations["description"] == "客户 A\n无法付款"
    assert alert.annotations["reporter"] == "王"
    assert (alert.starts_at, alert.ends_at) == (NOW, None)


def test_a_browsers_form_says_the_same_as_json() -> None:
    fields = {"title": "付款失败", "client": "acme", "service": "", "priority": "P2"}
    body = urlencode(fields).encode()
    assert reported(body, FORM) == report(**{name: value for name, value in fields.items() if value})


@pytest.mark.parametrize(
    "fields",
    [{}, {"title": ""}, {"title": "  \n"}, {"title": None}, {"Title": "x"}],
    ids=str,
)
def test_what_is_no_report(fields: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        report(**fields)


@pytest.mark.parametrize("body", [b"", b"title=", b"%ff%fe", b"&" * 10_000, b"a=1&" * 10_000])
def test_what_is_no_form(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        reported(body, FORM)


def test_labels_are_cut_and_what_is_too_long_for_them_stands_whole_in_an_annotation() -> None:
    long = {name: name * 1_000 for name in ("title", "client", "service", "reporter", "priority")}
    body = json.dumps({**long, "description": "a\x00" * 100_000, "unknown": [[[]]]}).encode()
    found = form.decode(form.Settings(), Delivery("form", body, {}, NOW))
    (alert,) = found.alerts
    for name in ("title", "client", "service"):
        assert alert.labels[name] == long[name][:200]
    for name in ("client", "service", "reporter", "priority"):
        assert alert.annotations[name] == long[name]
    assert alert.annotations["summary"] == long["title"]
    assert alert.annotations["description"] == "a\u2400" * 100_000
    assert {"a client of more than 200 characters stands in an annotation"} < set(found.flaws)


def test_only_a_title_is_needed_and_what_is_odd_is_noted() -> None:
    body = json.dumps({"title": "x", "priority": "urgent", "client": ["a"], "service": 7, "reporter": None})
    found = form.decode(form.Settings(), Delivery("form", body.encode(), {}, NOW))
    (alert,) = found.alerts
    assert alert.labels == {"alertname": "ReportedProblem", "title": "x", "client": '["a"]', "service": "7"}
    assert alert.annotations["priority"] == "urgent"
    assert len(found.flaws) == 3
    assert report(title="x", priority=" p1 ").labels["priority"] == "P1"


def test_a_report_with_half_a_surrogate_pair_or_a_line_break_is_read() -> None:
    assert reported(b'{"title": "a\\ud800\nb"}').annotations["summary"] == "a\ufffd\nb"


def test_two_people_who_report_different_things_are_not_one_alert() -> None:
    assert report(title="a").fingerprint != report(title="b").fingerprint
