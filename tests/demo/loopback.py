"""Calls over loopback, and a receiver that keeps every notification."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge.demo.listener import Answer, Listener, Request

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Heard:
    status: int
    body: bytes

    @property
    def json(self) -> Json:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


def call(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
) -> Heard:
    """POST when there is a body, else GET."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        method = "GET" if body is None else "POST"
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return Heard(response.status, response.read())
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class AlertHeard:
    at: float
    name: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    path: str
    authorization: str | None


class Receiver:
    """Answers every notification 200 and keeps its alerts."""

    def __init__(self) -> None:
        self._listener = Listener(self._respond)
        self._news = threading.Condition()
        self._alerts: list[AlertHeard] = []
        self._listener.start()

    @property
    def url(self) -> str:
        return self._listener.url

    def stop(self) -> None:
        self._listener.stop()

    def forget(self) -> None:
        """Start over, with nothing heard."""
        with self._news:
            self._alerts.clear()

    def alerts(self, name: str, status: str = "firing") -> list[AlertHeard]:
        with self._news:
            return [heard for heard in self._alerts if (heard.name, heard.status) == (name, status)]

    def wait(
        self, name: str, status: str = "firing", timeout: float = 20.0, after: float = 0.0
    ) -> AlertHeard:
        """The first such alert heard later than `after` on the monotonic clock."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for heard in self._alerts:
                    if (heard.name, heard.status) == (name, status) and heard.at > after:
                        return heard
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {status} {name} within {timeout} s: {self._alerts}")
                self._news.wait(left)

    def _respond(self, request: Request) -> Answer:
        authorization = request.headers.get("authorization")
        with self._news:
            for alert in json.loads(request.body)["alerts"]:
                self._alerts.append(
                    AlertHeard(
                        at=time.monotonic(),
                        name=alert["labels"]["alertname"],
                        status=alert["status"],
                        labels=alert["labels"],
                        annotations=alert["annotations"],
                        path=request.path,
                        authorization=authorization,
                    )
                )
            self._news.notify_all()
        return Answer()
