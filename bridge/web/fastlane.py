"""The short way for what comes all day: a plain webhook from a sender that was let in a moment ago.

It stands in front of Flask. Who may deliver is decided in access.py, by the first such request; for half a
second its equals are let through here. Whatever is unusual (another header, an unreadable body, a refusal,
an error) goes the long way, so this lane has one outcome: stored, 200.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from werkzeug.datastructures import EnvironHeaders

from bridge import registry
from bridge.admission import Outcome
from bridge.config import Config
from bridge.config.settings import Typed
from bridge.hearing import Waiting
from bridge.intake import Intake
from bridge.sources import Delivery, NotUnderstood
from bridge.store.database import Unavailable
from bridge.web.lanes import App, Busy, Environ, Start, reading
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

# As long as a revoked token may still be taken (see access.py).
KNOWN_SECONDS = 0.5
_MOST_KNOWN = 1000
_HEADERS = [
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
]
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class _Known:
    """A sender that was let in, and everything needed to take its next webhook."""

    typed: Typed
    config: Config
    until: float
    decode: Callable[..., Any]
    stored: Any


class FastLane:
    """WSGI middleware with the senders let in lately."""

    def __init__(self, app: App, bridge: Bridge, queue: Intake) -> None:
        self._app = app
        self._bridge = bridge
        self._queue = queue
        self._known: dict[tuple[str, str], _Known] = {}

    def remember(self, path: str, authorization: str, kind: str, typed: Typed) -> None:
        """Access let this sender in: its next requests to the same path may take the short way."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[path, authorization] = _Known(
            typed=typed,
            config=self._bridge.config,
            until=time.monotonic() + KNOWN_SECONDS,
            decode=registry.sources.entries()[kind].call,
            stored=self._bridge.metrics.notifications.labels(typed.name, "stored"),
        )

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Take it here when it is plain, else hand it on."""
        known = self._known.get((environ.get("PATH_INFO", ""), environ.get("HTTP_AUTHORIZATION", "")))
        if known is not None and self._is_plain(environ, known):
            started, trace = time.perf_counter(), os.urandom(8).hex()
            try:
                outcome = self._take(environ, known, trace)
            except Unavailable as error:
                return self._not_now(known, str(error), trace, start_response)
            if outcome is not None:
                known.stored.inc()
                self._bridge.metrics.ingest_seconds.observe(time.perf_counter() - started)
                body = answer(outcome)
                start_response("200 OK", [*_HEADERS, ("Content-Length", str(len(body)))])
                return [body]
        return self._app(environ, start_response)

    def _is_plain(self, environ: Environ, known: _Known) -> bool:
        length = environ.get("CONTENT_LENGTH") or ""
        return (
            known.until > time.monotonic()
            and known.config is self._bridge.config
            and environ["REQUEST_METHOD"] == "POST"
            and length.isdecimal()
            and int(length) <= known.config.intake.largest_body
            and "HTTP_CONTENT_ENCODING" not in environ
            and "HTTP_TRANSFER_ENCODING" not in environ
        )

    def _take(self, environ: Environ, known: _Known, trace: str) -> Outcome | None:
        """What became of the delivery; None, and the body put back, when it must go the long way."""
        length = int(environ["CONTENT_LENGTH"])
        try:
            with reading(known.typed.name):
                body = environ["wsgi.input"].read(length)
        except Busy:
            return None  # the long way says so
        if len(body) < length:
            environ["wsgi.input"] = io.BytesIO(body)
            return None  # it ended early: the long way refuses it
        now = self._bridge.now()
        try:
            delivery = Delivery(known.typed.name, body, EnvironHeaders(environ), now)
            notification = known.decode(known.typed.settings, delivery)
            digest = hashlib.sha256(body).hexdigest()
            return self._queue.submit(Waiting(trace, notification, now, len(body), digest))
        except Unavailable:
            raise
        except NotUnderstood:
            log.debug("not understood: the long way keeps it")
        except Exception as error:  # noqa: BLE001  # the long way meets it again and keeps the body
            log.warning("broke on the short way", error=repr(error))
        environ["wsgi.input"] = io.BytesIO(body)
        return None

    def _not_now(self, known: _Known, why: str, trace: str, start_response: Start) -> Iterable[bytes]:
        log.warning("answered 503", error=why, source=known.typed.name, trace=trace)
        self._bridge.metrics.notifications.labels(known.typed.name, "unavailable").inc()
        detail = "the database cannot take this now; try again"
        body = _encode({"title": "Not now", "status": 503, "detail": detail, "trace": trace})
        headers = [("Content-Type", "application/problem+json"), ("Retry-After", "5"), *_HEADERS[1:]]
        start_response("503 Service Unavailable", [*headers, ("Content-Length", str(len(body)))])
        return [body]


def answer(outcome: Outcome) -> bytes:
    """What a sender is told of its delivery."""
    return _encode(
        {
            "trace": outcome.trace,
            "alerts": outcome.alerts,
            "new": outcome.new,
            "incidents": outcome.incidents,
        }
    )
