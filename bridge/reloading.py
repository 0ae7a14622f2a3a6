"""Reading the configuration again while opsbridge runs: all of it or nothing, and people are told."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bridge import selfwatch
from bridge.admission import Outcome, admit, count
from bridge.config import Config, ConfigError, Problem, tree
from bridge.hearing import own
from bridge.store import alerts
from bridge.store.database import Unavailable
from bridge.wiring import Bridge, read_config

log = structlog.get_logger(__name__)

ALERT = "BridgeConfigRejected"
MOST_REASONS = 20
# One reload after the other: of two, the files that were read last must win.
_turn = threading.Lock()


@dataclass(frozen=True)
class Reloaded:
    """The version in force, and settings that have changed but count only from the next start."""

    version: str
    after_restart: tuple[str, ...] = ()


def reload(bridge: Bridge, trace: str) -> Reloaded:
    """Read the files again and put them in force.

    Raises ConfigError: they have mistakes; the old configuration stays and a self-incident tells it.
    Raises Unavailable: the database cannot take this now; the old configuration stays, try again.
    """
    with _turn:
        before = bridge.config
        try:
            config = _read(bridge)
        except ConfigError as error:
            _tell(bridge, error, trace)
            raise
        _put_in_force(bridge, config, trace)
        bridge.metrics.reloads.labels("applied").inc()
        bridge.metrics.config_loaded.set(bridge.now().timestamp())
        waiting = _after_restart(before, config)
        log.info(
            "configuration reloaded", version=config.version, before=before.version, after_restart=waiting
        )
        return Reloaded(config.version, waiting)


def started(bridge: Bridge, trace: str) -> None:
    """A process that starts has read the files: what an earlier one rejected is repaired."""
    try:
        over = bridge.database.run(lambda c: _all_clear(c, bridge, bridge.now(), trace), serial="intake")
        count(bridge, over)
    except Unavailable as error:
        log.warning("an old rejection of the configuration stays open", error=str(error))


def _read(bridge: Bridge) -> Config:
    if bridge.file is None:
        raise ValueError("this bridge was not made from a file: there is nothing to read again")
    config = read_config(bridge.file)
    if config.database != bridge.config.database:
        line = tree.read(bridge.file).line(("database",))
        reason = "has changed: another database needs a restart"
        raise ConfigError([Problem(str(bridge.file), line, "database", reason)])
    return config


def _put_in_force(bridge: Bridge, config: Config, trace: str) -> None:
    """Swap in intake's turn, so that no admission decides half by the old rules and half by the new."""
    before = bridge.config

    def work(connection: Connection) -> list[Outcome]:
        bridge.use(config)
        return _all_clear(connection, bridge, bridge.now(), trace)

    try:
        over = bridge.database.run(work, serial="intake")
    except BaseException:
        bridge.use(before)
        raise
    count(bridge, over)


def _tell(bridge: Bridge, error: ConfigError, trace: str) -> None:
    """Log, count and open the self-incident; a second rejection joins it."""
    now = bridge.now()
    reasons = [str(problem) for problem in error.problems]
    bridge.metrics.reloads.labels("rejected").inc()
    log.error("configuration rejected", version=bridge.config.version, reasons=reasons)
    more = len(reasons) - MOST_REASONS
    shown = [*reasons[:MOST_REASONS], *([f"and {more} more: run `bridge check`"] if more > 0 else [])]
    told = selfwatch.notification(
        ALERT,
        "A new configuration was rejected",
        f"Version {bridge.config.version} stays in force. Repair the files and reload; "
        "a restart would fail.\n" + "\n".join(shown),
        now,
    )
    try:
        opened = bridge.database.run(
            lambda connection: admit(connection, [own(told, now, trace)], bridge, now),
            serial="intake",
        )
        count(bridge, opened)
    except Unavailable as unavailable:
        log.warning("no incident tells of the rejection", error=str(unavailable))


def _all_clear(connection: Connection, bridge: Bridge, now: datetime, trace: str) -> list[Outcome]:
    """End the alert of a rejection, if it stands."""
    over = selfwatch.notification(
        ALERT,
        "The configuration is accepted again",
        f"Version {bridge.config.version} is in force.",
        now,
        ends=True,
    )
    alert = over.alerts[0]
    if not alerts.firing(connection, (alert.source, alert.fingerprint)):
        return []
    return admit(connection, [own(over, now, trace)], bridge, now)


def _after_restart(before: Config, after: Config) -> tuple[str, ...]:
    """Changed settings the web side has built in at its start."""
    found = []
    if before.url.startswith("https://") != after.url.startswith("https://"):
        found.append("url")
    if before.web.proxies != after.web.proxies:
        found.append("web.proxies")
    return tuple(found)
