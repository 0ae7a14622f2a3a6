"""Maintenance windows in the API: list, preview, plan, cancel. The console reads them by the same words."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, abort, request
from msgspec import to_builtins

from bridge import maintenance, upkeep
from bridge.config import Duration
from bridge.maintenance import BadWindow, Window
from bridge.model import Actor
from bridge.store import maintenance as store
from bridge.store.history import BadCursor
from bridge.store.maintenance import NoSuchWindow
from bridge.web import access

blueprint = Blueprint("maintenance_api", __name__, url_prefix="/api/v1/maintenance")

Answer = dict[str, Any]
_INSIDE = ("reason", "by", "cancelled_by")
# No duration anybody means is longer, and a mistake is told with its text.
_LONGEST_LENGTH = 40


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A window as a person writes it. `starts_at` without an offset is wall-clock time of `time_zone`."""

    name: str = ""
    client: str = ""
    match: list[str] = []
    starts_at: str = ""
    length: str = ""
    rrule: str = ""
    time_zone: str = ""
    reason: str = ""


def window_of(wanted: Wanted, by: Actor) -> Window:
    """The window that is meant; raises BadWindow. Without a zone it is the client's."""
    bridge = access.bridge()
    client = bridge.config.clients.get(wanted.client)
    try:
        seconds = int(Duration.parse(wanted.length.strip()[:_LONGEST_LENGTH]).total_seconds())
    except ValueError as error:
        raise BadWindow(f"length: {error}") from error
    return maintenance.made(
        name=wanted.name,
        client=wanted.client,
        match=wanted.match,
        starts_at=wanted.starts_at,
        seconds=seconds,
        rrule=wanted.rrule,
        time_zone=wanted.time_zone.strip() or (client.time_zone if client else "UTC"),
        reason=wanted.reason,
        by=by.name,
        now=bridge.now(),
    )


@blueprint.get("")
def list_windows() -> Answer:
    """Maintenance windows, newest first, with where they stand and when they come next."""
    caller = access.api_caller(write=False)
    bridge = access.bridge()
    client = caller.client if caller.client is not None else request.args.get("client")
    try:
        limit = int(request.args.get("limit", "100"))
    except ValueError:
        abort(400, "limit must be a number up to 1000")
    try:
        with bridge.database.reading() as connection:
            page = store.list_windows(connection, client, limit, request.args.get("cursor", "")[:200])
    except BadCursor as error:
        abort(400, str(error))
    items = [_json(window, inside=caller.client is None) for window in page.items]
    return {"items": items, "next": page.next, "total": page.total}


@blueprint.post("")
def plan() -> Answer:
    """Save a window: its alerts page nobody while it is on."""
    window = _asked(_writer())
    try:
        return _json(upkeep.plan(access.bridge(), window))
    except BadWindow as error:
        abort(400, str(error))


@blueprint.post("/preview")
def preview() -> Answer:
    """What a window would mute, judged by the last 30 days; saves nothing."""
    window = _asked(_writer())
    try:
        found = upkeep.preview(access.bridge(), window)
    except BadWindow as error:
        abort(400, str(error))
    plain: Answer = to_builtins(found)
    plain["examples"] = [
        to_builtins(each) | {"incident": f"INC-{each.incident}" if each.incident else None}
        for each in found.examples
    ]
    plain["open"] = [
        {"number": each.name, "priority": each.priority, "client": each.client, "title": each.title}
        for each in found.open
    ]
    return {"window": _json(window), **plain}


@blueprint.post("/<int:number>/cancel")
def cancel(number: int) -> Answer:
    """End a window for ever; what it muted and still fires is paged."""
    caller = _writer()
    try:
        return _json(upkeep.cancel(access.bridge(), number, caller.actor))
    except NoSuchWindow as error:
        abort(404, str(error))


def _writer() -> access.Caller:
    caller = access.api_caller(write=True)
    if caller.client is not None:
        abort(403, "a client's token may only read")
    return caller


def _asked(caller: access.Caller) -> Window:
    try:
        return window_of(msgspec.convert(request.get_json(silent=True), Wanted), caller.actor)
    except msgspec.ValidationError as error:
        abort(400, f"the body must be a JSON object that describes the window: {error}")
    except BadWindow as error:
        abort(400, str(error))


def _json(window: Window, *, inside: bool = True) -> Answer:
    """A window; `inside` adds what a client does not see: people and their reasons."""
    now = access.bridge().now()
    answer = {
        **to_builtins(window),
        "id": window.id or None,
        "match": [str(matcher) for matcher in window.match],
        "state": maintenance.standing(window, now),
        "next": to_builtins(maintenance.following(window, now)),
    }
    return answer if inside else {name: value for name, value in answer.items() if name not in _INSIDE}
