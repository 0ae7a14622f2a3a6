"""Rows and nouns as the plain values that API answers and pages show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from bridge import members, sla
from bridge.correlation import is_storm
from bridge.model import Clock, Fact, Incident
from bridge.store import history, incidents
from bridge.store.retention import forgotten_alerts
from bridge.store.sources import SourceState
from bridge.wiring import Bridge


def incidents_json(connection: Connection, found: Sequence[Incident], bridge: Bridge) -> list[dict[str, Any]]:
    """Incidents with their clocks and number of alerts."""
    numbers = [incident.number for incident in found]
    clocks = history.clocks_of(connection, numbers) if numbers else {}
    counts = history.alert_counts(connection, numbers) if numbers else {}
    return [
        _incident(incident, clocks[incident.number], counts[incident.number], bridge) for incident in found
    ]


def incident_page_json(
    connection: Connection, incident: Incident, bridge: Bridge, *, inside: bool
) -> dict[str, Any]:
    """One incident with everything on its page; `inside` adds what a client does not see."""
    facts = incidents.facts_of(connection, incident.number)
    clocks = sla.clocks(incident, facts, bridge.config.calendars, bridge.now())
    alerts = history.alerts_of(connection, incident.number)
    page = _incident(
        incident, clocks, history.alert_counts(connection, [incident.number])[incident.number], bridge
    )
    page["alert_list"] = [alert_json(row, inside=inside) for row in alerts]
    page["alerts_forgotten"] = forgotten_alerts(connection, [incident.number]).get(incident.number, 0)
    if inside:
        page["timeline"] = [fact_json(fact) for fact in facts]
        page["failovers"] = [row_json(row) for row in history.failovers_of(connection, [incident.number])]
        page["messages"] = [
            row_json(row, without=("data", "owner", "lease_until"))
            for row in history.messages_of(connection, incident.number)
        ]
        page["tickets"] = [row_json(row) for row in history.links_of(connection, incident.number)]
    return page


def standing(
    connection: Connection, incident: Incident, facts: Sequence[Fact], bridge: Bridge
) -> dict[str, Any]:
    """Why an incident is not simply one problem that ends with its alerts, for its page."""
    told = {fact.kind: fact for fact in facts} if incident.is_open else {}
    held, storm = told.get("held"), is_storm(incident)
    going_on = storm and incident.flapping_at is None and members.storm_takes(incident, bridge.now())
    return {
        "quiet": bridge.config.intake.flapping.quiet,
        "names": history.alert_names(connection, incident.number) if storm else [],
        "storm": bridge.config.intake.storm.within if going_on else None,
        "hidden": held.data.get("hidden") if held and incident.held else None,
        "cause": told.get("cause_suspected"),
    }


def _incident(incident: Incident, clocks: Sequence[Clock], alerts: int, bridge: Bridge) -> dict[str, Any]:
    client = bridge.config.clients.get(incident.client)
    return {
        "number": incident.name,
        "status": incident.status,
        "priority": incident.priority,
        "client": incident.client,
        "client_name": client.name if client else incident.client,
        "service": incident.service,
        "title": incident.title,
        "key": incident.key,
        "began_at": _time(incident.began_at),
        "opened_at": _time(incident.opened_at),
        "acknowledged_at": _time(incident.acknowledged_at),
        "resolved_at": _time(incident.resolved_at),
        "closed_at": _time(incident.closed_at),
        "muted_until": _time(incident.muted_until),
        "flapping_since": _time(incident.flapping_at),
        "reopens": incident.reopens,
        "held": incident.held,
        "follows": f"INC-{incident.follows}" if incident.follows else None,
        "alerts": alerts,
        "firing": incident.firing,
        "clocks": [clock_json(clock) for clock in clocks],
        "assignee": incident.assignee,
        "rule": incident.rule,
        "rules_version": incident.rules_version,
        "runbook": incident.runbook,
        "failover": incident.plan,
    }


def clock_json(clock: Clock) -> dict[str, Any]:
    """One clock."""
    return {
        "target": clock.target,
        "due_at": _time(clock.due_at),
        "state": clock.state,
        "stopped_at": _time(clock.stopped_at),
    }


def fact_json(fact: Fact) -> dict[str, Any]:
    """One line of a timeline."""
    return {
        "at": _time(fact.at),
        "kind": fact.kind,
        "by": fact.by.name,
        "via": fact.by.via,
        "text": fact.text,
        "data": fact.data,
    }


def alert_json(row: Any, *, inside: bool = False) -> dict[str, Any]:
    """One episode; `inside` adds what holds it back: people and their reasons are named there."""
    held_by = {"held_by": row.held_by} if inside else {}
    return {
        "source": row.source,
        "fingerprint": row.fingerprint,
        "starts_at": _time(row.starts_at),
        "ends_at": _time(row.ends_at),
        "state": row.state,
        "labels": row.labels,
        "annotations": row.annotations,
        "incident": f"INC-{row.incident}" if row.incident else None,
        "occurrences": row.occurrences,
        **held_by,
    }


def source_json(kind: str, state: SourceState) -> dict[str, Any]:
    """A source for the API."""
    return {
        "name": state.name,
        "type": kind,
        "delivered_at": _time(state.delivered_at),
        "looked_at": _time(state.looked_at),
        "answered_at": _time(state.answered_at),
        "blind_since": _time(state.blind_since),
        "blind_why": state.blind_why,
    }


def row_json(row: Any, without: Sequence[str] = ()) -> dict[str, Any]:
    """A row as plain values: times as RFC 3339, bytes as text that may have lost something."""
    values = row._mapping.items()  # noqa: SLF001  # SQLAlchemy's public name for it
    return {name: _plain(value) for name, value in values if name not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value[:20_000].decode("utf-8", "replace")
    return _time(value) if hasattr(value, "isoformat") else value


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
