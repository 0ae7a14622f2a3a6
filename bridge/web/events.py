"""The route of PagerDuty's Events API v2, with PagerDuty's answers: 202, 400, and 503 for its 429.

The routing key stands inside the body, so nobody is known before it is read; that is why bodies are
small here. An event with a known key that PagerDuty would refuse is refused, so that its sender learns
it, and kept in quarantine, so that nothing is lost.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from flask import Blueprint, abort, request

from bridge.sources import Delivery, pagerduty
from bridge.store.database import Unavailable
from bridge.web import access, intake

log = structlog.get_logger(__name__)
blueprint = Blueprint("events", __name__)

PATH = "/v2/"
# PagerDuty takes 512 KB; who sends a little more is not turned away.
LARGEST = 1024 * 1024
_SAID = {
    400: ("invalid event", "Event object is invalid"),
    413: ("event too large", "Event object is too large"),
    503: ("unavailable", "The event was not stored: send it again"),
}


@blueprint.post("/v2/enqueue")
def enqueue() -> intake.Answer:
    """One event: trigger, acknowledge or resolve."""
    started, bridge = time.monotonic(), access.bridge()
    try:
        body = intake.plain_body(LARGEST)
    except intake.TooLarge as error:
        bridge.metrics.notifications.labels("unknown", "too_large").inc()
        log.warning("an event too large to see whose it is", size=error.size)
        abort(413, f"more than {LARGEST} bytes")
    told = pagerduty.event(body)
    if told is None:
        return _refused("the event is not a JSON object")
    typed = access.keyed_source("pagerduty", pagerduty.routing_key(told))
    if typed is None:
        return _refused("'routing_key' is missing, unknown, or serves several sources")
    structlog.contextvars.bind_contextvars(source=typed.name)
    delivery = Delivery(typed.name, body, request.headers, bridge.now())
    try:
        notification = pagerduty.decode(typed.settings, delivery)
    except pagerduty.Invalid as error:
        intake.quarantine("pagerduty", delivery, str(error))
        return _refused(*error.errors)
    try:
        intake.submit(typed, notification, delivery)
    except Unavailable:
        raise
    except Exception as error:  # what breaks us must be neither lost nor repeated for ever
        log.exception("event broke the program")
        intake.quarantine("pagerduty", delivery, f"opsbridge broke on it: {type(error).__name__}")
    bridge.metrics.ingest_seconds.observe(time.monotonic() - started)
    answer = {"status": "success", "message": "Event processed", "dedup_key": notification.group}
    return answer, 202


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """An error as PagerDuty's clients read it."""
    said, message = _SAID.get(status, (title.lower(), title))
    return {"status": said, "message": message, "errors": [detail]}


def _refused(*errors: str) -> intake.Answer:
    return {**problem(400, "", ""), "errors": list(errors)}, 400
