"""The Flask application: who serves what, security headers, and errors in plain words."""

from __future__ import annotations

import uuid

import structlog
from flask import Flask, Response, g, jsonify, render_template, request
from flask_babel import Babel
from flask_login import AnonymousUserMixin, LoginManager
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from bridge.incident import NotAllowed
from bridge.intake import Intake
from bridge.messages import assets
from bridge.store import people
from bridge.store.database import Unavailable
from bridge.store.incidents import NoSuchIncident
from bridge.web import (
    access,
    api,
    console,
    deliveries,
    events,
    formats,
    incoming,
    intake,
    maintenance,
    maintenance_page,
    openapi,
    probes,
    signin,
)
from bridge.web.fastlane import FastLane
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)
LARGEST_FORM = 1024 * 1024
_SENDERS = ("/ingest", "/v2/", "/heartbeat")
_MACHINES = (*_SENDERS, "/api/", "/-/")
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create_app(bridge: Bridge, queue: Intake) -> Flask:
    """Everything over HTTP for one bridge; the intake must be started by the caller."""
    app = Flask(
        "bridge", template_folder=str(assets("console")), static_folder=str(assets("console", "static"))
    )
    incoming.install(app)
    # A redirect to the address with single slashes would lose the alerts: Alertmanager does not follow it.
    app.url_map.merge_slashes = False
    secure = bridge.config.url.startswith("https://")
    app.config.update(
        SECRET_KEY=bridge.database.run(lambda connection: people.own_key(connection, "session")),
        MAX_CONTENT_LENGTH=LARGEST_FORM,
        SESSION_COOKIE_NAME="__Host-opsbridge" if secure else "opsbridge",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        # Our own Referrer-Policy sends none, so its check could only ever fail; the token decides.
        WTF_CSRF_SSL_STRICT=False,
        BABEL_TRANSLATION_DIRECTORIES=str(assets("console", "translations")),
    )
    lane = FastLane(app.wsgi_app, bridge, queue)
    app.extensions["fastlane"] = lane
    app.wsgi_app = lane  # type: ignore[method-assign]
    if bridge.config.web.proxies:
        hops = bridge.config.web.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["bridge"] = bridge
    app.extensions["intake"] = queue
    access.csrf.init_app(app)
    login = LoginManager(app)
    login.login_view = "signin.form"
    login.user_loader(access.load_user)
    Babel(app, locale_selector=access.language, timezone_selector=access.time_zone)
    formats.register(app)
    for machine in (
        intake.blueprint,
        events.blueprint,
        api.blueprint,
        deliveries.machines,
        maintenance.blueprint,
        openapi.blueprint,
        probes.blueprint,
    ):
        access.csrf.exempt(
            machine
        )  # tokens are not sent by browsers by themselves; sessions are checked in access
        app.register_blueprint(machine)
    for people_pages in (console.blueprint, deliveries.pages, maintenance_page.blueprint, signin.blueprint):
        app.register_blueprint(people_pages)
    app.before_request(_begin)
    app.after_request(_finish)
    _register_errors(app)
    return app


def _begin() -> None:
    g.trace = uuid.uuid4().hex[:16]
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(trace=g.trace)


def _finish(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _CSP)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
        response.vary.add("Cookie")
    return response


def _register_errors(app: Flask) -> None:
    def answer(status: int, title: str, detail: str) -> Response:
        if status == 503:
            # Flask-Login keeps the reader here; the page must not ask the database that is away.
            g._login_user = AnonymousUserMixin()  # noqa: SLF001
        if request.path.startswith(events.PATH):
            response = jsonify(events.problem(status, title, detail))
        elif request.path.startswith(_MACHINES):
            body = {"title": title, "status": status, "detail": detail, "trace": g.get("trace", "")}
            response = jsonify(body)
            response.mimetype = "application/problem+json"
        else:
            page = render_template("error.html", status=status, title=title, detail=detail)
            response = Response(page, mimetype="text/html")
        response.status_code = status
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="opsbridge"'
        if status == 503:
            response.headers["Retry-After"] = "5"
        return response

    def known(error: HTTPException) -> Response:
        return answer(error.code or 500, error.name, error.description or "")

    def unavailable(error: Unavailable) -> Response:
        log.warning("answered 503", error=str(error))
        return answer(503, "Not now", "the database cannot take this now; try again")

    def broke(error: Exception) -> Response:
        log.error("request failed", error=type(error).__name__, exc_info=error)
        # Senders repeat what was answered 503; for intake "not now" is the truth.
        status = 503 if request.path.startswith(_SENDERS) else 500
        return answer(status, "Something broke", f"it is in the log as {g.get('trace', '')}")

    app.register_error_handler(HTTPException, known)
    app.register_error_handler(
        CSRFError, lambda error: answer(400, "Please send the form again", str(error.description))
    )
    app.register_error_handler(Unavailable, unavailable)
    app.register_error_handler(NotAllowed, lambda error: answer(409, "Not possible now", str(error)))
    app.register_error_handler(NoSuchIncident, lambda error: answer(404, "Not found", str(error)))
    app.register_error_handler(Exception, broke)
