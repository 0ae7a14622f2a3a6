"""Writes a month of history into a Prometheus data folder, for a report needs a month."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Final, TextIO

from bridge.demo.gateway import GatewayConfig
from bridge.demo.hosts import CPUS, Strain, cpu_shares
from bridge.demo.month import Interval, Span, activity, covered, interval, quantile
from bridge.demo.program import ProgramFailed
from bridge.demo.settings import gateway_targets
from bridge.demo.traffic import BUCKETS, OUTCOMES, SERVICE

# Prometheus takes a sample for current up to 5 minutes after it: longer steps would leave holes.
STEP: Final = timedelta(minutes=5)
# One block for weeks of data instead of one for every two hours, each of which reads all the input.
BLOCK: Final = "486h"

Labels = dict[str, str]
Regions = dict[str, tuple[Interval, ...]]


@dataclass(frozen=True, slots=True)
class Series:
    """One value for every time; `family` is the name that OpenMetrics' TYPE line gives."""

    family: str
    kind: str
    name: str
    labels: Labels
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What was written; there is no outage when too little of the month has passed at `now`."""

    start: datetime
    end: datetime
    outage: Span | None
    samples: int


def backfill(data_dir: Path, month: str, client: str, now: datetime, step: timedelta = STEP) -> Backfilled:
    """Write the month ("2026-01", up to `now`) in blocks; best before Prometheus starts.

    The months of two calls must not be neighbours: each covers the month in every time zone.
    """
    config = GatewayConfig(clients=(client,))
    times, outage = covered(month, now, step)
    regions = _regions(config, times, outage, step)
    series = [
        *_payments(client, config.name, regions),
        *_recordings(client, config.name, regions, step),
    ]
    series += [*_hosts(config, times, step), *_up(client, times, outage)]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "history.om"
        with text.open("w", encoding="utf-8") as out:
            samples = _write(out, times, series)
        _make_blocks(text, data_dir)
    return Backfilled(times[0], times[-1], outage, samples)


def _regions(
    config: GatewayConfig, times: Sequence[datetime], outage: Span | None, step: timedelta
) -> Regions:
    # What is booked at a time happened in the step before it.
    failing = [outage is not None and outage[0] < at <= outage[1] for at in times]
    return {
        region: tuple(
            interval(at, step, config.payments_per_second / (1 + place), failing=fails)
            for at, fails in zip(times, failing, strict=True)
        )
        for place, region in enumerate(config.regions)
    }


def _payments(client: str, gateway: str, regions: Regions) -> Iterator[Series]:
    duration = "payment_request_duration_seconds"
    scraped = {"instance": "payments", "job": "payments"}  # as gateway_targets has it
    for region, intervals in regions.items():
        labels = scraped | _labels(client, gateway, region)
        for outcome in OUTCOMES:
            counts = accumulate(part.outcomes.get(outcome, 0) for part in intervals)
            yield Series(
                "payment_requests",
                "counter",
                "payment_requests_total",
                labels | {"outcome": outcome},
                list(counts),
            )
        for place, bound in enumerate((*map(str, BUCKETS), "+Inf")):
            counts = accumulate(part.buckets[place] for part in intervals)
            bucket = labels | {"le": bound}
            yield Series(duration, "histogram", f"{duration}_bucket", bucket, list(counts))
        counts = accumulate(part.total for part in intervals)
        yield Series(duration, "histogram", f"{duration}_count", labels, list(counts))
        seconds = list(accumulate(part.seconds for part in intervals))
        yield Series(duration, "histogram", f"{duration}_sum", labels, seconds)


def _recordings(client: str, gateway: str, regions: Regions, step: timedelta) -> Iterator[Series]:
    for region, intervals in regions.items():
        labels = _labels(client, gateway, region)
        rates = [part.total / step.total_seconds() for part in intervals]
        ratios = [part.outcomes["ok"] / part.total for part in intervals]
        latencies = [quantile(0.95, part.buckets) for part in intervals]
        yield _gauge("payment:requests:rate5m", labels, rates)
        yield _gauge("payment:success_ratio:rate5m", labels, ratios)
        yield _gauge("payment:latency_seconds:p95", labels, latencies)
    together = [
        sum(part.outcomes["ok"] for part in parts) / sum(part.total for part in parts)
        for parts in zip(*regions.values(), strict=True)
    ]
    yield _gauge("payment_success_ratio", {"client": client, "service": SERVICE}, together)


def _hosts(config: GatewayConfig, times: Sequence[datetime], step: timedelta) -> Iterator[Series]:
    strains = [Strain(load=activity(at)) for at in times]
    shared = {"client": config.clients[0], "service": SERVICE, "job": "payments"}
    for host in config.hosts:
        labels = shared | {"instance": host.instance, "region": host.region}
        yield _gauge("node_load1", labels, [strain.load for strain in strains])
        for mode in cpu_shares(0):
            spent = accumulate(cpu_shares(strain.busy)[mode] for strain in strains)
            seconds = [share * step.total_seconds() for share in spent]
            for cpu in CPUS:
                yield Series(
                    "node_cpu_seconds",
                    "counter",
                    "node_cpu_seconds_total",
                    labels | {"cpu": cpu, "mode": mode},
                    seconds,
                )


def _up(client: str, times: Sequence[datetime], outage: Span | None) -> Iterator[Series]:
    failing = [outage is not None and outage[0] < at <= outage[1] for at in times]
    for target in gateway_targets(0, client):
        down = target.job == "pay-primary"
        labels = {"job": target.job, **target.labels}
        yield _gauge("up", labels, [0 if down and fails else 1 for fails in failing])


def _labels(client: str, gateway: str, region: str) -> Labels:
    return {"client": client, "service": SERVICE, "gateway": gateway, "region": region}


def _gauge(name: str, labels: Labels, values: Sequence[float]) -> Series:
    return Series(name, "gauge", name, labels, values)


def _write(out: TextIO, times: Sequence[datetime], series: Iterable[Series]) -> int:
    """OpenMetrics text; returns the number of samples."""
    stamps = [str(int(at.timestamp())) for at in times]
    family, samples = "", 0
    for one in sorted(series, key=lambda one: one.family):
        if one.family != family:
            family = one.family
            out.write(f"# TYPE {family} {one.kind}\n")
        labels = ",".join(f'{name}="{_escaped(text)}"' for name, text in one.labels.items())
        head = f"{one.name}{{{labels}}}"
        out.writelines(f"{head} {value} {stamp}\n" for value, stamp in zip(one.values, stamps, strict=True))
        samples += len(stamps)
    out.write("# EOF\n")
    return samples


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _make_blocks(text: Path, data_dir: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        raise ProgramFailed("promtool is not installed; on Debian or Ubuntu: apt-get install prometheus")
    command = [promtool, "tsdb", "create-blocks-from", f"--max-block-duration={BLOCK}", "--quiet"]
    command += ["openmetrics", str(text), str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProgramFailed(f"promtool could not write the history: {(done.stderr + done.stdout).strip()}")
