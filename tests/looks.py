"""Small words for stories about looks at Alertmanager: what fires, what its list shows, what we then hold."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from bridge import reconcile
from bridge.model import Alert
from bridge.store.schema import alerts
from bridge.wiring import Bridge
from tests.conftest import Clock
from tests.servers.alertmanager_api import listed
from tests.stories import alert, tell


def fired(bridge: Bridge, **fields: Any) -> Alert:
    """A P1 fires and a delivery tells it."""
    told = alert(starts=bridge.now(), **fields)
    tell(bridge, told, receiver="ops")
    return told


def states(bridge: Bridge) -> list[tuple[str, str, str]]:
    """(name, state, held by) of the stored episodes, oldest start first, without our own."""
    query = select(alerts).where(alerts.c.source != "opsbridge").order_by(alerts.c.starts_at, alerts.c.id)
    with bridge.database.reading() as connection:
        rows = connection.execute(query).all()
    return [(row.labels["alertname"], row.state, row.held_by) for row in rows]


def in_list(told: Alert, **fields: Any) -> dict[str, Any]:
    """A told alert as the API lists it."""
    return listed(told.name, told.starts_at, fingerprint=told.fingerprint, **fields)


def minutes(bridge: Bridge, clock: Clock, looks: int) -> None:
    """So many looks, a minute apart."""
    for _ in range(looks):
        clock.forward(seconds=60)
        reconcile.look(bridge)
