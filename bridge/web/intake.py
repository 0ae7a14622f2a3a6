"""Where alerts come in. Answers 200 after the commit, 401, 403, 413, or 503; nothing else.

Alertmanager repeats only what was answered 5xx, so an authentic delivery is never refused for its
content: what cannot be understood is kept in quarantine and told as a self-incident.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import zlib
from typing import Any, NoReturn

import msgspec
import structlog
from flask import Blueprint, abort, current_app, g, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from bridge import registry, selfwatch
from bridge.admission import Outcome
from bridge.config.settings import Typed
from bridge.hearing import Waiting
from bridge.intake import Intake
from bridge.model import Notification
from bridge.quarantine import keep
from bridge.sources import Delivery, NotUnderstood
from bridge.store.database import Unavailable
from bridge.web import access, lanes
from bridge.web.fastlane import FastLane
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)
blueprint = Blueprint("intake", __name__)

Answer = tuple[dict[str, Any], int]

_PIECE = 64 * 1024
# Members of one gzip file; who sends more is no friend.
_MOST_MEMBERS = 100


class TooLarge(Exception):
    """The body has more bytes than are taken; `size` is how many were seen or announced."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


@blueprint.post("/ingest/alertmanager")
@blueprint.post("/ingest/alertmanager/<source>")
def alertmanager(source: str | None = None) -> Answer:
    """Alertmanager webhook, version 4."""
    return _take("alertmanager", source)


@blueprint.route("/ingest/grafana", methods=["POST", "PUT"])
@blueprint.route("/ingest/grafana/<source>", methods=["POST", "PUT"])
def grafana(source: str | None = None) -> Answer:
    """Grafana's webhook, version 1."""
    return _take("grafana", source)


@blueprint.post("/heartbeat/<name>")
def heartbeat(name: str) -> Answer:
    """Something expected was heard; what its body says does not count."""
    bridge = access.bridge()
    typed = access.source("heartbeat", name)
    delivery = Delivery(typed.name, b"", request.headers, bridge.now())
    heard = registry.sources.entries()["heartbeat"].call(typed.settings, delivery)
    outcome = submit(typed, heard, delivery)
    _discard_body(typed.name)
    next_by = typed.settings.due(delivery.received_at).isoformat().replace("+00:00", "Z")
    return {"trace": outcome.trace, "heartbeat": typed.name, "next_by": next_by}, 200


@blueprint.post("/ingest/form")
@blueprint.post("/ingest/form/<source>")
def form(source: str | None = None) -> Answer:
    """A problem reported by a person or a script, as JSON."""
    return _take("form", source)


def _take(kind: str, name: str | None) -> Answer:
    started = time.monotonic()
    bridge = access.bridge()
    typed = access.source(kind, name, _unproven_body)
    structlog.contextvars.bind_contextvars(source=typed.name)
    body = _body(bridge, typed)
    delivery = Delivery(typed.name, body, request.headers, bridge.now())
    try:
        notification = registry.sources.entries()[kind].call(typed.settings, delivery)
    except NotUnderstood as error:
        return quarantine(kind, delivery, str(error))
    try:
        outcome = submit(typed, notification, delivery)
    except Unavailable:
        raise
    except Exception as error:  # a delivery that breaks us must be neither lost nor repeated for ever
        log.exception("delivery broke the program")
        return quarantine(kind, delivery, f"opsbridge broke on it: {type(error).__name__}")
    bridge.metrics.ingest_seconds.observe(time.monotonic() - started)
    if kind == "alertmanager":
        lane: FastLane = current_app.extensions["fastlane"]
        lane.remember(request.path, request.headers.get("Authorization", ""), kind, typed)
    return _answer(outcome), 200


def submit(typed: Typed, notification: Notification, delivery: Delivery) -> Outcome:
    """Store a decoded delivery of this source. Raises Unavailable: nothing was kept."""
    count = access.bridge().metrics.notifications.labels
    try:
        outcome = _queue().submit(_waiting(notification, delivery))
    except Unavailable:
        count(typed.name, "unavailable").inc()
        raise
    count(typed.name, "stored").inc()
    return outcome


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


def raw_body(largest: int, source: str = "") -> bytes:
    """The body as it came, at most so many bytes of it; `source` is whose it is, where that is known.

    Raises TooLarge. Aborts with 503 when it ended before its length: its sender was cut off and repeats it.
    """
    request.max_content_length = largest + 1
    if (request.content_length or 0) > largest:
        raise TooLarge(request.content_length or 0)
    try:
        with lanes.reading(source):
            body = request.get_data()
    except RequestEntityTooLarge:
        raise TooLarge(largest + 1) from None
    except ClientDisconnected:
        _ended_early(0)
    if len(body) > largest:
        raise TooLarge(len(body))
    if len(body) < (request.content_length or 0):
        _ended_early(len(body))
    return body


def plain_body(largest: int, source: str = "") -> bytes:
    """The body, unpacked when it is gzip: both at most so many bytes. Raises what raw_body raises."""
    body = _unpacked(raw_body(largest, source), largest)
    if _came_without_length() and _is_cut(body):
        _ended_early(len(body))
    return body


def _came_without_length() -> bool:
    """In chunks or frames: the server does not tell whether the last one came."""
    in_frames = request.environ.get("SERVER_PROTOCOL", "").startswith("HTTP/2")
    return request.content_length is None and (in_frames or "Transfer-Encoding" in request.headers)


def _is_cut(body: bytes) -> bool:
    """Nothing, or JSON that is fine as far as it goes."""
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    except RecursionError:
        pass
    return False


def _ended_early(size: int) -> NoReturn:
    log.warning("a body ended early", size=size, length=request.content_length)
    abort(503, "the body ended before it was whole: send it again")


def _unpacked(body: bytes, largest: int) -> bytes:
    if request.headers.get("Content-Encoding", "").strip().lower() not in ("gzip", "x-gzip"):
        return body
    found, rest = b"", body
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        try:
            found += member.decompress(rest, largest + 1 - len(found))
        except zlib.error:
            return body  # not gzip after all: the decoder will say what it is
        if len(found) > largest or member.unconsumed_tail:
            raise TooLarge(len(found))
        rest = member.unused_data
        if not rest:
            return found
    return body


def _discard_body(source: str) -> None:
    """Take the body off the wire: who cannot get rid of it would take our answer for a failure."""
    request.max_content_length = access.bridge().config.intake.largest_body
    with contextlib.suppress(HTTPException), lanes.reading(source):
        while request.stream.read(_PIECE):
            pass


def _unproven_body() -> bytes:
    """What a signature is checked on. Nobody is told when it is too large: it may be anybody's."""
    try:
        return raw_body(access.bridge().config.intake.largest_body)
    except TooLarge as error:
        access.bridge().metrics.notifications.labels("unknown", "too_large").inc()
        log.warning("a body too large to check its signature", size=error.size)
        abort(413, "too large")


def _body(bridge: Bridge, typed: Typed) -> bytes:
    """The plain body; too much of it is a self-incident, because alerts are lost."""
    try:
        return plain_body(bridge.config.intake.largest_body, typed.name)
    except TooLarge as error:
        _too_large(bridge, typed, error.size)


def _too_large(bridge: Bridge, typed: Typed, size: int) -> NoReturn:
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


def quarantine(kind: str, delivery: Delivery, reason: str) -> Answer:
    """Keep it raw, tell people by a self-incident, and say yes: repeating would not help."""
    bridge = access.bridge()
    outcome = keep(bridge, g.trace, kind, delivery, reason)
    bridge.metrics.notifications.labels(delivery.source, "quarantined").inc()
    return {**_answer(outcome), "alerts": 0, "new": 0, "quarantined": reason}, 200


def _self_incident(bridge: Bridge, name: str, summary: str, detail: str, subject: str) -> None:
    told = selfwatch.notification(name, summary, detail, bridge.now(), subject)
    _queue().submit(Waiting(g.trace, told, bridge.now(), 0, ""))
