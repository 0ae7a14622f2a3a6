"""The JSON API. Lists answer `{"items", "next", "total"}`; every change needs `api:write`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, request
from msgspec import convert, to_builtins

from bridge import failover, oncall, operations
from bridge.model import Actor, Incident, Priority
from bridge.store import failovers, history, incidents, sources
from bridge.store.history import BadCursor, Filters, Page
from bridge.store.sources import SourceState
from bridge.web import access, views
from bridge.wiring import Bridge

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

Answer = dict[str, Any]

_WITH_TEXT: dict[str, Callable[[Bridge, int, Actor, str], Incident]] = {
    "resolve": operations.resolve,
    "close": operations.close,
    "reopen": operations.reopen,
    "note": operations.note,
    "plan": operations.plan,
    "escalate": operations.escalate,
}


@blueprint.get("/incidents")
def list_incidents() -> Answer:
    """Incidents, newest first; filters status, priority, client, service, q, since, until."""
    caller = access.api_caller(write=False)
    filters = Filters(
        status=_several("status"),
        priority=_several("priority"),
        client=caller.client if caller.client is not None else request.args.get("client"),
        service=request.args.get("service"),
        q=request.args.get("q", "")[:200],
        since=_moment("since"),
        until=_moment("until"),
    )
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        page = _page(lambda limit, cursor: history.list_incidents(connection, filters, limit, cursor))
        items = views.incidents_json(connection, page.items, bridge)
    return {"items": items, "next": page.next, "total": page.total}


@blueprint.get("/incidents/<int:number>")
def read_incident(number: int) -> Answer:
    """One incident with its clocks, alerts and timeline."""
    caller = access.api_caller(write=False)
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        incident = incidents.read(connection, number)
        if caller.client is not None and incident.client != caller.client:
            raise incidents.NoSuchIncident(f"there is no INC-{number}")
        return views.incident_page_json(connection, incident, bridge, inside=caller.client is None)


@blueprint.post("/incidents/<int:number>/<verb>")
def change_incident(number: int, verb: str) -> Answer:
    """acknowledge, resolve, close, reopen, note, plan, assign, escalate or priority."""
    caller = access.api_caller(write=True)
    bridge = access.bridge()
    if caller.client is not None:
        abort(403, "a client's token may only read")
    body = request.get_json(silent=True) or {}
    if not isinstance(body, dict):
        abort(400, "the body must be a JSON object")
    incident = act(verb, number, caller, {key: str(value) for key, value in body.items()})
    with bridge.database.reading() as connection:
        return views.incidents_json(connection, [incident], bridge)[0]


def act(verb: str, number: int, caller: access.Caller, given: dict[str, str]) -> Incident:
    """Carry out a verb for API and console; aborts with 404 for one that does not exist."""
    bridge, by, text = access.bridge(), caller.actor, given.get("text", "")[:20_000]
    if verb == "acknowledge":
        return operations.acknowledge(bridge, number, by)
    if verb == "assign":
        return operations.assign(bridge, number, by, given.get("assignee", ""))
    if verb == "priority":
        wanted = given.get("priority", "")
        if wanted not in Priority.__members__:
            abort(400, "priority must be one of P1, P2, P3, P4")
        return operations.set_priority(bridge, number, by, Priority(wanted), text)
    if verb not in _WITH_TEXT:
        abort(404, f"there is no verb {verb[:40]!r}")
    return _WITH_TEXT[verb](bridge, number, by, text)


@blueprint.get("/alerts")
def list_alerts() -> Answer:
    """Alert episodes, newest first; filter state."""
    caller = access.api_caller(write=False)
    state = request.args.get("state", "")
    with access.bridge().database.reading() as connection:
        page = _page(
            lambda limit, cursor: history.list_alerts(connection, caller.client, state, limit, cursor)
        )
    items = [views.alert_json(row, inside=caller.client is None) for row in page.items]
    return {"items": items, "next": page.next, "total": page.total}


@blueprint.get("/sources")
def list_sources() -> Answer:
    """Sources: when each was heard and looked at, and since when and why one is blind."""
    caller = access.api_caller(write=False)
    if caller.client is not None:
        abort(403, "not for clients")
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        states = sources.states(connection)
    items = [
        views.source_json(typed.type, states.get(name, SourceState(name)))
        for name, typed in sorted(bridge.config.sources.items())
    ]
    return {"items": items, "next": None, "total": len(items)}


@blueprint.get("/deliveries")
def list_deliveries() -> Answer:
    """What sources delivered, newest first."""
    return _staff_list(history.list_deliveries)


@blueprint.get("/quarantine")
def list_quarantine() -> Answer:
    """Authentic deliveries that could not be understood, newest first."""
    return _staff_list(history.list_quarantine)


@blueprint.get("/failovers")
def list_failovers() -> Answer:
    """Failover runs with their guards' verdicts, newest first."""
    return _staff_list(history.list_failovers)


@blueprint.post("/failovers/<plan>/<verb>")
def change_failover(plan: str, verb: str) -> Answer:
    """dry-run, run or switch-back of a plan."""
    caller = access.api_caller(write=True)
    if caller.client is not None:
        abort(403, "a client's token may only read")
    if verb not in ("dry-run", "run", "switch-back"):
        abort(404, f"there is no verb {verb[:40]!r}")
    bridge = access.bridge()
    try:
        if verb == "dry-run":
            verdicts, probes = failover.dry_run(bridge, plan)
            return {"plan": plan, "guards": _plain(verdicts), "precheck": _plain(probes)}
        direction = "to_standby" if verb == "run" else "back"
        return {"plan": plan, "token": failover.ask(bridge, plan, caller.actor, direction)}
    except failover.NoSuchPlan as error:
        abort(404, str(error))


@blueprint.post("/failovers/stop")
def stop_failovers() -> Answer:
    """Press the kill switch: no failover takes another step."""
    return _kill_switch(stopped=True)


@blueprint.post("/failovers/resume")
def resume_failovers() -> Answer:
    """Release the kill switch."""
    return _kill_switch(stopped=False)


@blueprint.get("/oncall")
def who_is_on_call() -> Answer:
    """Who is on call now (or at `at`), by schedule."""
    caller = access.api_caller(write=False)
    if caller.client is not None:
        abort(403, "not for clients")
    bridge = access.bridge()
    at = _moment("at") or bridge.now()
    schedules = bridge.config.directory.schedules
    items = [
        {"schedule": name, "responder": oncall.on_call(rotation, at)} for name, rotation in schedules.items()
    ]
    return {"items": items, "next": None, "total": len(items)}


@blueprint.get("/clients")
def list_clients() -> Answer:
    """The clients of the configuration."""
    caller = access.api_caller(write=False)
    items = [
        {"client": key, "name": client.name, "language": client.language, "time_zone": client.time_zone}
        for key, client in access.bridge().config.clients.items()
        if caller.client in (None, key)
    ]
    return {"items": items, "next": None, "total": len(items)}


@blueprint.get("/reports")
def list_reports() -> Answer:
    """Reports that were built, newest month first."""
    caller = access.api_caller(write=False)
    with access.bridge().database.reading() as connection:
        rows = history.list_reports(connection, caller.client)
    items = [views.row_json(row, without=("path",)) for row in rows]
    return {"items": items, "next": None, "total": len(items)}


def _staff_list(read: Any) -> Answer:
    caller = access.api_caller(write=False)
    if caller.client is not None:
        abort(403, "not for clients")
    with access.bridge().database.reading() as connection:
        page = _page(lambda limit, cursor: read(connection, limit, cursor))
    return {"items": [views.row_json(row) for row in page.items], "next": page.next, "total": page.total}


def _kill_switch(*, stopped: bool) -> Answer:
    caller = access.api_caller(write=True)
    if caller.client is not None:
        abort(403, "a client's token may only read")
    bridge = access.bridge()
    body = request.get_json(silent=True) or {}
    reason = str(body.get("reason", ""))[:500] if isinstance(body, dict) else ""
    failover.stop(bridge, caller.actor, reason, stopped=stopped)
    with bridge.database.reading() as connection:
        rows = failovers.read_stops(connection)
    return {"items": [views.row_json(row) for row in rows], "next": None, "total": len(rows)}


def _page(read: Any) -> Page:
    try:
        limit = int(request.args.get("limit", "100"))
    except ValueError:
        abort(400, "limit must be a number up to 1000")
    try:
        page: Page = read(limit, request.args.get("cursor", "")[:200])
    except BadCursor as error:
        abort(400, str(error))
    return page


def _several(name: str) -> tuple[str, ...]:
    return tuple(part for value in request.args.getlist(name) for part in value.split(",") if part)[:20]


def _moment(name: str) -> datetime | None:
    text = request.args.get(name)
    if not text:
        return None
    try:
        moment = convert(text, datetime)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        abort(400, f"{name} must be a time such as 2026-01-31T09:00:00Z")


def _plain(values: Any) -> Any:
    return to_builtins(values)
