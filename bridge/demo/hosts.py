"""Servers as node_exporter shows them: CPU, load, memory and disk, one per region."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CPUS: Final = ("0", "1")
GIB: Final = 1 << 30
MEMORY_BYTES: Final = 16 * GIB
DISK_BYTES: Final = 200 * GIB
DISK_LABELS: Final = {"device": "/dev/vda1", "fstype": "ext4", "mountpoint": "/"}


@dataclass(frozen=True, slots=True)
class Host:
    """One server; its instance is what node_exporter calls it."""

    instance: str
    region: str


@dataclass(frozen=True, slots=True)
class Strain:
    """How hard a host works; the defaults are an ordinary day."""

    load: float = 0.6
    disk_used: float = 0.42

    @property
    def busy(self) -> float:
        """The share of CPU time that is not idle."""
        return min(0.98, self.load / len(CPUS))


def cpu_shares(busy: float) -> dict[str, float]:
    """Seconds per second and CPU in each mode."""
    return {"idle": 1 - busy, "user": busy * 0.7, "system": busy * 0.25, "iowait": busy * 0.05}


class Hosts(Collector):
    """All hosts and what they have booked so far."""

    def __init__(self, hosts: tuple[Host, ...], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._booked_until = clock()
        self._strain = {host: Strain() for host in hosts}
        self._cpu = {(host, mode): 0.0 for host in hosts for mode in cpu_shares(0)}

    def overload(self, region: str, load: float) -> None:
        """Give the hosts of a region this load."""
        self._change(region, lambda strain: replace(strain, load=load))

    def fill_disk(self, region: str, used: float) -> None:
        """Let this share of the disks of a region be used."""
        self._change(region, lambda strain: replace(strain, disk_used=used))

    def recover(self) -> None:
        """Make it an ordinary day everywhere."""
        for region in {host.region for host in self._strain}:
            self._change(region, lambda _: Strain())

    def collect(self) -> Iterator[Metric]:
        """Book what has passed and show everything."""
        with self._lock:
            self._book()
            return iter((self._cpu_seconds(), *self._gauges()))

    def _change(self, region: str, change: Callable[[Strain], Strain]) -> None:
        with self._lock:
            self._book()
            concerned = [host for host in self._strain if host.region == region]
            if not concerned:
                raise ValueError(f"no host in region {region!r}")
            for host in concerned:
                self._strain[host] = change(self._strain[host])

    def _book(self) -> None:
        now = self._clock()
        passed, self._booked_until = now - self._booked_until, now
        for host, strain in self._strain.items():
            for mode, share in cpu_shares(strain.busy).items():
                self._cpu[host, mode] += passed * share

    def _cpu_seconds(self) -> Metric:
        labels = ("instance", "region", "cpu", "mode")
        family = CounterMetricFamily("node_cpu_seconds", "Seconds spent in each mode.", labels=labels)
        for (host, mode), seconds in self._cpu.items():
            for cpu in CPUS:
                family.add_metric((host.instance, host.region, cpu, mode), seconds)
        return family

    def _gauges(self) -> Iterator[Metric]:
        disk = tuple(DISK_LABELS.items())
        yield self._gauge("node_load1", "1 minute load average.", lambda strain: strain.load)
        yield self._gauge("node_memory_MemTotal_bytes", "Memory.", lambda _: MEMORY_BYTES)
        yield self._gauge(
            "node_memory_MemAvailable_bytes",
            "Memory available for use.",
            lambda strain: MEMORY_BYTES * (1 - 0.3 - 0.5 * strain.busy),
        )
        yield self._gauge(
            "node_filesystem_size_bytes", "Size of the file system.", lambda _: DISK_BYTES, disk
        )
        yield self._gauge(
            "node_filesystem_avail_bytes",
            "Space left for users.",
            lambda strain: round(DISK_BYTES * (1 - strain.disk_used)),
            disk,
        )

    def _gauge(
        self,
        name: str,
        explanation: str,
        value: Callable[[Strain], float],
        extra: tuple[tuple[str, str], ...] = (),
    ) -> Metric:
        labels = ("instance", "region", *(label for label, _ in extra))
        family = GaugeMetricFamily(name, explanation, labels=labels)
        for host, strain in self._strain.items():
            family.add_metric((host.instance, host.region, *(text for _, text in extra)), value(strain))
        return family
