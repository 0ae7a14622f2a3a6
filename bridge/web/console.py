"""The console's pages for people on duty. GET shows, POST acts and comes back to the page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, send_file, url_for
from flask_babel import gettext

from bridge import failover, oncall, reporting, sla
from bridge.incident import NotAllowed
from bridge.model import Clock, Incident, Priority, Status
from bridge.store import failovers, history, incidents, sources
from bridge.store.history import BadCursor, Filters
from bridge.store.retention import forgotten_alerts
from bridge.web import access, api, intake, views

blueprint = Blueprint("console", __name__)
_MOST_ON_NOW = 200
_ROWS = 50
_FILTERS = ("status", "priority", "client", "service", "q")
_DIRECTIONS = {"run": "to_standby", "switch-back": "back"}


@blueprint.get("/")
@access.staff
def now() -> Any:
    """What burns, most urgent clock first; what is fine is small."""
    bridge = access.bridge()
    moment = bridge.now()
    with bridge.database.reading() as connection:
        found = history.unclosed(connection, None, _MOST_ON_NOW)
        numbers = [incident.number for incident in found]
        clocks = history.clocks_of(connection, numbers)
        counts = history.alert_counts(connection, numbers)
        runs = history.failovers_of(connection, numbers)
        dead = history.dead_tasks(connection, limit=20)
        held = history.list_quarantine(connection, limit=1, settled=False).total
        blind = [state for state in sources.states(connection).values() if state.blind_since]
        first_time = not found and not incidents.read_many(connection, [1])
    burning = [_row(incident, clocks, counts) for incident in found if incident.is_open]
    far = datetime.max.replace(tzinfo=moment.tzinfo)
    burning.sort(key=lambda row: (row["incident"].priority, row["clock"].due_at if row["clock"] else far))
    page = render_template(
        "now.html",
        burning=burning,
        waiting=[_row(incident, clocks, counts) for incident in found if not incident.is_open],
        runs={run.incident: run for run in runs},
        dead=dead,
        quarantined=held,
        blind=sorted(blind, key=lambda state: state.name),
        on_call=_on_call(moment),
        first_time=first_time,
    )
    return _unless_same(page)


@blueprint.get("/incidents")
@access.staff
def list_incidents() -> Any:
    """All incidents, with filters that stand in the address."""
    bridge = access.bridge()
    given = request.args
    filters = Filters(
        status=tuple(filter(None, given.getlist("status"))),
        priority=tuple(filter(None, given.getlist("priority"))),
        client=given.get("client") or None,
        service=given.get("service") or None,
        q=given.get("q", "")[:200],
    )
    with bridge.database.reading() as connection:
        try:
            page = history.list_incidents(connection, filters, _ROWS, given.get("cursor", ""))
        except BadCursor as error:
            abort(400, str(error))
        numbers = [incident.number for incident in page.items]
        clocks = history.clocks_of(connection, numbers)
        counts = history.alert_counts(connection, numbers)
    return render_template(
        "incidents.html",
        rows=[_row(incident, clocks, counts) for incident in page.items],
        page=page,
        filters=filters,
        statuses=list(Status),
        priorities=list(Priority),
        clients=bridge.config.clients,
        following={name: given.getlist(name) for name in _FILTERS} | {"cursor": page.next},
    )


@blueprint.get("/incidents/<int:number>")
@access.staff
def incident(number: int) -> Any:
    """One incident: clocks, what to do now, timeline, alerts, messages."""
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        found = incidents.read(connection, number)
        facts = incidents.facts_of(connection, number)
        page = render_template(
            "incident.html",
            incident=found,
            client=bridge.config.clients.get(found.client),
            clocks=sla.clocks(found, facts, bridge.config.calendars, bridge.now()),
            standing=views.standing(connection, found, facts, bridge),
            facts=facts[::-1],
            paged_at=next((fact.at for fact in facts if fact.kind == "told"), None),
            alerts=history.alerts_of(connection, number),
            alert_count=history.alert_counts(connection, [number])[number],
            forgotten=forgotten_alerts(connection, [number]).get(number, 0),
            messages=history.messages_of(connection, number),
            runs=history.failovers_of(connection, [number]),
            tickets=history.links_of(connection, number),
            people=bridge.config.people,
            priorities=list(Priority),
        )
    return _unless_same(page)


@blueprint.post("/incidents/<int:number>/<verb>")
@access.staff
def change_incident(number: int, verb: str) -> Any:
    """Do one thing to an incident, then show it again; a refusal is told on the page."""
    try:
        api.act(verb, number, g.caller, {key: str(value) for key, value in request.form.items()})
    except NotAllowed as error:
        flash(gettext("That was not done. %(why)s", why=str(error)), "problem")
    if request.form.get("back") == "now":
        return redirect(url_for("console.now"))
    return redirect(url_for("console.incident", number=number))


@blueprint.get("/failover")
@access.staff
def failover_page() -> Any:
    """Plans, the kill switch, and what ran."""
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        runs = history.list_failovers(connection, _ROWS).items
        stops = failovers.read_stops(connection)
        stopped = failovers.is_stopped(connection, "all")
    return render_template(
        "failover.html", plans=bridge.config.plans, runs=runs, stops=stops, stopped=stopped
    )


@blueprint.post("/failover/plans/<plan>/<verb>")
@access.staff
def run_plan(plan: str, verb: str) -> Any:
    """A person switches to the standby or back; the guards still decide, and the run says what came of it."""
    if verb not in _DIRECTIONS:
        abort(404)
    try:
        token = failover.ask(access.bridge(), plan, g.caller.actor, _DIRECTIONS[verb])
    except failover.NoSuchPlan as error:
        abort(404, str(error))
    flash(gettext("Run %(token)d was asked for: its outcome stands below.", token=token), "done")
    return redirect(url_for("console.failover_page"))


@blueprint.post("/failover/<verb>")
@access.staff
def kill_switch(verb: str) -> Any:
    """Press or release the kill switch."""
    if verb not in ("stop", "resume"):
        abort(404)
    reason = request.form.get("reason", "")[:500]
    failover.stop(access.bridge(), g.caller.actor, reason, stopped=verb == "stop")
    return redirect(url_for("console.failover_page"))


@blueprint.get("/oncall")
@access.staff
def on_call() -> Any:
    """Who is on call now and next, by schedule."""
    moment = access.bridge().now()
    days = [moment + timedelta(days=number) for number in range(7)]
    return render_template(
        "oncall.html", on_call=_on_call(moment), week=[(day, _on_call(day)) for day in days]
    )


@blueprint.get("/reports")
@access.staff
def list_reports() -> Any:
    """Reports that were built, and a form to build one now."""
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        rows = history.list_reports(connection, None)
    months: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        months.setdefault((row.month, row.client), []).append(row)
    clients = bridge.config.clients
    last = bridge.now().replace(day=1) - timedelta(days=1)
    return render_template("reports.html", months=months, clients=clients, last_month=last.strftime("%Y-%m"))


@blueprint.post("/reports")
@access.staff
def build_report() -> Any:
    """Build a client's report now."""
    client, month = request.form.get("client", ""), request.form.get("month", "")
    try:
        built = reporting.build(access.bridge(), client, month, language=request.form.get("language", ""))
    except (reporting.NoSuchClient, ValueError) as error:
        flash(str(error), "problem")
    else:
        missing = "; ".join(built.missing)
        flash(gettext("Built. Missing: %(what)s", what=missing) if missing else gettext("Built."), "done")
    return redirect(url_for("console.list_reports"))


@blueprint.get("/reports/<int:number>")
@access.staff
def report(number: int) -> Any:
    """One report's file: PDF as a download, HTML in a sandbox of its own."""
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        row = next((row for row in history.list_reports(connection, None) if row.id == number), None)
    if row is None:
        abort(404)
    path = Path(row.path)
    if not path.is_file() or path.is_symlink():
        abort(404, gettext("The file is no longer there; build the report again."))
    response: Response = send_file(
        path,
        mimetype="application/pdf" if row.format == "pdf" else "text/html",
        as_attachment=row.format == "pdf",
        download_name=path.name,
    )
    # The report carries its style inside; nothing in it may run or call anywhere.
    response.headers["Content-Security-Policy"] = (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    return response


@blueprint.get("/report-problem")
@access.staff
def problem_form() -> Any:
    """A form for a problem no alert has told."""
    config = access.bridge().config
    return render_template("problem.html", clients=config.clients, services=config.services)


@blueprint.post("/report-problem")
@access.staff
def report_problem() -> Any:
    """Take a person's report the way every alert goes: stored, triaged, paged."""
    fields = ("title", "description", "client", "service", "priority")
    report = {name: request.form.get(name, "") for name in fields if request.form.get(name)}
    number = intake.report_problem({**report, "reporter": g.caller.name})
    return redirect(url_for("console.incident", number=number))


def _row(incident: Incident, clocks: Any, counts: Any) -> dict[str, Any]:
    return {
        "incident": incident,
        "client": access.bridge().config.clients.get(incident.client),
        "clock": _urgent(clocks[incident.number]),
        "alerts": counts[incident.number],
    }


def _urgent(clocks: Sequence[Clock]) -> Clock | None:
    return min((clock for clock in clocks if clock.stopped_at is None), key=lambda c: c.due_at, default=None)


def _on_call(moment: datetime) -> list[tuple[str, str]]:
    config = access.bridge().config
    found = []
    for name, rotation in config.directory.schedules.items():
        person = oncall.on_call(rotation, moment)
        found.append((name, config.people[person].name if person in config.people else person))
    return found


def _unless_same(page: str) -> Any:
    """The page, or 304 when the browser's live refresh has it already (its clocks tick by themselves)."""
    settled = re.sub(r"<(time|meta|input|progress)[^>]*>[^<]*", "", page)
    response = Response(page, mimetype="text/html")
    response.set_etag(hashlib.sha256(settled.encode()).hexdigest()[:20], weak=True)
    return response.make_conditional(request)
