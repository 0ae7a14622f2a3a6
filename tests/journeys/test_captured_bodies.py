"""Every captured body of a real Alertmanager, in name order, through the whole intake. Both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from bridge.intake import Intake
from bridge.store.schema import alerts, incidents, quarantine
from bridge.web import create_app
from tests.conftest import FIXTURES

BODIES = sorted((FIXTURES / "alertmanager").glob("*.json"))


@pytest.fixture
def client(bridge):
    """An HTTP client over a running intake."""
    running = Intake(bridge)
    running.start()
    yield create_app(bridge, running).test_client()
    running.stop()


def test_every_captured_body_is_answered_200_and_every_alert_has_an_incident(bridge, client):
    headers = {"Authorization": "Bearer ingest-secret"}
    answers = {
        path.name: client.post("/ingest/alertmanager/main", data=path.read_bytes(), headers=headers)
        for path in BODIES
    }
    assert len(answers) > 100
    assert {answer.status_code for answer in answers.values()} == {200}
    with bridge.database.reading() as connection:
        kept = connection.execute(select(func.count()).select_from(quarantine)).scalar_one()
        orphans = connection.execute(select(func.count()).where(alerts.c.incident.is_(None))).scalar_one()
        open_keys = (
            connection.execute(
                select(incidents.c.key).where(incidents.c.status.in_(("triggered", "acknowledged")))
            )
            .scalars()
            .all()
        )
        counted = connection.execute(
            select(incidents.c.number, incidents.c.firing, func.count(alerts.c.id))
            .join(
                alerts, (alerts.c.incident == incidents.c.number) & (alerts.c.state == "firing"), isouter=True
            )
            .group_by(incidents.c.number, incidents.c.firing)
        ).all()
    assert (kept, orphans) == (0, 0)
    assert len(open_keys) == len(set(open_keys))
    assert all(firing == stored for _, firing, stored in counted), (
        "the count of firing alerts is what is stored"
    )
