"""Simulated payments: what passed since the last look is booked when somebody looks."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import Final, Literal

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

Channel = Literal["primary", "standby"]
CHANNELS: Final[tuple[Channel, ...]] = ("primary", "standby")
SERVICE: Final = "payments"
OUTCOMES: Final = ("ok", "error", "timeout")
LABELS: Final = ("client", "service", "gateway", "region")
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TIMEOUT_SECONDS: Final = 10.0

# The pattern repeats every PERIOD payments: a long silence costs no more to book than a short one.
PERIOD: Final = 100
NORMAL: Final = (0.07, 0.13, 0.21, 0.09, 0.31, 0.16, 0.11, 0.24, 0.18, 0.42)
SLUGGISH: Final = (1.4, 2.7, 3.9, 2.1, 4.6, 3.2, 1.9, 2.8, 3.5, 4.1)
CALM_QUEUE: Final = 3
FULL_QUEUE: Final = 5000


class Mode(StrEnum):
    """How payments over a channel end."""

    OK = "ok"
    TIMEOUT = "timeout"
    ERRORS = "errors"
    SLOW = "slow"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Condition:
    """How a channel behaves; `error_percent` counts only in mode ERRORS."""

    mode: Mode = Mode.OK
    error_percent: int = 0

    @property
    def healthy(self) -> bool:
        """Whether payments succeed; slow ones do, and without customers nothing fails."""
        return self.mode not in (Mode.TIMEOUT, Mode.ERRORS)


def payment(condition: Condition, number: int) -> tuple[str, float]:
    """Outcome and duration of the payment with this number."""
    position = number % PERIOD
    if condition.mode is Mode.TIMEOUT:
        return "timeout", TIMEOUT_SECONDS
    if condition.mode is Mode.SLOW:
        return "ok", SLUGGISH[position % len(SLUGGISH)]
    percent = condition.error_percent if condition.mode is Mode.ERRORS else 0
    failed = (position + 1) * percent // PERIOD > position * percent // PERIOD
    return ("error" if failed else "ok"), NORMAL[position % len(NORMAL)]


def payments(condition: Condition, first: int, count: int) -> Counter[tuple[str, float]]:
    """How often each (outcome, duration) occurs among `count` payments from number `first` on."""
    whole, rest = divmod(count, PERIOD)
    tally = Counter(payment(condition, number) for number in range(first, first + rest))
    if whole:
        for number in range(PERIOD):
            tally[payment(condition, number)] += whole
    return tally


@dataclass(slots=True)
class _Stream:
    """Everything booked so far for one client in one region."""

    number: int = 0
    due: float = 0.0
    queue: int = CALM_QUEUE
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def book(self, condition: Condition, expected: float) -> None:
        if condition.mode is Mode.SILENT:
            return
        self.due += expected
        count = int(self.due)
        self.due -= count
        for (outcome, seconds), times in payments(condition, self.number, count).items():
            self.outcomes[outcome] += times
            self.buckets[bisect_left(BUCKETS, seconds)] += times
            self.seconds += seconds * times
        self.number += count
        if condition.mode is Mode.TIMEOUT:
            self.queue = min(FULL_QUEUE, self.queue + count)
        else:
            self.queue = max(CALM_QUEUE, self.queue - 4 * count)


class Traffic(Collector):
    """Payments of every client in every region, all over the channel that is routed to."""

    def __init__(
        self,
        gateway: str,
        clients: tuple[str, ...],
        regions: tuple[str, ...],
        per_second: float,
        clock: Callable[[], float],
    ) -> None:
        self._gateway = gateway
        self._clients = clients
        self._per_second = per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._booked_until = clock()
        self._routed: Channel = "primary"
        self._conditions: dict[Channel, Condition] = {name: Condition() for name in CHANNELS}
        self._streams = {(client, region): _Stream() for client in clients for region in regions}

    def route(self, channel: Channel) -> None:
        """From now on payments go over this channel."""
        with self._lock:
            self._book()
            self._routed = channel

    def set_condition(self, channel: Channel, condition: Condition) -> None:
        """From now on the channel behaves like this."""
        with self._lock:
            self._book()
            self._conditions[channel] = condition

    def condition(self, channel: Channel) -> Condition:
        """How the channel behaves."""
        with self._lock:
            return self._conditions[channel]

    def collect(self) -> Iterator[Metric]:
        """Book what has passed and show everything."""
        with self._lock:
            self._book()
            return iter((self._requests(), self._durations(), self._active(), self._queues()))

    def _book(self) -> None:
        now = self._clock()
        expected = (now - self._booked_until) * self._per_second
        self._booked_until = now
        for stream in self._streams.values():
            stream.book(self._conditions[self._routed], expected)

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "payment_requests", "Payments sent to the gateway.", labels=(*LABELS, "outcome")
        )
        for (client, region), stream in self._streams.items():
            for outcome in OUTCOMES:
                labels = (client, SERVICE, self._gateway, region, outcome)
                family.add_metric(labels, stream.outcomes[outcome])
        return family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "payment_request_duration_seconds", "How long payments took.", labels=LABELS
        )
        bounds = (*(str(bound) for bound in BUCKETS), "+Inf")
        for (client, region), stream in self._streams.items():
            family.add_metric(
                (client, SERVICE, self._gateway, region),
                buckets=list(zip(bounds, accumulate(stream.buckets), strict=True)),
                sum_value=stream.seconds,
            )
        return family

    def _active(self) -> Metric:
        family = GaugeMetricFamily(
            "payment_gateway_active",
            "1 for the channel that payments go over.",
            labels=("client", "gateway", "channel"),
        )
        for client in self._clients:
            for channel in CHANNELS:
                family.add_metric((client, self._gateway, channel), channel == self._routed)
        return family

    def _queues(self) -> Metric:
        family = GaugeMetricFamily(
            "payment_queue_depth", "Payments waiting to be sent.", labels=("client", "region")
        )
        for labels, stream in self._streams.items():
            family.add_metric(labels, stream.queue)
        return family
