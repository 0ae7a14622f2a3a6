"""Where alerts come in. Answers 200 after the commit, 401, 403, 413, or 503; nothing else.

Alertmanager repeats only what was answered 5xx, so an authentic delivery is never refused for its
content: what cannot be understood is kept in quarantine and told as a self-incident.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from typing import Any

import msgspec
import structlog
from flask import Blueprint, abort, current_app, g, request
from sqlalchemy import Connection

from bridge import registry, selfwatch
from bridge.admission import Outcome, Waiting, admit
from bridge.config.settings import Typed
from bridge.intake import Intake
from bridge.metrics import program_version
from bridge.model import Notification
from bridge.sources import Delivery, NotUnderstood
from bridge.store import alerts
from bridge.store.database import Unavailable
from bridge.web import access
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)
blueprint = Blueprint("intake", __name__)

Answer = tuple[dict[str, Any], int]


@blueprint.post("/ingest/alertmanager")
@blueprint.post("/ingest/alertmanager/<source>")
def alertmanager(source: str | None = None) -> Answer:
    """Alertmanager webhook, version 4."""
    return _take("alertmanager", source)


@blueprint.post("/ingest/form")
@blueprint.post("/ingest/form/<source>")
def form(source: str | None = None) -> Answer:
    """A problem reported by a person or a script, as JSON."""
    return _take("form", source)


def _take(kind: str, name: str | None) -> Answer:
    started = time.monotonic()
    bridge = access.bridge()
    typed = access.source(kind, name)
    structlog.contextvars.bind_contextvars(source=typed.name)
    body = _body(bridge, typed)
    delivery = Delivery(typed.name, body, request.headers, bridge.now())
    try:
        notification = registry.sources.entries()[kind].call(typed.settings, delivery)
    except NotUnderstood as error:
        return _quarantine(bridge, kind, delivery, str(error))
    try:
        outcome = _queue().submit(_waiting(notification, delivery))
    except Unavailable:
        bridge.metrics.notifications.labels(typed.name, "unavailable").inc()
        raise
    except Exception as error:  # a delivery that breaks us must be neither lost nor repeated for ever
        log.exception("delivery broke the program")
        return _quarantine(bridge, kind, delivery, f"opsbridge broke on it: {type(error).__name__}")
    bridge.metrics.notifications.labels(typed.name, "stored").inc()
    bridge.metrics.ingest_seconds.observe(time.monotonic() - started)
    return _answer(outcome), 200


def report_problem(report: dict[str, str]) -> int:
    """A signed-in person's report; the number of its incident. Aborts with 400 when it says nothing."""
    bridge = access.bridge()
    entry = registry.sources.entries()["form"]
    delivery = Delivery("console", msgspec.json.encode(report), {}, bridge.now())
    try:
        notification = entry.call(entry.settings(), delivery)
    except NotUnderstood as error:
        abort(400, str(error))
    outcome = _queue().submit(_waiting(notification, delivery))
    return int(outcome.incidents[0].removeprefix("INC-"))


def _answer(outcome: Outcome) -> dict[str, Any]:
    return {
        "trace": outcome.trace,
        "alerts": outcome.alerts,
        "new": outcome.new,
        "incidents": list(outcome.incidents),
    }


def _waiting(notification: Notification, delivery: Delivery) -> Waiting:
    return Waiting(
        trace=g.trace,
        notification=notification,
        received_at=delivery.received_at,
        size=len(delivery.body),
        sha256=hashlib.sha256(delivery.body).hexdigest(),
    )


def _queue() -> Intake:
    queue: Intake = current_app.extensions["intake"]
    return queue


def _body(bridge: Bridge, typed: Typed) -> bytes:
    """The body, unpacked when it is gzip; too much of it is a self-incident, because alerts are lost."""
    largest = bridge.config.intake.largest_body
    request.max_content_length = largest + 1
    if (request.content_length or 0) > largest:
        _too_large(bridge, typed, request.content_length or 0)
    body = request.get_data(cache=False)
    if len(body) > largest:
        _too_large(bridge, typed, len(body))
    if request.headers.get("Content-Encoding", "").lower() == "gzip":
        unpack = zlib.decompressobj(wbits=31)
        try:
            body = unpack.decompress(body, largest + 1)
        except zlib.error:
            return body  # not gzip after all: the decoder will say what it is
        if len(body) > largest or unpack.unconsumed_tail:
            _too_large(bridge, typed, len(body))
    return body


def _too_large(bridge: Bridge, typed: Typed, size: int) -> None:
    limit = bridge.config.intake.largest_body
    detail = (
        f"source {typed.name} sent {size} bytes, more than the {limit} that are taken. "
        "Its alerts were refused. "
        "Raise intake.largest_body, or group less in Alertmanager (group_by, max_alerts)."
    )
    _self_incident(
        bridge, "BridgeBodyTooLarge", "A webhook was too large and was refused", detail, typed.name
    )
    bridge.metrics.notifications.labels(typed.name, "too_large").inc()
    abort(413, f"more than {limit} bytes")


def _quarantine(bridge: Bridge, kind: str, delivery: Delivery, reason: str) -> Answer:
    """Keep it raw, open a self-incident in the same transaction, and say yes: repeating would not help."""

    def work(connection: Connection) -> list[Outcome]:
        now = bridge.now()
        alerts.add_quarantined(
            connection,
            trace=g.trace,
            source=delivery.source,
            received_at=now,
            reason=reason,
            body=delivery.body,
            kind=kind,
            content_type=(delivery.headers.get("Content-Type") or "")[:200],
            version=program_version(),
        )
        detail = f"trace {g.trace}: {reason}"
        told = selfwatch.notification(
            "BridgeQuarantine", "A delivery could not be understood", detail, now, delivery.source
        )
        return admit(connection, [_waiting(told, delivery)], bridge, now)

    outcome = bridge.database.run(work, serial="intake")[0]
    bridge.metrics.notifications.labels(delivery.source, "quarantined").inc()
    bridge.metrics.quarantined.labels(delivery.source).inc()
    log.warning("quarantined", reason=reason, size=len(delivery.body))
    return {**_answer(outcome), "alerts": 0, "new": 0, "quarantined": reason}, 200


def _self_incident(bridge: Bridge, name: str, summary: str, detail: str, subject: str) -> None:
    told = selfwatch.notification(name, summary, detail, bridge.now(), subject)
    _queue().submit(Waiting(g.trace, told, bridge.now(), 0, ""))
