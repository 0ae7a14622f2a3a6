"""Questions to Prometheus' HTTP API, over the one way out, for reports, failovers and reconciliation.

Sample values arrive as strings ("NaN", "+Inf", "1e+00"); points missing from a range are simply not there.
An answer with warnings is a partial answer: a remote store did not reply, yet the status says success.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn
from urllib.parse import urlencode, urlsplit

import msgspec

from bridge import delivery
from bridge.delivery import DeliveryError, Outbound
from bridge.model import Sample, Series

QUERY_SECONDS = 10.0
ALIVE_SECONDS = 5.0
RANGE_SECONDS = 30.0
ANSWER_LIMIT = 128 * 1024 * 1024
POINTS_LIMIT = 11_000
SMALLEST_SPLIT = 16
LONGEST_GET = 1_500

# A comment can hold a quote and a text a #: whichever begins first is taken whole.
_STRINGS = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|#[^\n]*')
_COMPARES = re.compile(r"[<>]|[=!]=(?!~)")
_BOOL = re.compile(r"\bbool\b")


class PrometheusError(DeliveryError):
    """A question got no full answer.

    `kind`: Prometheus' own errorType (bad_data, execution, timeout, …), or `starting` (503 in plain text),
    `unreachable`, `unreadable`, `partial`. The text carries Prometheus' own words.
    """

    def __init__(self, reason: str, *, kind: str, retry: bool, after: float | None = None) -> None:
        super().__init__(reason, retry=retry, after=after)
        self.kind = kind


@dataclass(frozen=True)
class Answer:
    """What Prometheus said: samples of an instant or series of a range. Warnings mean it is partial."""

    samples: tuple[Sample, ...] = ()
    series: tuple[Series, ...] = ()
    warnings: tuple[str, ...] = ()


class _Item(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []
    histogram: msgspec.Raw | None = None
    histograms: msgspec.Raw | None = None


class _Alert(msgspec.Struct):
    labels: dict[str, str]
    state: str


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: msgspec.Raw = msgspec.Raw(b"[]")
    alerts: list[_Alert] = []


class _Body(msgspec.Struct, rename="camel"):
    status: str
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] = []


def query(
    outbound: Outbound,
    base_url: str,
    promql: str,
    at: datetime | None = None,
    seconds: float = QUERY_SECONDS,
) -> Answer:
    """One instant query; a scalar becomes one sample without labels. Raises PrometheusError."""
    asked = {"query": promql, "timeout": f"{seconds:g}s"}
    if at is not None:
        asked["time"] = _stamp(at)
    data, warnings = _ask(outbound, base_url, "query", asked, seconds)
    try:
        if data.result_type == "scalar":
            time, text = msgspec.json.decode(data.result, type=tuple[float, str])
            return Answer((Sample({}, time, float(text)),), warnings=warnings)
        if data.result_type != "vector":
            raise _unreadable(f"a {data.result_type} is no instant vector")
        items = msgspec.json.decode(data.result, type=list[_Item])
        samples = tuple(Sample(i.metric, i.value[0], float(i.value[1])) for i in items if i.value)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _unreadable("the answer has another shape than documented") from error
    return Answer(samples, warnings=warnings + _left_out(items))


def query_range(
    outbound: Outbound,
    base_url: str,
    promql: str,
    start: datetime,
    end: datetime,
    step: timedelta,
    seconds: float = RANGE_SECONDS,
) -> Answer:
    """One query over time, both ends included. Raises PrometheusError.

    More points than Prometheus allows are asked for in pieces, and a piece that would load too many
    samples is halved, so the caller sees one answer.
    """
    if step <= timedelta(0) or end < start:
        raise ValueError("a range needs a positive step and an end that is not before its start")
    left = (end - start) // step + 1
    found: dict[tuple[tuple[str, str], ...], tuple[list[float], list[float]]] = {}
    warnings: dict[str, None] = {}
    while left > 0:
        points = min(left, POINTS_LIMIT)
        for piece in _pieces(outbound, base_url, promql, start, points, step, seconds):
            warnings.update(dict.fromkeys(piece.warnings))
            for series in piece.series:
                times, values = found.setdefault(tuple(sorted(series.labels.items())), ([], []))
                times.extend(series.times)
                values.extend(series.values)
        start, left = start + points * step, left - points
    merged = tuple(Series(dict(key), tuple(t), tuple(v)) for key, (t, v) in found.items())
    return Answer(series=merged, warnings=tuple(warnings))


def holds(
    outbound: Outbound,
    base_url: str,
    promql: str,
    at: datetime | None = None,
    seconds: float = QUERY_SECONDS,
) -> bool:
    """Is this condition true now? For guards: what cannot be answered in full raises PrometheusError.

    A comparison filters, so any series left means true, whatever its value. Where nothing filters
    (`up`, `a == bool b`, a scalar) a value other than 0 means true. NaN never counts.
    """
    answer = query(outbound, base_url, promql, at, seconds)
    if answer.warnings:
        raise PrometheusError(f"partial answer: {answer.warnings[0]}", kind="partial", retry=True)
    values = [sample.value for sample in answer.samples if not math.isnan(sample.value)]
    return bool(values) if _filters(promql) else any(values)


def alive(outbound: Outbound, base_url: str, seconds: float = ALIVE_SECONDS) -> None:
    """Can it answer the smallest question? Raises PrometheusError when it cannot."""
    query(outbound, base_url, "1", seconds=seconds)


def alerts(
    outbound: Outbound, base_url: str, seconds: float = QUERY_SECONDS
) -> tuple[tuple[Mapping[str, str], str], ...]:
    """Labels and state ("firing", "pending") of the alerts of its own rules, without external labels.

    Raises PrometheusError; `retry` is False where this list does not exist (a store without rules).
    """
    data, _ = _ask(outbound, base_url, "alerts", {}, seconds)
    return tuple((alert.labels, alert.state) for alert in data.alerts)


def _filters(promql: str) -> bool:
    """Does a comparison decide which series are left? Matchers, texts in quotes and comments are none."""
    bare = re.sub(r"\{[^}]*\}", "", _STRINGS.sub('""', promql))
    return bool(_COMPARES.search(bare)) and not _BOOL.search(bare)


def _pieces(
    outbound: Outbound,
    base_url: str,
    promql: str,
    start: datetime,
    points: int,
    step: timedelta,
    seconds: float,
) -> list[Answer]:
    try:
        end = start + (points - 1) * step
        return [_range(outbound, base_url, promql, start, end, step, seconds)]
    except PrometheusError as error:
        if "too many samples" not in str(error) or points < SMALLEST_SPLIT:
            raise
    half = points // 2
    first = _pieces(outbound, base_url, promql, start, half, step, seconds)
    rest = _pieces(outbound, base_url, promql, start + half * step, points - half, step, seconds)
    return first + rest


def _range(
    outbound: Outbound,
    base_url: str,
    promql: str,
    start: datetime,
    end: datetime,
    step: timedelta,
    seconds: float,
) -> Answer:
    asked = {
        "query": promql,
        "start": _stamp(start),
        "end": _stamp(end),
        "step": f"{step.total_seconds():.3f}",
        "timeout": f"{seconds:g}s",
    }
    data, warnings = _ask(outbound, base_url, "query_range", asked, seconds)
    if data.result_type != "matrix":
        raise _unreadable(f"a {data.result_type} is no range")
    try:
        items = msgspec.json.decode(data.result, type=list[_Item])
        series = tuple(
            Series(item.metric, tuple(t for t, _ in item.values), tuple(float(v) for _, v in item.values))
            for item in items
            if item.values
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise _unreadable("the answer has another shape than documented") from error
    return Answer(series=series, warnings=warnings + _left_out(items))


def _ask(
    outbound: Outbound, base_url: str, what: str, asked: Mapping[str, str], seconds: float
) -> tuple[_Data, tuple[str, ...]]:
    url = f"{base_url.rstrip('/')}/api/v1/{what}"
    text = urlencode(asked)
    # Two seconds more than Prometheus' own time-out, so that it can tell us about it in its own words.
    patience = seconds + 2.0
    try:
        if len(text) > LONGEST_GET:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = outbound.call(
                "POST", url, data=text.encode(), headers=form, seconds=patience, limit=ANSWER_LIMIT
            )
        else:
            asked_url = f"{url}?{text}" if text else url
            answer = outbound.call("GET", asked_url, seconds=patience, limit=ANSWER_LIMIT)
    except DeliveryError as error:
        raise PrometheusError(str(error), kind="unreachable", retry=error.retry) from error
    if len(answer.body) >= ANSWER_LIMIT:
        raise _unreadable(f"the answer is larger than {ANSWER_LIMIT // 2**20} MiB")
    try:
        body = msgspec.json.decode(answer.body, type=_Body)
    except msgspec.MsgspecError:
        _not_json(answer, base_url)
    if answer.status != 200 or body.status != "success" or body.data is None:
        retry = answer.status >= 500 and body.error_type != "execution"
        kind = body.error_type or "unreadable"
        raise PrometheusError(f"{kind}: {body.error or answer.status}", kind=kind, retry=retry)
    return body.data, tuple(body.warnings)


def _not_json(answer: delivery.Answer, base_url: str) -> NoReturn:
    if answer.status == 503:
        raise PrometheusError("Prometheus is starting or stopping (503)", kind="starting", retry=True)
    if answer.status == 200:
        raise _unreadable("the answer is not Prometheus' JSON")
    refused = delivery.refused(answer, urlsplit(base_url).hostname or "")
    raise PrometheusError(str(refused), kind="unreadable", retry=refused.retry, after=refused.after)


def _left_out(items: list[_Item]) -> tuple[str, ...]:
    native = sum(1 for item in items if item.histogram or item.histograms)
    return (f"{native} native histograms left out: only numbers are read",) if native else ()


def _unreadable(reason: str) -> PrometheusError:
    return PrometheusError(reason, kind="unreadable", retry=False)


def _stamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return f"{moment.timestamp():.3f}"
