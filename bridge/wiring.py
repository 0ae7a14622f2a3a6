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
class Bridge:
    """One running opsbridge: its configuration and what it works with."""

    config: Config
    database: Database
    outbound: Outbound
    arrangements: Arrangements
    metrics: Metrics = field(default_factory=Metrics)
    now: Clock = utc_now
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")


FAMILIES = (registry.sources, registry.channels, registry.trackers, registry.actions)


def read_config(path: Path) -> Config:
    """Load bridge.yml with the settings of every family; raises ConfigError."""
    return load(path, {family.name: family.settings() for family in FAMILIES})


def wire(config: Config, *, now: Clock = utc_now) -> Bridge:
    """Open the database and build what belongs to it."""
    arrangements = Arrangements(
        directory=config.directory, calendars=config.calendars, trackers=tuple(config.trackers)
    )
    return Bridge(
        config=config,
        database=connect(config.database),
        outbound=Outbound(config.allow),
        arrangements=arrangements,
        now=now,
    )
