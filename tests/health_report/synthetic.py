"""A month of a client that never was, with planted truth: what Prometheus would have answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.delivery import Outbound
from bridge.model import Clock, ClockState, Sample, Series
from health_report.facts import FailoverRecord, IncidentRecord, Question, Result
from health_report.report import Request

OUTAGE = (11.5, 11.59)  # days into the month: alipay fails
BLIND = (20.0, 20.25)  # days into the month: nothing was recorded

Point = Callable[[float], float | None]


def result(question: Question) -> Result:
    """The answer to a question of queries.yml; a query that is not known here brings nothing."""
    shapes = SHAPES.get((question.section, question.name), {})
    if question.kind == "instant":
        samples = tuple(
            Sample(dict(labels), question.end.timestamp(), shape(0.0) or 0.0)
            for labels, shape in shapes.items()
        )
        return Result(question=question, samples=samples)
    series = tuple(_series(question, dict(labels), shape) for labels, shape in shapes.items())
    return Result(question=question, series=series)


def answers(
    _outbound: Any, _urls: Any, questions: Sequence[Question], _progress: Any = None
) -> tuple[Result, ...]:
    """In place of `gather.results`."""
    return tuple(result(question) for question in questions)


def failing(
    _outbound: Any, _urls: Any, questions: Sequence[Question], _progress: Any = None
) -> tuple[Result, ...]:
    """Prometheus is down."""
    return tuple(Result(question=q, error="prometheus.example: connection refused") for q in questions)


def nothing(
    _outbound: Any, _urls: Any, questions: Sequence[Question], _progress: Any = None
) -> tuple[Result, ...]:
    """Prometheus knows nothing of this client."""
    return tuple(Result(question=q) for q in questions)


def _series(question: Question, labels: dict[str, str], shape: Point) -> Series:
    times, values = [], []
    count = int((question.end - question.start).total_seconds() // question.step)
    for place in range(1, count + 1):
        days = place * question.step / 86_400
        value = shape(days - (0 if not question.before else 1000))
        if value is not None:
            times.append(question.start.timestamp() + place * question.step)
            values.append(value)
    return Series(labels, tuple(times), tuple(values))


def _seen(shape: Callable[[float], float]) -> Point:
    return lambda day: None if BLIND[0] < day <= BLIND[1] else shape(day)


def _volume(scale: float) -> Callable[[float], float]:
    return lambda day: scale * (1.2 + math.sin(2 * math.pi * (day - 0.3)))


def _share(scale: float, normal: float, outage: float) -> Callable[[float], float]:
    volume = _volume(scale)
    return lambda day: volume(day) * (outage if OUTAGE[0] < day <= OUTAGE[1] else normal)


def _labels(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(labels.items())


Shapes = dict[tuple[tuple[str, str], ...], Point]
GATEWAYS = {"alipay": (900, 0.9992, 0.12), "wechat": (700, 0.9996, 0.9996), "stripe": (120, 0.9975, 0.9975)}
REGIONS = {"eu-west-1": (1.9, 0.10), "us-east-1": (1.5, 0.0), "ap-southeast-1": (1.2, 0.0)}


def _load(base: float, growth: float) -> Callable[[float], float]:
    return lambda day: base * (1 + 0.35 * math.sin(2 * math.pi * day)) + growth * max(day, 0)


SHAPES: dict[tuple[str, str], Shapes] = {
    ("availability", "total"): {
        _labels(service="payments"): _seen(_volume(1720)),
        _labels(service="orders"): _seen(_volume(400)),
    },
    ("availability", "good"): {
        _labels(service="payments"): _seen(_share(1720, 0.9992, 0.58)),
        _labels(service="orders"): _seen(_share(400, 0.9997, 0.9997)),
    },
    ("payments", "requests"): {_labels(gateway=g): _seen(_volume(v)) for g, (v, _, _) in GATEWAYS.items()},
    ("payments", "ok"): {_labels(gateway=g): _seen(_share(*numbers)) for g, numbers in GATEWAYS.items()},
    ("payments", "p95"): {
        _labels(gateway=g): _seen(
            lambda day, k=k: (
                0.3 + 0.2 * k + (2.5 if OUTAGE[0] < day <= OUTAGE[1] and k == 1 else 0.05 * math.sin(day * 7))
            )
        )
        for k, g in enumerate(("wechat", "alipay", "stripe"))
    },
    ("payments", "p95_month"): {
        _labels(gateway=g): (lambda _, k=k: 0.31 + 0.2 * k)
        for k, g in enumerate(("wechat", "alipay", "stripe"))
    },
    ("servers", "load"): {_labels(region=r): _seen(_load(*numbers)) for r, numbers in REGIONS.items()},
    ("servers", "cores"): {_labels(region=r): _seen(lambda _: 4.0) for r in REGIONS},
    ("servers", "busy"): {
        _labels(region=r): _seen(lambda day, n=n: min(0.97, _load(*n)(day) / 5)) for r, n in REGIONS.items()
    },
    ("servers", "hosts"): {_labels(region=r): (lambda _, k=k: 12.0 + k) for k, r in enumerate(REGIONS)},
    ("servers", "hottest"): {
        _labels(region="eu-west-1", instance=f"eu-app-{k:02}.acme.internal:9100"): (
            lambda _, k=k: 5.1 - k * 0.13
        )
        for k in range(6)
    },
    ("data_quality", "up"): {_labels(job="payments"): _seen(lambda _: 1.0)},
}


def incidents(start: datetime, end: datetime) -> Sequence[IncidentRecord]:
    """Three incidents in every month; the first breaks its promise."""
    at = start + timedelta(days=OUTAGE[0])
    return [
        _incident(
            42,
            "支付网关超时 Payment gateway times out · alipay · EU",
            "P1",
            "payments",
            at,
            2,
            58,
            breach="respond",
        ),
        _incident(43, "Orders API answers slowly", "P2", "orders", start + timedelta(days=5.2), 30, 600),
        _incident(44, "Disk of eu-db-01 is 85 % full", "P3", "orders", start + timedelta(days=23), 60, 4000),
    ]


def _incident(
    number: int,
    title: str,
    priority: str,
    service: str,
    at: datetime,
    taken: int,
    restored: int,
    breach: str = "",
) -> IncidentRecord:
    opened = at + timedelta(seconds=40)
    targets = (
        {"respond": timedelta(minutes=10), "restore": timedelta(hours=1)}
        if priority == "P1"
        else {"plan": timedelta(days=1)}
    )
    stopped = opened + timedelta(minutes=taken)
    clocks = tuple(
        Clock(
            target=name,
            started_at=opened,
            due_at=opened + length,
            state=ClockState.BREACHED if name == breach else ClockState.MET,
            stopped_at=opened + length + timedelta(minutes=4) if name == breach else stopped,
        )
        for name, length in targets.items()
    )
    run = FailoverRecord(
        plan="pay-standby", mode="auto", state="verified", started_at=stopped, finished_at=stopped
    )
    return IncidentRecord(
        number=number,
        title=title,
        priority=priority,
        client="acme",
        service=service,
        status="closed",
        began_at=at,
        opened_at=opened,
        acknowledged_at=stopped,
        resolved_at=at + timedelta(minutes=restored),
        alerts=12,
        clocks=clocks,
        failovers=(run,) if priority == "P1" else (),
        cause="Expired certificate at the provider" if priority == "P1" else "",
    )


def request(out_dir: Path, **changes: Any) -> Request:
    """An order for acme's report of October 2026."""
    usual: dict[str, Any] = {
        "client": "acme",
        "client_name": "安可科技",
        "month": "2026-10",
        "time_zone": "Asia/Shanghai",
        "language": "zh",
        "out_dir": out_dir,
        "outbound": Outbound(),
        "incidents": incidents,
        "now": datetime(2026, 11, 2, tzinfo=UTC),
        "slo": {"payments": 99.9, "orders": 99.5},
        "prometheus": ("http://prometheus.example:9090",),
        "formats": ("html", "pdf"),
        "config_version": "b7c1f2",
        "step": 3_600.0,  # hourly: a test need not wait for nine thousand points
    }
    return Request(**(usual | changes))
