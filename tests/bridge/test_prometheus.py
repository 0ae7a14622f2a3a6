"""The PromQL client against captured answers of a real Prometheus."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from bridge import prometheus
from bridge.delivery import DeliveryError, Outbound
from bridge.prometheus import PrometheusError

CAPTURED = Path(__file__).parents[1] / "fixtures" / "prometheus"
BASE = "http://prometheus.example:9090"
START = datetime(2026, 10, 1, tzinfo=UTC)


def captured(name: str, endpoint: str = "query", method: str = "GET") -> None:
    capture = json.loads((CAPTURED / f"{name}.json").read_text("utf-8"))
    body = capture.get("body_text") or json.dumps(capture["body"])
    kind = capture["headers"]["Content-Type"]
    responses.add(method, f"{BASE}/api/v1/{endpoint}", body=body, status=capture["status"], content_type=kind)


def ask(promql: str = "up") -> prometheus.Answer:
    return prometheus.query(Outbound(), BASE, promql)


def over(points: int, step: float = 60, promql: str = "up") -> prometheus.Answer:
    end = START + timedelta(seconds=(points - 1) * step)
    return prometheus.query_range(Outbound(), BASE, promql, START, end, timedelta(seconds=step))


@responses.activate
def test_instant_values_that_are_no_numbers() -> None:
    captured("prom_query_nan_inf")
    first, second = ask().samples
    assert math.isnan(first.value)
    assert second.value == -math.inf
    assert first.labels["region"] == "eu-west-1"
    assert first.time == 1795320277.05


@responses.activate
def test_scalar_empty_and_hostile_labels() -> None:
    captured("prom_query_scalar")
    assert ask().samples == (prometheus.Sample({}, 1795320277.045, 1.0),)
    responses.reset()
    captured("prom_query_empty")
    assert ask() == prometheus.Answer()
    responses.reset()
    captured("prom_query_hostile_labels")
    assert ask().samples[0].labels["what"] == 'a"b\\c\nd'


@responses.activate
def test_a_string_is_no_number() -> None:
    captured("prom_query_string")
    with pytest.raises(PrometheusError, match="string"):
        ask()


@responses.activate
def test_a_partial_answer_carries_its_warnings() -> None:
    captured("prom_query_empty_warnings")
    answer = ask()
    assert answer.samples == ()
    assert "remote_read" in answer.warnings[0]


@pytest.mark.parametrize(
    ("name", "kind", "words", "retry"),
    [
        ("prom_err_400_parse", "bad_data", "unclosed left parenthesis", False),
        ("prom_err_422_many_to_many", "execution", "many-to-many", False),
        ("prom_err_503_timeout", "timeout", "timed out", True),
        ("prom_err_503_starting", "starting", "starting", True),
        ("prom_err_404_path", "unreadable", "404", False),
    ],
)
@responses.activate
def test_errors_in_prometheus_own_words(name: str, kind: str, words: str, *, retry: bool) -> None:
    captured(name)
    with pytest.raises(PrometheusError, match=words) as caught:
        ask()
    assert (caught.value.kind, caught.value.retry) == (kind, retry)
    assert isinstance(caught.value, DeliveryError)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"status":"success"}',
        "<html>",
        '{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"x"]}]}}',
    ],
)
@responses.activate
def test_an_answer_of_another_shape_is_an_error(body: str) -> None:
    responses.add("GET", f"{BASE}/api/v1/query", body=body)
    with pytest.raises(PrometheusError):
        ask()


def test_nobody_there() -> None:
    with pytest.raises(PrometheusError) as caught:
        prometheus.query(Outbound(), "http://127.0.0.1:1", "up")
    assert caught.value.kind == "unreachable"


@responses.activate
def test_a_long_query_is_posted() -> None:
    captured("prom_query_vector", method="POST")
    assert ask("up" + " or up" * 400).samples
    sent = responses.calls[0].request
    assert b"query=up+or+up" in (sent.body or b"")
    assert "?" not in str(sent.url)


@responses.activate
def test_a_range_keeps_its_gaps() -> None:
    captured("prom_query_range_gaps", "query_range")
    series = over(37, 1).series[0]
    assert 1795320263.038 in series.times
    assert not [t for t in series.times if 1795320264 <= t < 1795320270]
    assert math.isnan(series.values[-1])


def serving(limit: int | None = None, most: int = prometheus.POINTS_LIMIT) -> list[int]:
    """A Prometheus whose `up` has every point, and that refuses more samples than `limit`."""
    asked: list[int] = []

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        form = parse_qs(urlsplit(request.url).query)
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        count = round((end - start) / step) + 1
        asked.append(count)
        name = "prom_err_400_range_too_many_points" if count > most else "prom_err_422_max_samples"
        if count > most or (limit is not None and count > limit):
            refused = json.loads((CAPTURED / f"{name}.json").read_text("utf-8"))
            return refused["status"], {}, json.dumps(refused["body"])
        values = [[start + place * step, "1"] for place in range(count)]
        result = {"resultType": "matrix", "result": [{"metric": {"job": "x"}, "values": values}]}
        return 200, {}, json.dumps({"status": "success", "data": result})

    responses.add_callback("GET", f"{BASE}/api/v1/query_range", callback=answer)
    return asked


@responses.activate
def test_a_range_of_many_points_is_asked_for_in_pieces() -> None:
    asked = serving()
    (series,) = over(25_000).series
    assert asked == [11_000, 11_000, 3_000]
    assert len(series.times) == len(set(series.times)) == 25_000
    assert list(series.times) == sorted(series.times)


@responses.activate
def test_a_range_of_too_many_samples_is_halved() -> None:
    serving(limit=300)
    (series,) = over(1_001).series
    assert [round((t - series.times[0]) / 60) for t in series.times] == list(range(1_001))


@responses.activate
def test_halving_ends() -> None:
    asked = serving(limit=0)
    with pytest.raises(PrometheusError, match="too many samples"):
        over(1_000)
    assert len(asked) < 10


VECTOR = '{"status":"success","data":{"resultType":"vector","result":[%s]}}'
SCALAR = '{"status":"success","data":{"resultType":"scalar","result":[1,"%s"]}}'


def item(value: str) -> str:
    return f'{{"metric":{{}},"value":[1,"{value}"]}}'


@pytest.mark.parametrize(
    ("promql", "body", "expected"),
    [
        ("x == 0", VECTOR % item("0"), True),
        ("x > 1", VECTOR % "", False),
        ("x > 1", VECTOR % item("NaN"), False),
        ("x / y < 1", VECTOR % ",".join([item("NaN"), item("0.5")]), True),
        ("up", VECTOR % item("0"), False),
        ("up", VECTOR % item("1"), True),
        ('up{job="a==b"}', VECTOR % item("0"), False),
        ("up == bool 1", VECTOR % item("0"), False),
        ("scalar(x) > bool 1", SCALAR % "0", False),
        ("scalar(x) > bool 1", SCALAR % "1", True),
        ("absent(x)", VECTOR % item("1"), True),
        ("x > 1", VECTOR % item("+Inf"), True),
        ("up # > 0", VECTOR % item("0"), False),
        ("# is x > 0?\nup", VECTOR % item("0"), False),
        ("x # don't\n== 0 # or", VECTOR % item("0"), True),
        ('x{a="#"} == 0', VECTOR % item("0"), True),
        ("x{a=`#`} == 0 # bool", VECTOR % item("0"), True),
        ('up{a="b" # }\n, c="d"}', VECTOR % item("0"), False),
    ],
)
@responses.activate
def test_does_a_condition_hold(promql: str, body: str, *, expected: bool) -> None:
    responses.add("GET", f"{BASE}/api/v1/query", body=body)
    assert prometheus.holds(Outbound(), BASE, promql) is expected


@responses.activate
def test_a_guard_never_trusts_a_partial_answer() -> None:
    captured("prom_query_warnings")
    with pytest.raises(PrometheusError) as caught:
        prometheus.holds(Outbound(), BASE, "up == 1")
    assert caught.value.kind == "partial"


@responses.activate
def test_its_own_alerts_are_read_without_external_labels() -> None:
    captured("prom_alerts", "alerts")
    found = prometheus.alerts(Outbound(), BASE)
    assert [labels["alertname"] for labels, state in found if state == "pending"] == ["SlowPending"]
    assert len(found) == 7
    assert found[0][0]["gateway"] == "northpay"
    assert "cluster" not in found[0][0]


@responses.activate
def test_a_store_without_rules_says_so_for_good() -> None:
    captured("prom_err_404_path", "alerts")
    with pytest.raises(PrometheusError) as error:
        prometheus.alerts(Outbound(), BASE)
    assert not error.value.retry


@responses.activate
def test_it_is_alive_when_it_answers_the_smallest_question() -> None:
    captured("prom_query_scalar")
    prometheus.alive(Outbound(), BASE)
    responses.reset()
    captured("prom_err_503_starting")
    with pytest.raises(PrometheusError) as error:
        prometheus.alive(Outbound(), BASE)
    assert error.value.kind == "starting"
