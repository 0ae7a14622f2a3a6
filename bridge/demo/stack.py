"""A real Prometheus and a real Alertmanager (or several) on loopback, in a folder of their own."""

from __future__ import annotations

import http.client
import logging
import random
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bridge.demo.history import Backfilled, backfill
from bridge.demo.listener import LOOPBACK
from bridge.demo.program import Program, ProgramFailed
from bridge.demo.rules import demo_rules
from bridge.demo.settings import (
    ScrapeTarget,
    StackConfig,
    alertmanager_argv,
    gateway_targets,
    prometheus_argv,
    write_alertmanager,
    write_prometheus,
)

__all__ = [
    "Backfilled",
    "ProgramFailed",
    "ScrapeTarget",
    "Stack",
    "StackConfig",
    "backfill",
    "demo_rules",
    "free_port",
    "gateway_targets",
    "missing",
]

log = logging.getLogger(__name__)

# Below what Linux and macOS take for outgoing connections, so nobody grabs the port meanwhile.
PORTS: Final = range(20000, 32000)
BINARIES: Final = {
    "prometheus": ("prometheus",),
    "prometheus-alertmanager": ("alertmanager", "prometheus-alertmanager"),
}
"""Debian's package, and the names its program goes by."""


def missing() -> list[str]:
    """The Debian packages to install before a stack can start."""
    return [package for package in BINARIES if _binary(package) is None]


def free_port() -> int:
    """A loopback port that is free for TCP and for UDP."""
    for port in random.sample(PORTS, 200):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            try:
                stream.bind((LOOPBACK, port))
                datagram.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"found no free port between {PORTS.start} and {PORTS.stop}")


@dataclass(frozen=True, slots=True)
class _Service:
    program: Program
    port: int

    def ready(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=1)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Stack:
    """Ports are chosen once, so programs come back where they were after `stop` or `kill`."""

    def __init__(self, config: StackConfig) -> None:
        absent = missing()
        if absent:
            raise ProgramFailed(
                f"not installed: {', '.join(absent)}; on Debian or Ubuntu: "
                f"apt-get install {' '.join(BINARIES)}"
            )
        self.config = config
        self.data_dir = config.work / "prometheus" / "data"
        """Prometheus' samples; `backfill` may write here before `start`."""
        self._prometheus = _prometheus(config)
        self._alertmanagers = _alertmanagers(config)
        self.prometheus_url = f"http://{LOOPBACK}:{self._prometheus.port}"
        self.alertmanager_urls = tuple(f"http://{LOOPBACK}:{service.port}" for service in self._alertmanagers)

    def start(self, timeout: float = 30.0) -> Self:
        """Write the configuration, start everything and wait until it is ready."""
        ports = [service.port for service in self._alertmanagers]
        write_prometheus(self.config, self.config.work / "prometheus", ports)
        for index in range(len(self._alertmanagers)):
            write_alertmanager(self.config, _alertmanager_folder(self.config, index))
        try:
            for service in self._services():
                service.program.start()
            self.wait_ready(timeout)
        except BaseException:
            self.kill()
            raise
        log.info("stack is ready", extra={"prometheus": self.prometheus_url})
        return self

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Return when every program answers; raise ProgramFailed if one has died or is too slow."""
        deadline = time.monotonic() + timeout
        for service in self._services():
            while not service.ready():
                service.program.check()
                if time.monotonic() > deadline:
                    raise ProgramFailed(
                        f"{service.program.name} is not ready after {timeout:g} s; its log ends:\n"
                        + service.program.log_tail()
                    )
                time.sleep(0.05)
            service.program.check()

    def stop(self) -> None:
        """End everything in an orderly way; what is stored stays."""
        for service in self._services():
            service.program.stop()

    def kill(self) -> None:
        """End everything at once, as a power cut would."""
        for service in self._services():
            service.program.kill()

    def restart_alertmanager(self, index: int = 0, *, crash: bool = False) -> None:
        """Restart one Alertmanager, orderly or by a crash, and wait until it is ready."""
        program = self._alertmanagers[index].program
        if crash:
            program.kill()
        else:
            program.stop()
        program.start()
        self.wait_ready()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def pids(self) -> tuple[int, ...]:
        """The running programs' process ids: Prometheus, then the Alertmanagers."""
        found = (service.program.pid for service in self._services())
        return tuple(pid for pid in found if pid is not None)

    def _services(self) -> list[_Service]:
        return [self._prometheus, *self._alertmanagers]


def _binary(package: str) -> str | None:
    found = (shutil.which(name) for name in BINARIES[package])
    return next((path for path in found if path is not None), None)


def _prometheus(config: StackConfig) -> _Service:
    folder = config.work / "prometheus"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    port = free_port()
    argv = prometheus_argv(config, _binary("prometheus") or "", folder, port)
    return _Service(Program("prometheus", argv, folder / "log"), port)


def _alertmanager_folder(config: StackConfig, index: int) -> Path:
    return config.work / f"alertmanager-{index}"


def _alertmanagers(config: StackConfig) -> list[_Service]:
    binary = _binary("prometheus-alertmanager") or ""
    gossip_ports = [free_port() for _ in range(config.alertmanagers)]
    services = []
    for index in range(config.alertmanagers):
        folder = _alertmanager_folder(config, index)
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        argv = alertmanager_argv(config, binary, folder, port, gossip_ports, index)
        services.append(_Service(Program(folder.name, argv, folder / "log"), port))
    return services
