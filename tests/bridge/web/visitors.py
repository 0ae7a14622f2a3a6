"""A console with people who may use it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bridge.store import people
from bridge.wiring import Bridge

PASSWORD = "correct horse battery"
TOKEN = {"Authorization": "Bearer ingest-secret"}
PLAN = """
failover:
  payments-eu:
    service: payments
    mode: shadow
    on: {priority: P2, match: ['alertname="Never"']}
    act: {type: console}
    rollback: {type: console}
    verify: [{http: "http://127.0.0.1:1/verify"}]
"""


def alert(name: str = "PaymentGatewayTimeout", **labels: str) -> dict[str, Any]:
    """One firing alert as Alertmanager sends it."""
    labels = {"alertname": name, "client": "acme", "service": "payments", "severity": "critical"} | labels
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "Payment gateway times out"},
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.test/graph",
        "fingerprint": hashlib.sha256(repr(labels).encode()).hexdigest()[:16],
    }


@dataclass(frozen=True)
class Site:
    """The application and what tests do to it."""

    bridge: Bridge
    app: Flask

    def person(self, name: str = "wang", role: str = "responder", language: str = "en") -> Visitor:
        """Somebody with an account, signed in."""
        client = "acme" if role == "client" else ""

        def work(connection: Any) -> None:
            now = self.bridge.now()
            people.add_user(connection, name, role, now, client=client, language=language)
            people.set_password(connection, name, PASSWORD)

        self.bridge.database.run(work)
        visitor = self.visitor()
        answer = visitor.send("/sign-in", name=name, password=PASSWORD)
        assert answer.status_code == 302
        return visitor

    def visitor(self) -> Visitor:
        """Somebody who has not signed in."""
        return Visitor(self.app.test_client())

    def ingest(self, *alerts: dict[str, Any]) -> list[str]:
        """Deliver alerts that began two minutes ago; the incidents they belong to."""
        began = (self.bridge.now() - timedelta(minutes=2)).isoformat()
        alerts = tuple(one | {"startsAt": began} for one in alerts)
        body = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "r", "alerts": alerts}
        answer = self.app.test_client().post("/ingest/alertmanager/main", json=body, headers=TOKEN)
        assert answer.status_code == 200
        found: list[str] = answer.json["incidents"]  # type: ignore[index]
        return found


@dataclass(frozen=True)
class Visitor:
    """A browser without scripts."""

    client: FlaskClient

    def page(self, address: str, status: int = 200) -> str:
        """The text of a page."""
        answer = self.client.get(address)
        assert answer.status_code == status, address
        return answer.text

    def send(self, address: str, **fields: str) -> TestResponse:
        """Send a form with the CSRF token that any page with a form carries."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self._form())
        assert token
        return self.client.post(address, data={"csrf_token": token[1], **fields})

    def _form(self) -> str:
        return self.client.get("/sign-in", follow_redirects=True).text
