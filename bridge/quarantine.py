"""Authentic deliveries that could not be understood: kept raw, told, and tried again.

Each opens or joins the self-incident of its source; when nothing of the source waits any more, that ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection

from bridge import registry, selfwatch
from bridge.admission import Outcome, admit, count
from bridge.hearing import delivered, new_trace, own
from bridge.incident import NotAllowed
from bridge.metrics import program_version
from bridge.model import Actor, Notification
from bridge.sources import Delivery, NotUnderstood
from bridge.store import alerts
from bridge.store import quarantine as store
from bridge.store.database import Unavailable
from bridge.text import one_line, storable
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

ALERT = "BridgeQuarantine"
# A part of a delivery whose other alerts were taken (see admission); it is tried as a delivery of its own.
PART = "alert"
TAKEN = "taken by trace "
DISMISSED = "dismissed by "
_VERSIONS = {"alertmanager": "4", "grafana": "1"}
_MOST_AT_ONCE = 200
_LONGEST_REASON = 1000


@dataclass(frozen=True)
class Retried:
    """What became of another try. `said` is the trace that took it, or why it still waits."""

    number: int
    taken: bool
    said: str
    incidents: tuple[str, ...] = ()


def keep(bridge: Bridge, trace: str, kind: str, delivery: Delivery, reason: str) -> Outcome:
    """Keep a delivery raw and tell people, in one transaction. Raises Unavailable: nothing was kept."""

    def work(connection: Connection) -> Outcome:
        now = bridge.now()
        alerts.add_quarantined(
            connection,
            trace=trace,
            source=delivery.source,
            received_at=delivery.received_at,
            reason=storable(reason)[:_LONGEST_REASON],
            body=delivery.body,
            kind=kind,
            content_type=(delivery.headers.get("Content-Type") or "")[:200],
            version=program_version(),
        )
        detail = f"trace {trace}: {reason}"
        told = selfwatch.notification(
            ALERT, "A delivery could not be understood", detail, now, delivery.source
        )
        return admit(connection, [delivered(trace, told, delivery)], bridge, now)[0]

    outcome = bridge.database.run(work, serial="intake")
    count(bridge, [outcome])
    bridge.metrics.quarantined.labels(delivery.source).inc()
    log.warning("quarantined", reason=reason, size=len(delivery.body))
    return outcome


def retry(bridge: Bridge, number: int) -> Retried:
    """Read it again with what is known now: taken like a delivery, or kept with the new reason.

    Raises NoSuchBody, NotAllowed when it is settled, Unavailable: nothing was changed.
    """
    with bridge.database.reading() as connection:
        row = store.read(connection, number)
    if row.settled_at is not None:
        raise NotAllowed(f"number {number} is settled: {row.outcome}")
    try:
        delivery, notification = _read(bridge, row)
        return _take(bridge, number, delivery, notification, row.trace)
    except NotUnderstood as error:
        reason = str(error)
    except (NotAllowed, Unavailable):
        raise
    except Exception as error:  # what breaks us must not stop the others, nor be lost
        log.exception("a delivery from quarantine broke the program", number=number)
        reason = f"opsbridge broke on it: {type(error).__name__}"
    reason = storable(reason)[:_LONGEST_REASON]
    bridge.database.run(lambda connection: store.refuse(connection, number, reason, program_version()))
    return Retried(number, taken=False, said=reason)


def retry_all(bridge: Bridge) -> list[Retried]:
    """Try everything that waits, oldest first. Raises Unavailable."""
    with bridge.database.reading() as connection:
        waiting = store.unsettled(connection, None, 1_000_000)
    return [found for number in waiting if (found := _retried(bridge, number))]


def retry_after_upgrade(bridge: Bridge) -> int:
    """Try once what another version of opsbridge could not read; how much of it was taken."""
    with bridge.database.reading() as connection:
        waiting = store.unsettled(connection, program_version(), _MOST_AT_ONCE)
    found = [_retried(bridge, number) for number in waiting]
    taken = sum(1 for one in found if one and one.taken)
    if found:
        log.info("quarantine tried again after an upgrade", tried=len(found), taken=taken)
    return taken


def dismiss(bridge: Bridge, number: int, by: Actor, reason: str) -> None:
    """Settle it without taking it. Raises NoSuchBody, NotAllowed without a reason or when it is settled."""
    if not reason.strip():
        raise NotAllowed("say why it need not be taken")

    def work(connection: Connection) -> list[Outcome]:
        now = bridge.now()
        row = store.read(connection, number)
        outcome = f"{DISMISSED}{by.name}: {one_line(reason, 500)}"
        if not store.settle(connection, number, outcome, now):
            raise NotAllowed(f"number {number} is settled: {row.outcome}")
        return _all_clear(connection, bridge, row.source, now)

    count(bridge, bridge.database.run(work, serial="intake"))


def _retried(bridge: Bridge, number: int) -> Retried | None:
    """One of many: somebody else may have been faster."""
    try:
        return retry(bridge, number)
    except (NotAllowed, store.NoSuchBody):
        return None


def _read(bridge: Bridge, row: Any) -> tuple[Delivery, Notification]:
    """Decoded by what its source is now. Raises NotUnderstood."""
    typed = bridge.config.sources.get(row.source)
    if typed is None:
        raise NotUnderstood(f"there is no source {row.source!r} in the configuration any more")
    body = row.body
    if row.kind == PART:
        if typed.type not in _VERSIONS:
            raise NotUnderstood(f"a part of a webhook, but {row.source!r} is {typed.type} now")
        parts = body if body.startswith(b"[") else b"[" + body + b"]"
        body = b'{"version": "%s", "alerts": %s}' % (_VERSIONS[typed.type].encode(), parts)
    delivery = Delivery(row.source, body, {"Content-Type": row.content_type}, row.received_at)
    return delivery, registry.sources.entries()[typed.type].call(typed.settings, delivery)


def _take(bridge: Bridge, number: int, delivery: Delivery, notification: Notification, first: str) -> Retried:
    trace = new_trace()
    flaw = f"from quarantine: first received as trace {first}"
    notification = replace(notification, flaws=(flaw, *notification.flaws))

    def work(connection: Connection) -> list[Outcome]:
        now = bridge.now()
        if not store.settle(connection, number, f"{TAKEN}{trace}", now):
            raise NotAllowed(f"number {number} was settled by somebody else meanwhile")
        taken = admit(connection, [delivered(trace, notification, delivery)], bridge, now)
        return taken + _all_clear(connection, bridge, delivery.source, now)

    outcomes = bridge.database.run(work, serial="intake")
    count(bridge, outcomes)
    return Retried(number, taken=True, said=trace, incidents=outcomes[0].incidents)


def _all_clear(connection: Connection, bridge: Bridge, source: str, now: datetime) -> list[Outcome]:
    """Nothing of the source waits any more: its self-incident's alert ends."""
    if store.waits(connection, source):
        return []
    over = selfwatch.notification(
        ALERT, "Nothing waits in quarantine", "all of it is settled", now, source, ends=True
    )
    told = over.alerts[0]
    if not alerts.firing(connection, (told.source, told.fingerprint)):
        return []
    return admit(connection, [own(over, now)], bridge, now)
