"""Signing in and out: password, or a one-time link that a person opens and then confirms."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask_babel import gettext
from flask_login import current_user, login_user, logout_user
from sqlalchemy import Connection

from bridge.store import people
from bridge.web import access

log = structlog.get_logger(__name__)
blueprint = Blueprint("signin", __name__)
SHORTEST_PASSWORD = 12


@blueprint.get("/sign-in")
def form() -> Any:
    """The sign-in page."""
    if current_user.is_authenticated:
        return redirect(url_for("console.now"))
    return render_template("sign_in.html", problem="")


@blueprint.post("/sign-in")
def sign_in() -> Any:
    """Check name and password; equal words for every failure."""
    bridge = access.bridge()
    name, password = request.form.get("name", "")[:100], request.form.get("password", "")[:1000]
    subjects = (f"address {request.remote_addr}", f"user {name}")
    with bridge.database.reading() as connection:
        blocked = any(people.too_many_failures(connection, subject, bridge.now()) for subject in subjects)
        user = None if blocked else people.check_password(connection, name, password)
    if user is None:

        def remember(connection: Connection) -> None:
            for subject in subjects:
                people.add_failure(connection, subject, bridge.now())

        bridge.database.run(remember)
        log.warning("sign-in refused", blocked=blocked)
        problem = gettext(
            "That did not work. Check name and password; after ten failures wait a quarter of an hour."
        )
        return render_template("sign_in.html", problem=problem), 403
    _start_session(user.name)
    return redirect(url_for("console.now"))


@blueprint.get("/sign-in/<secret>")
def link(secret: str) -> Any:
    """Show the form of a one-time link. Opening it changes nothing: mail scanners open links too."""
    bridge = access.bridge()
    with bridge.database.reading() as connection:
        name = people.link_user(connection, secret[:200], bridge.now())
    if name is None:
        abort(404, gettext("This link was used or has expired. Ask for a new one: bridge user reset NAME"))
    return render_template("set_password.html", name=name, problem="")


@blueprint.post("/sign-in/<secret>")
def use_link(secret: str) -> Any:
    """Use the link up: set the password and sign in."""
    bridge = access.bridge()
    password = request.form.get("password", "")
    if not SHORTEST_PASSWORD <= len(password) <= 1000:
        with bridge.database.reading() as connection:
            name = people.link_user(connection, secret[:200], bridge.now())
        problem = gettext("A password needs at least %(n)d characters.", n=SHORTEST_PASSWORD)
        return render_template("set_password.html", name=name or "", problem=problem), 400

    def work(connection: Connection) -> str | None:
        name = people.use_link(connection, secret[:200], bridge.now())
        if name is not None:
            people.set_password(connection, name, password)
        return name

    name = bridge.database.run(work)
    if name is None:
        abort(404, gettext("This link was used or has expired. Ask for a new one: bridge user reset NAME"))
    _start_session(name)
    return redirect(url_for("console.now"))


@blueprint.post("/sign-out")
def sign_out() -> Any:
    """End the session everywhere."""
    bridge = access.bridge()
    if current_user.is_authenticated:
        session = str(current_user.id)
        bridge.database.run(lambda connection: people.end_session(connection, session, bridge.now()))
        logout_user()
    return redirect(url_for("signin.form"))


def _start_session(name: str) -> None:
    bridge = access.bridge()
    secret = bridge.database.run(lambda connection: people.new_session(connection, name, bridge.now()))
    found = access.load_user(secret)
    if found is None:
        abort(403, "this account is disabled")
    login_user(found)
    log.info("signed in", user=name)
