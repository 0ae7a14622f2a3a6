"""Whoever sends slowly holds a thread: how many of them anybody may hold, so that alerts still get one.

The server has no time limit for a body that is on its way, and nothing can end the reading of one. So the
threads are shared out: pages and API get half, whoever is not known yet gets a quarter to read a body in,
and no one source gets all of them. Who finds no place is answered 503 at once; senders repeat that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wsgi import ClosingIterator

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]

log = structlog.get_logger(__name__)

# Of the server. Most of them wait: the work on an alert is done by one more, the intake's.
THREADS = 128
FOR_OTHERS = THREADS // 2
FOR_STRANGERS = THREADS // 4
FOR_A_SOURCE = THREADS * 7 // 8
RETRY_SECONDS = 5
# Who delivers alerts, or asks how we are. None of these reads a body before it knows whose it is, but for
# what is read under `reading()`.
DELIVERING = ("/ingest", "/v2/", "/heartbeat", "/-/", "/metrics")
_BUSY = b"too many requests are in work: try again\n"

_strangers = threading.BoundedSemaphore(FOR_STRANGERS)
_sources: dict[str, threading.BoundedSemaphore] = {}


class Busy(ServiceUnavailable):
    """There is no place to read this body in; 503."""

    description = "too many bodies are on their way: try again"


@contextmanager
def reading(source: str = "") -> Iterator[None]:
    """A place to read a body in, of a source that is allowed in or (without a name) of anybody.

    Raises Busy. `source` must be a configured name: what is kept for each is never forgotten.
    """
    places = _strangers
    if source:
        places = _sources.get(source) or _sources.setdefault(source, threading.BoundedSemaphore(FOR_A_SOURCE))
    if not places.acquire(blocking=False):
        log.warning("no place to read a body in", source=source or "unknown")
        raise Busy
    try:
        yield
    finally:
        places.release()


class Lanes:
    """WSGI middleware in front of everything: requests that deliver nothing get half of the threads."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._places = threading.BoundedSemaphore(FOR_OTHERS)

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Hand it on when there is a place. It is given back when the answer was taken."""
        if environ.get("PATH_INFO", "").startswith(DELIVERING):
            return self._app(environ, start_response)
        if not self._places.acquire(blocking=False):
            return _not_now(start_response)
        try:
            answer = self._app(environ, start_response)
        except BaseException:
            self._places.release()
            raise
        return ClosingIterator(answer, self._places.release)


def _not_now(start_response: Start) -> Iterable[bytes]:
    log.warning("no thread left for pages and API", places=FOR_OTHERS)
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(_BUSY))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Retry-After", str(RETRY_SECONDS)),
    ]
    start_response("503 Service Unavailable", headers)
    return [_BUSY]
