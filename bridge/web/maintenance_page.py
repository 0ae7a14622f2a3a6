"""The console's page of maintenance: what is on and coming, and a form that tells what it would mute."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from babel.dates import format_skeleton
from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import get_locale, gettext

from bridge import maintenance, upkeep
from bridge.maintenance import BadWindow, Occurrence, Window
from bridge.store import maintenance as store
from bridge.store.maintenance import NoSuchWindow
from bridge.web import access
from bridge.web.maintenance import Wanted, window_of

blueprint = Blueprint("maintenance", __name__, url_prefix="/maintenance")
_PAST = 20
REPEATS = {"": "", "daily": "FREQ=DAILY", "weekly": "FREQ=WEEKLY", "monthly": "FREQ=MONTHLY"}
_FIELDS = ("name", "client", "match", "starts_at", "length", "repeat", "rrule", "time_zone", "reason")


@blueprint.get("")
@access.staff
def windows() -> Any:
    """What is on, what comes, what is over, and an empty form."""
    zone = next((client.time_zone for client in access.bridge().config.clients.values()), "UTC")
    hour = access.bridge().now().astimezone(ZoneInfo(zone)).replace(minute=0) + timedelta(hours=1)
    return _page({"starts_at": f"{hour:%Y-%m-%dT%H:%M}", "length": "1h", "time_zone": zone})


@blueprint.post("")
@access.staff
def plan() -> Any:
    """Show what the window would mute; save it only as it was shown."""
    form = {name: request.form.get(name, "") for name in _FIELDS}
    try:
        window = window_of(_wanted(form), g.caller.actor)
        if request.form.get("do") == "save" and request.form.get("shown") == _mark(window):
            saved = upkeep.plan(access.bridge(), window)
            flash(gettext("Saved. %(name)s pages nobody while it is on.", name=saved.name), "done")
            return redirect(url_for("maintenance.windows"))
        shown = upkeep.preview(access.bridge(), window)
    except BadWindow as error:
        return _page(form, problem=str(error)), 400
    changed = request.form.get("do") == "save"
    return _page(form, window=window, preview=shown, mark=_mark(window), changed=changed)


@blueprint.post("/<int:number>/cancel")
@access.staff
def cancel(number: int) -> Any:
    """End a window for ever; what it muted and still fires is paged."""
    try:
        window = upkeep.cancel(access.bridge(), number, g.caller.actor)
    except NoSuchWindow as error:
        abort(404, str(error))
    flash(gettext("%(name)s is cancelled. What it muted and still fires is paged.", name=window.name), "done")
    return redirect(url_for("maintenance.windows"))


def _page(form: dict[str, str], **more: Any) -> str:
    bridge = access.bridge()
    now = bridge.now()
    with bridge.database.reading() as connection:
        alive = store.active(connection, now)
        known = store.list_windows(connection, None, limit=200).items
    found = [(window, maintenance.standing(window, now)) for window in alive]
    clients = bridge.config.clients
    return render_template(
        "maintenance.html",
        form=form,
        on=[_row(window, now) for window, standing in found if standing == "on"],
        coming=sorted(
            (_row(window, now) for window, standing in found if standing == "coming"),
            key=lambda row: row["next"].starts_at,
        ),
        past=[
            _row(window, now)
            for window in known
            if maintenance.standing(window, now) in ("over", "cancelled")
        ][:_PAST],
        clients=clients,
        zones=sorted({"UTC", *(client.time_zone for client in clients.values())}),
        repeats=REPEATS,
        local=_local,
        **more,
    )


def _row(window: Window, now: datetime) -> dict[str, Any]:
    repeat = next((name for name, rule in REPEATS.items() if rule == window.rrule), "custom")
    return {"window": window, "next": maintenance.following(window, now), "repeat": repeat}


def _wanted(form: dict[str, str]) -> Wanted:
    repeat = form["repeat"]
    given = {name: form[name] for name in ("name", "client", "starts_at", "length", "time_zone", "reason")}
    rrule = form["rrule"] if repeat == "custom" else REPEATS.get(repeat, "")
    if repeat == "custom" and not rrule.strip():
        raise BadWindow("rrule: write the rule, for example FREQ=MONTHLY;BYDAY=1SU")
    return Wanted(**given, match=form["match"].splitlines(), rrule=rrule)


def _mark(window: Window) -> str:
    """What a preview was made of: somebody may change the form before saving."""
    plain = msgspec.to_builtins(window)
    del plain["created_at"]
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:16]


def _local(occurrence: Occurrence, zone: str) -> str:
    """An occurrence in wall-clock time of a zone, in the reader's language."""
    begin, end = (at.astimezone(ZoneInfo(zone)) for at in (occurrence.starts_at, occurrence.ends_at))
    last = "" if begin.date() == end.date() else f"{_day(end)} "
    return f"{_day(begin)} {begin:%H:%M} – {last}{end:%H:%M}"


def _day(moment: datetime) -> str:
    return str(format_skeleton("yMMMEd", moment, locale=get_locale()))
