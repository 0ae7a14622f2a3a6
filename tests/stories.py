"""Small words for stories about a bridge: alerts that fire and end, and what became of them."""

from __future__ import annotations

import itertools
from datetime import datetime

from sqlalchemy import select

from bridge.admission import Outcome, admit
from bridge.hearing import Waiting
from bridge.model import Actor, Alert, Incident, Notification
from bridge.store import incidents
from bridge.store.schema import alerts, tasks
from bridge.wiring import Bridge

LI = Actor("li", "console")
_traces = itertools.count()


def alert(
    name: str = "PaymentGatewayTimeout",
    *,
    starts: datetime,
    ends: datetime | None = None,
    severity: str = "critical",
    source: str = "main",
    annotations: dict[str, str] | None = None,
    **labels: str,
) -> Alert:
    """An alert of acme's payments through alipay, unless other labels are given."""
    told = {
        "alertname": name,
        "client": "acme",
        "service": "payments",
        "gateway": "alipay",
        "severity": severity,
    }
    told |= labels
    told = {key: value for key, value in told.items() if value}
    mark = "/".join(f"{key}={told[key]}" for key in sorted(told))
    return Alert(
        source=source,
        fingerprint=f"{hash(mark) & 0xFFFFFFFFFFFFFFFF:016x}",
        starts_at=starts,
        ends_at=ends,
        labels=told,
        annotations=annotations
        if annotations is not None
        else {"summary": f"{name} on {told.get('gateway', '')}"},
    )


def waiting(*told: Alert, now: datetime, **fields: object) -> Waiting:
    """One delivery on its way to the store."""
    notification = Notification(source=told[0].source, alerts=told, **fields)  # type: ignore[arg-type]
    return Waiting(f"trace{next(_traces)}", notification, now, 100, "")


def tell(bridge: Bridge, *told: Alert, **fields: object) -> Outcome:
    """Deliver alerts in one transaction."""
    delivery = waiting(*told, now=bridge.now(), **fields)
    return bridge.database.run(lambda c: admit(c, [delivery], bridge, bridge.now()), serial="intake")[0]


def read(bridge: Bridge, number: int = 1) -> Incident:
    """An incident as it is stored."""
    with bridge.database.reading() as connection:
        return incidents.read(connection, number)


def kinds(bridge: Bridge, number: int = 1) -> list[str]:
    """The kinds of an incident's facts, oldest first."""
    with bridge.database.reading() as connection:
        return [fact.kind for fact in incidents.facts_of(connection, number)]


def pages(bridge: Bridge, reason: str = "page") -> list[tuple[str, str]]:
    """Queued messages of a reason as (recipient, channel), oldest first."""
    with bridge.database.reading() as connection:
        rows = connection.execute(select(tasks).where(tasks.c.kind == "page").order_by(tasks.c.id)).all()
    return [(row.data["recipient"], row.channel) for row in rows if row.data["reason"] == reason]


def episodes(bridge: Bridge) -> list[tuple[str, bool, int]]:
    """Stored episodes as (state, end inferred, incident), oldest start first."""
    with bridge.database.reading() as connection:
        rows = connection.execute(select(alerts).order_by(alerts.c.starts_at)).all()
    return [(row.state, row.inferred, row.incident) for row in rows]
