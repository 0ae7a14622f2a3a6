"""Gathering: bounded, complete, and never stopped by a Prometheus that does not answer."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses

from bridge import prometheus
from bridge.delivery import Outbound
from bridge.model import Series
from bridge.prometheus import Answer, PrometheusError
from health_report import gather, queries
from health_report.facts import Question
from health_report.month import period

CAPTURED = Path(__file__).parents[1] / "fixtures" / "prometheus"
URL = "http://prometheus.example:9090"
NOW = datetime(2026, 10, 2, tzinfo=UTC)
SPAN = period("2026-10", "UTC", NOW)


def question(name: str = "up", kind: Any = "range") -> Question:
    return Question(
        section="s", name=name, promql=name, kind=kind, start=SPAN.start, end=SPAN.until, step=300
    )


def captured(name: str) -> Any:
    return json.loads((CAPTURED / f"{name}.json").read_text("utf-8"))


@responses.activate
def test_results_keep_the_order_and_the_words_of_prometheus() -> None:
    for name in ("prom_query_range_matrix", "prom_err_400_parse", "prom_query_range_warnings"):
        capture = captured(name)
        match = [responses.matchers.query_param_matcher({"query": name}, strict_match=False)]
        responses.add(
            "GET", f"{URL}/api/v1/query_range", json=capture["body"], status=capture["status"], match=match
        )
    good, bad, partial = gather.results(
        Outbound(),
        [URL],
        [question(n) for n in ("prom_query_range_matrix", "prom_err_400_parse", "prom_query_range_warnings")],
    )
    assert good.series
    assert not good.error
    assert "unclosed left parenthesis" in bad.error
    assert bad.series == ()
    assert partial.series
    assert "remote_read" in partial.warnings[0]


def test_prometheus_down_costs_seconds_and_every_question_has_its_error() -> None:
    begun = time.monotonic()
    found = gather.results(Outbound(), ["http://127.0.0.1:1"], [question(str(n)) for n in range(40)])
    assert len(found) == 40
    assert all(result.error and not result.series for result in found)
    assert time.monotonic() - begun < 5


def test_an_address_that_is_down_is_not_asked_forty_times(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def down(_out: Any, url: str, *_: Any) -> Answer:
        asked.append(url)
        raise PrometheusError("connection refused", kind="unreachable", retry=True)

    monkeypatch.setattr(prometheus, "query_range", down)
    found = gather.results(Outbound(), [URL], [question(str(n)) for n in range(40)])
    assert all(result.error for result in found)
    assert gather.GIVE_UP_AFTER <= len(asked) < gather.GIVE_UP_AFTER + gather.AT_ONCE


def test_no_prometheus_at_all() -> None:
    (found,) = gather.results(Outbound(), [], [question()])
    assert "no Prometheus" in found.error


def test_at_most_four_questions_at_once_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def slow(*_: Any) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return Answer()

    monkeypatch.setattr(prometheus, "query_range", slow)
    told: list[tuple[str, int, int]] = []
    gather.results(Outbound(), [URL], [question(str(n)) for n in range(20)], lambda *step: told.append(step))
    assert most == 4
    assert told == [("queries", n, 20) for n in range(1, 21)]


def test_two_prometheus_are_copies_of_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_out: Any, url: str, *_: Any) -> Answer:
        if url == "http://third":
            raise PrometheusError("third: connection refused", kind="unreachable", retry=True)
        times = (300.0, 600.0) if url == "http://first" else (600.0, 900.0)
        return Answer(
            series=(Series({"a": "b"}, times, (1.0, 1.0) if url == "http://first" else (2.0, 2.0)),)
        )

    monkeypatch.setattr(prometheus, "query_range", answer)
    (found,) = gather.results(Outbound(), ["http://first", "http://second", "http://third"], [question()])
    assert found.series == (Series({"a": "b"}, (300.0, 600.0, 900.0), (1.0, 1.0, 2.0)),)
    assert found.error == ""
    assert found.warnings == ("third: connection refused",)


def test_a_range_begins_one_step_after_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(prometheus, "query_range", lambda *args: asked.append(args[3:]) or Answer())
    gather.results(Outbound(), [URL], [question()])
    step = timedelta(seconds=300)
    assert asked == [(SPAN.start + step, SPAN.until, step)]


def test_queries_are_filled_in() -> None:
    asked = queries.questions(queries.read(), SPAN, SPAN.previous, 'client="acme"', "", 300)
    assert not [q.promql for q in asked if "$" in q.promql or "{," in q.promql]
    good = next(q for q in asked if (q.section, q.name, q.before) == ("availability", "good", False))
    assert (
        good.promql == 'sum by (service) (increase(payment_requests_total{client="acme",outcome="ok"}[300s]))'
    )
    load = next(q for q in asked if (q.section, q.name, q.before) == ("servers", "hottest", False))
    assert "{}[86400s]" in load.promql
    assert {q.before for q in asked if q.name == "busy"} == {False}


def test_a_selector_is_filled_in_once() -> None:
    book = queries.override(queries.read(), {"data_quality": {"up": "up{$selector}[$step]"}})
    asked = queries.questions(book, SPAN, SPAN.previous, 'client="$window"', "", 300)
    assert next(q.promql for q in asked if q.name == "up") == 'up{client="$window"}[300s]'


def test_a_client_without_selector_never_sees_others() -> None:
    assert queries.selector_of('a"} or up{b="') == 'client="a\\"} or up{b=\\""'


def test_only_known_queries_can_be_replaced() -> None:
    with pytest.raises(ValueError, match=r"servers\.lod"):
        queries.override(queries.read(), {"servers": {"lod": "up"}})
