"""Forgetting: what is older than the configuration keeps is deleted, in pieces that hold nobody up.

Incidents, their facts and clocks stay for ever, and an incident goes on to say how many alerts it had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bridge.store import retention as store
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

# Rows of one transaction: on SQLite intake waits for it, some ten milliseconds.
MOST_AT_ONCE = 250
# A tick goes on with each kind for so long: a first clean-up after years is spread over hours, and a worker
# that stops waits for no more than this.
SECONDS = 2.0
# Between two transactions, so that who waits for the database gets it first.
PAUSE = 0.05
_READ_AT_ONCE = 2_000

Look = Callable[[Connection, int, datetime, int], tuple[list[int], int | None]]


def forget(bridge: Bridge) -> Mapping[str, int]:
    """Delete what is old; how many rows, by what they were. What is left over is for the next tick."""
    now, kept = bridge.now(), bridge.config.retention
    found = {
        "alerts": _walk(bridge, store.old_alerts, store.delete_alerts, now - kept.alerts),
        "tasks": _walk(bridge, store.old_tasks, store.delete_tasks, now - kept.alerts),
        "deliveries": _while_full(bridge, store.deliveries_before(now - kept.deliveries)),
        "quarantine": _while_full(bridge, store.quarantine_before(now - kept.quarantine)),
    }
    found |= {name: _while_full(bridge, some) for name, some in store.expired(now).items()}
    for name, count in found.items():
        bridge.metrics.forgotten.labels(name).inc(count)
    if any(found.values()):
        log.info("forgotten", **{name: count for name, count in found.items() if count})
    return found


def _walk(
    bridge: Bridge, look: Look, delete: Callable[[Connection, Sequence[int]], int], before: datetime
) -> int:
    """Look at old rows by their ids without holding anything, and delete those that can go."""
    gone, until = 0, time.monotonic() + SECONDS
    for part in _parts(bridge, look, before):
        gone += bridge.database.run(lambda connection, part=part: delete(connection, part))  # type: ignore[misc]
        if time.monotonic() > until:
            break
        time.sleep(PAUSE)
    return gone


def _parts(bridge: Bridge, look: Look, before: datetime) -> Iterator[list[int]]:
    after: int | None = 0
    waiting: list[int] = []
    while after is not None:
        with bridge.database.reading() as connection:
            found, after = look(connection, after, before, _READ_AT_ONCE)
        waiting += found
        while len(waiting) >= MOST_AT_ONCE or (waiting and after is None):
            yield waiting[:MOST_AT_ONCE]
            waiting = waiting[MOST_AT_ONCE:]


def _while_full(bridge: Bridge, delete: store.Delete) -> int:
    """Delete parts until one is not full."""
    gone, until = 0, time.monotonic() + SECONDS
    while True:
        count = bridge.database.run(lambda connection: delete(connection, MOST_AT_ONCE))
        gone += count
        if count < MOST_AT_ONCE or time.monotonic() > until:
            return gone
        time.sleep(PAUSE)
