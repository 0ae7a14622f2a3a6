"""Heartbeats that do not come: expected by the configuration, looked for by the worker, told as alerts.

A beat is stored with the delivery that brought it (`admission`). Here silence is noticed, once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from bridge.admission import Outcome, admit, count
from bridge.config.values import duration_text
from bridge.hearing import Waiting, own
from bridge.model import Alert, Notification
from bridge.sources.heartbeat import FINGERPRINT, over
from bridge.store import heartbeats, sources
from bridge.store.heartbeats import Heartbeat
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

NAME = "HeartbeatLate"
_CAUSE = "heartbeat "
# After a start: so long, and its grace, a heartbeat gets to be heard that fell due while nobody listened.
MOST_PATIENCE = timedelta(minutes=10)


def watcher(bridge: Bridge) -> Callable[[], None]:
    """What the worker does every few seconds; the first time it makes up for the time it was not there."""
    started = False

    def look() -> None:
        nonlocal started
        expect(bridge)
        if not started:
            excuse(bridge)
        tell_late(bridge)
        started = True

    return look


def expect(bridge: Bridge) -> None:
    """Expect the heartbeats of the configuration in force; what is no longer expected is no longer late."""
    now = bridge.now()
    due = {name: settings.due(now) for name, settings in _configured(bridge).items()}
    with bridge.database.reading() as connection:
        known = heartbeats.every(connection)
    if known.keys() == due.keys():
        return

    def work(connection: Connection) -> list[Outcome]:
        gone = heartbeats.expect(connection, due).values()
        told = [_waiting(over(found.name, now), now) for found in gone if found.late_since]
        return admit(connection, told, bridge, now) if told else []

    count(bridge, bridge.database.run(work, serial="intake"))


def excuse(bridge: Bridge) -> None:
    """Put off what fell due before this start: nobody was there to hear it, or to say that it is late."""
    now = bridge.now()
    configured = _configured(bridge)

    def work(connection: Connection) -> None:
        for name in heartbeats.late(connection, now):
            if name in configured:
                settings = configured[name]
                heartbeats.put_off(
                    connection, name, now + min(settings.every, MOST_PATIENCE) + settings.grace
                )

    bridge.database.run(work)


def tell_late(bridge: Bridge) -> int:
    """Tell those that did not come, once; a source that one of them watches is blind meanwhile."""
    now = bridge.now()
    configured = _configured(bridge)
    with bridge.database.reading() as connection:
        due = heartbeats.late(connection, now).keys() & configured.keys()
        if not due and _blindness(connection, configured) is None:
            return 0  # ticks that find nothing must not queue for the database

    def work(connection: Connection) -> list[Outcome]:
        late = {name: found for name, found in heartbeats.late(connection, now).items() if name in configured}
        for name in late:
            heartbeats.mark_late(connection, name, now)
        _settle_blindness(connection, configured)
        told = [_waiting(_late(found, configured[name], now), now) for name, found in late.items()]
        return admit(connection, told, bridge, now) if told else []

    outcomes = bridge.database.run(work, serial="intake")
    count(bridge, outcomes)
    if outcomes:
        log.warning("heartbeats are late", count=len(outcomes))
    return len(outcomes)


@dataclass(frozen=True)
class _Blindness:
    """What must change: sources that cannot see any more, since when, and sources that see again."""

    begins: Mapping[tuple[str, str], datetime]
    ends: Collection[tuple[str, str]]


def _blindness(connection: Connection, configured: Mapping[str, Any]) -> _Blindness | None:
    """A source is blind while a heartbeat that watches it is late, since that was heard last."""
    wanted = {
        (configured[name].watches, _cause(name)): found.last_at or found.late_since
        for name, found in heartbeats.every(connection).items()
        if found.late_since is not None and name in configured and configured[name].watches
    }
    there = {
        (state.name, cause)
        for state in sources.states(connection).values()
        for cause in state.causes
        if cause.startswith(_CAUSE)
    }
    if wanted.keys() == there:
        return None
    return _Blindness({key: at for key, at in wanted.items() if key not in there}, there - wanted.keys())


def _settle_blindness(connection: Connection, configured: Mapping[str, Any]) -> None:
    change = _blindness(connection, configured)
    if change is None:
        return
    for (source, cause), since in change.begins.items():
        sources.blind(connection, source, cause, since)
    for source, cause in change.ends:
        sources.seeing(connection, source, cause)


def _configured(bridge: Bridge) -> dict[str, Any]:
    """The settings of every heartbeat by name."""
    typed = bridge.config.sources.values()
    return {each.name: each.settings for each in typed if each.type == "heartbeat"}


def _cause(name: str) -> str:
    return f"{_CAUSE}{name.replace(';', ',')} is late"


def _late(found: Heartbeat, settings: Any, now: datetime) -> Alert:
    heard = f"last heard at {_written(found.last_at)}" if found.last_at else "it was never heard"
    often = f"every {duration_text(settings.every)}, with {duration_text(settings.grace)} of grace"
    detail = f"Expected {often}; {heard}."
    if settings.watches:
        detail += f" Meanwhile nobody knows what source {settings.watches} would tell."
    labels = {
        "alertname": NAME,
        "heartbeat": found.name,
        "client": settings.client,
        "service": settings.service,
        "priority": settings.priority.value,
    }
    return Alert(
        source=found.name,
        fingerprint=FINGERPRINT,
        starts_at=now,
        undated=True,
        labels={name: text for name, text in labels.items() if text},
        annotations={
            "summary": f"Heartbeat {found.name} is late since {_written(found.due_at)}",
            "description": detail,
        },
    )


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _waiting(alert: Alert, now: datetime) -> Waiting:
    return own(Notification(source=alert.source, alerts=(alert,)), now)
