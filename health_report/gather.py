"""All input and output of a report's making: asks Prometheus, collects answers, errors and warnings.

A Prometheus that does not answer never stops a report: its questions come back with an error, and the
report says what is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from bridge import prometheus
from bridge.delivery import Outbound
from bridge.model import Sample, Series
from bridge.prometheus import PrometheusError
from health_report.facts import FailoverRecord, IncidentRecord, Question, Result

__all__ = ["AT_ONCE", "FailoverRecord", "IncidentRecord", "Progress", "of_client", "results"]

AT_ONCE = 4
GIVE_UP_AFTER = 2
Progress = Callable[[str, int, int], None]


class _Patience:
    """Remembers which addresses are down, so that a dead one costs seconds and not minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, int] = {}

    def worth_asking(self, url: str) -> bool:
        with self._lock:
            return self._failures.get(url, 0) < GIVE_UP_AFTER

    def learn(self, url: str, error: PrometheusError | None) -> None:
        with self._lock:
            down = error is not None and error.kind in ("unreachable", "starting")
            self._failures[url] = self._failures.get(url, 0) + 1 if down else 0


def results(
    outbound: Outbound,
    urls: Sequence[str],
    questions: Sequence[Question],
    progress: Progress | None = None,
) -> tuple[Result, ...]:
    """Ask every question, four at a time, in the order of the questions. Raises nothing of Prometheus'.

    Several addresses are copies of the same data (a pair): every point is taken from the first that has it.
    """
    patience = _Patience()
    lock = threading.Lock()
    done = 0

    def one(question: Question) -> Result:
        nonlocal done
        result = _asked(outbound, urls, question, patience)
        with lock:
            done += 1
            if progress:
                progress("queries", done, len(questions))
        return result

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="report-query") as pool:
        return tuple(pool.map(one, questions))


def of_client(incidents: Sequence[IncidentRecord], client: str) -> tuple[IncidentRecord, ...]:
    """Only this client's, in order of their begin: what belongs to others never enters a report."""
    own = (incident for incident in incidents if incident.client == client)
    return tuple(sorted(own, key=lambda incident: (incident.began_at, incident.number)))


def _asked(outbound: Outbound, urls: Sequence[str], question: Question, patience: _Patience) -> Result:
    if not urls:
        return Result(question=question, error="no Prometheus is configured for this client")
    samples: dict[tuple[tuple[str, str], ...], Sample] = {}
    series: dict[tuple[tuple[str, str], ...], Series] = {}
    warnings: dict[str, None] = {}
    errors: list[str] = []
    for url in urls:
        try:
            answer = _one(outbound, url, question, patience)
        except PrometheusError as error:
            errors.append(str(error))
            continue
        warnings.update(dict.fromkeys(answer.warnings))
        for sample in answer.samples:
            samples.setdefault(_key(sample.labels), sample)
        for one in answer.series:
            series[_key(one.labels)] = _united(series.get(_key(one.labels)), one)
    failed = len(errors) == len(urls)
    return Result(
        question=question,
        samples=tuple(samples[key] for key in sorted(samples)),
        series=tuple(series[key] for key in sorted(series)),
        warnings=tuple(warnings) + (() if failed else tuple(errors)),
        error="; ".join(dict.fromkeys(errors)) if failed else "",
    )


def _one(outbound: Outbound, url: str, question: Question, patience: _Patience) -> prometheus.Answer:
    if not patience.worth_asking(url):
        raise PrometheusError("not asked: Prometheus did not answer before", kind="unreachable", retry=True)
    try:
        if question.kind == "instant":
            answer = prometheus.query(outbound, url, question.promql, question.end, prometheus.RANGE_SECONDS)
        else:
            answer = _over_time(outbound, url, question)
    except PrometheusError as error:
        patience.learn(url, error)
        raise
    patience.learn(url, None)
    return answer


def _over_time(outbound: Outbound, url: str, question: Question) -> prometheus.Answer:
    step = timedelta(seconds=question.step)
    # A point stands for the step that ends at it, so the first lies one step after the start.
    first = question.start + step
    count = (question.end - question.start) // step
    if count < 1:
        return prometheus.Answer()
    last = question.start + count * step
    return prometheus.query_range(outbound, url, question.promql, first, last, step)


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _united(known: Series | None, other: Series) -> Series:
    if known is None:
        return other
    points = dict(zip(other.times, other.values, strict=True))
    points.update(zip(known.times, known.values, strict=True))
    times = tuple(sorted(points))
    return Series(known.labels, times, tuple(points[time] for time in times))
