"""What came in: the list, the way of one delivery, and quarantine. Pages for people, and the API's routes."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext

from bridge import quarantine as ward
from bridge import triage
from bridge.incident import NotAllowed
from bridge.model import Alert
from bridge.store import history, trail
from bridge.store import quarantine as store
from bridge.store.trail import Trail
from bridge.web import access, views
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)
pages = Blueprint("deliveries", __name__)
machines = Blueprint("deliveries_api", __name__, url_prefix="/api/v1")

_ROWS = 50
_SHOWN = 20
_LONGEST_SHOWN = 20_000  # bytes of a body on its page; the whole of it is a download
_VERBS = ("retry", "dismiss")


@pages.get("/deliveries")
@access.staff
def listed() -> Any:
    """What came in, what waits in quarantine, and what could not be sent."""
    with access.bridge().database.reading() as connection:
        return render_template(
            "deliveries.html",
            deliveries=history.list_deliveries(connection, _ROWS),
            waiting=history.list_quarantine(connection, _SHOWN, settled=False),
            settled_ones=history.list_quarantine(connection, _SHOWN, settled=True),
            dead=history.dead_tasks(connection),
        )


@pages.get("/deliveries/<trace>")
@access.staff
def way(trace: str) -> Any:
    """The way of one delivery: received, read, decided, incidents, messages."""
    bridge = access.bridge()
    found = _trail(bridge, trace)
    return render_template(
        "delivery.html",
        trail=found,
        why={row.id: _why(row, found, bridge) for row in found.new},
        version=bridge.config.version,
    )


@pages.get("/deliveries/quarantine/<int:number>")
@access.staff
def body(number: int) -> Any:
    """One body in quarantine, as text, and what can be done with it."""
    row = _row(number)
    return render_template("quarantine.html", row=row, beginning=row.body[:_LONGEST_SHOWN])


@pages.get("/deliveries/quarantine/<int:number>/raw")
@access.staff
def raw(number: int) -> Any:
    """The body as it came, as a download: nothing in it is ever shown as a page."""
    row = _row(number)
    response = Response(row.body, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="quarantine-{number}.bin"'
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@pages.post("/deliveries/quarantine/retry")
@access.staff
def retry_all() -> Any:
    """Try everything that waits."""
    found = ward.retry_all(access.bridge())
    taken = sum(1 for one in found if one.taken)
    log.info("quarantine tried again", tried=len(found), taken=taken, by=g.caller.name)
    flash(gettext("%(taken)d of %(tried)d were taken.", taken=taken, tried=len(found)), "done")
    return redirect(url_for("deliveries.listed", _anchor="quarantine"))


@pages.post("/deliveries/quarantine/<int:number>/<verb>")
@access.staff
def settle(number: int, verb: str) -> Any:
    """Try a body again or dismiss it, and say what came of it."""
    try:
        found = _settle(number, verb, g.caller, request.form.get("reason", ""))
    except NotAllowed as error:
        flash(gettext("That was not done. %(why)s", why=str(error)), "problem")
        return redirect(url_for("deliveries.body", number=number))
    if found is None:
        flash(gettext("Dismissed."), "done")
    elif found.taken:
        flash(gettext("It was understood and taken."), "done")
        return redirect(url_for("deliveries.way", trace=found.said))
    else:
        flash(gettext("It still cannot be understood: %(why)s", why=found.said), "problem")
    return redirect(url_for("deliveries.body", number=number))


@machines.get("/deliveries/<trace>")
def read_delivery(trace: str) -> dict[str, Any]:
    """The way of one delivery: what was read, decided and done."""
    _staff_only(write=False)
    bridge = access.bridge()
    return _trail_json(_trail(bridge, trace), bridge)


@machines.post("/quarantine/<int:number>/<verb>")
def settle_body(number: int, verb: str) -> dict[str, Any]:
    """retry or dismiss (with `reason`) a body in quarantine."""
    caller = _staff_only(write=True)
    given = request.get_json(silent=True) or {}
    if not isinstance(given, dict):
        abort(400, "the body must be a JSON object")
    found = _settle(number, verb, caller, str(given.get("reason", "")))
    answer = views.row_json(_row(number), without=("body",))
    if found is not None:
        answer |= {"taken": found.taken, "trace_taken": found.said if found.taken else None}
        answer["incidents"] = list(found.incidents)
    return answer


def _staff_only(*, write: bool) -> access.Caller:
    caller = access.api_caller(write=write)
    if caller.client is not None:
        abort(403, "not for clients")
    return caller


def _settle(number: int, verb: str, caller: access.Caller, reason: str) -> ward.Retried | None:
    """Carry out a verb; aborts with 404. Raises NotAllowed."""
    if verb not in _VERBS:
        abort(404, f"there is no verb {verb[:40]!r}")
    bridge, found = access.bridge(), None
    try:
        if verb == "retry":
            found = ward.retry(bridge, number)
        else:
            ward.dismiss(bridge, number, caller.actor, reason)
    except store.NoSuchBody as error:
        abort(404, str(error))
    log.info("quarantine", verb=verb, number=number, by=caller.name, taken=bool(found and found.taken))
    return found


def _row(number: int) -> Any:
    try:
        with access.bridge().database.reading() as connection:
            return store.read(connection, number)
    except store.NoSuchBody as error:
        abort(404, str(error))


def _trail(bridge: Bridge, trace: str) -> Trail:
    try:
        with bridge.database.reading() as connection:
            return trail.read(connection, trace[:32])
    except trail.NoSuchDelivery:
        kept = bridge.config.retention.deliveries
        abort(
            404,
            gettext(
                "There is no delivery with this trace. Deliveries are kept for %(kept)s.", kept=str(kept)
            ),
        )


def _why(row: Any, found: Trail, bridge: Bridge) -> tuple[str, ...]:
    """Why it was decided so, if the rules in force decide so too; else nothing: those that did are gone."""
    incident = found.incidents.get(row.incident)
    alert = Alert(
        source=row.source,
        fingerprint=row.fingerprint,
        starts_at=row.starts_at,
        labels=row.labels,
        annotations=row.annotations,
        blind=incident is not None and incident.key.startswith(f"{triage.BLIND}: "),
    )
    verdict = triage.decide(alert, bridge.config.known, found.delivery.route_labels)
    return verdict.why if (verdict.rule, verdict.priority) == (row.rule, row.priority) else ()


def _trail_json(found: Trail, bridge: Bridge) -> dict[str, Any]:
    answer = views.row_json(found.delivery, without=("id", "incidents", "fingerprints"))
    answer["quarantine"] = [views.row_json(row) for row in found.quarantined]
    answer["new_alerts"] = [
        {**views.alert_json(row), "rule": row.rule, "priority": row.priority, "why": _why(row, found, bridge)}
        for row in found.new
    ]
    answer["known_alerts"] = [views.alert_json(row) for row in found.known]
    answer["without_episode"] = found.silent
    answer["incidents"] = [
        {
            "number": incident.name,
            "title": incident.title,
            "priority": incident.priority,
            "status": incident.status,
            "opened": number in found.opened,
        }
        for number, incident in sorted(found.incidents.items())
    ]
    answer["facts"] = [{**views.fact_json(fact), "incident": f"INC-{number}"} for number, fact in found.facts]
    answer["messages"] = [
        views.row_json(row, without=("data", "owner", "lease_until")) for row in found.messages
    ]
    return answer
