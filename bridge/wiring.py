"""Builds everything once from the configuration. What is made here is handed down, never looked up."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bridge import registry
from bridge.config import Config, load
from bridge.delivery import Outbound
from bridge.metrics import Metrics
from bridge.store.database import Database, connect
from bridge.store.record import Arrangements

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock; only wiring reads it, everything else is told the time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Snapshot:
    """Everything that follows from one reading of the configuration."""

    config: Config
    outbound: Outbound
    arrangements: Arrangements


@dataclass
class _InForce:
    """The one thing a reload changes: which snapshot counts. Assigning it is atomic."""

    snapshot: Snapshot


@dataclass(frozen=True)
class Bridge:
    """One running opsbridge: its configuration and what it works with.

    `file` is where the configuration was read from, None when it was not read from a file.
    """

    database: Database
    file: Path | None
    _in_force: _InForce
    metrics: Metrics = field(default_factory=Metrics)
    now: Clock = utc_now
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @property
    def config(self) -> Config:
        """The configuration in force; a reload may put another in its place at any time."""
        return self._in_force.snapshot.config

    @property
    def outbound(self) -> Outbound:
        """The way out, with the networks the configuration in force allows."""
        return self._in_force.snapshot.outbound

    @property
    def arrangements(self) -> Arrangements:
        """People, calendars and trackers of the configuration in force."""
        return self._in_force.snapshot.arrangements

    def use(self, config: Config) -> None:
        """Put a configuration in force, whole. The database stays the one that is open."""
        self._in_force.snapshot = _snapshot(config)


FAMILIES = (registry.sources, registry.channels, registry.trackers, registry.actions)


def read_config(path: Path) -> Config:
    """Load bridge.yml with the settings of every family; raises ConfigError."""
    return load(path, {family.name: family.settings() for family in FAMILIES})


def wire(config: Config, *, now: Clock = utc_now, file: Path | None = None) -> Bridge:
    """Open the database and build what belongs to it; `file` is what a reload will read again."""
    bridge = Bridge(connect(config.database), file, _InForce(_snapshot(config)), now=now)
    bridge.metrics.config_loaded.set(now().timestamp())
    return bridge


def _snapshot(config: Config) -> Snapshot:
    arrangements = Arrangements(
        directory=config.directory, calendars=config.calendars, trackers=tuple(config.trackers)
    )
    return Snapshot(config=config, outbound=Outbound(config.allow), arrangements=arrangements)
