"""For machines that watch and drive machines: liveness, readiness, metrics, reload."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, g, jsonify
from flask_login import current_user
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bridge import reloading
from bridge.config import ConfigError
from bridge.store.database import schema_problem
from bridge.web import access

blueprint = Blueprint("probes", __name__)


@blueprint.get("/-/healthy")
def healthy() -> Response:
    """The process answers."""
    return Response("opsbridge is healthy\n", mimetype="text/plain")


@blueprint.get("/-/ready")
def ready() -> Response:
    """The database answers and has the schema this version needs; 503 otherwise."""
    problem = schema_problem(access.bridge().database)
    if problem:
        return Response(f"not ready: {problem}\n", 503, mimetype="text/plain")
    return Response("opsbridge is ready\n", mimetype="text/plain")


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus metrics of this process; label values come from the configuration only."""
    return Response(generate_latest(access.bridge().metrics.registry), content_type=CONTENT_TYPE_LATEST)


@blueprint.post("/-/reload")
def reload() -> Response | dict[str, Any]:
    """Read the configuration again: 200 with the version in force, or 422 with every mistake."""
    _must_administrate()
    bridge = access.bridge()
    try:
        done = reloading.reload(bridge, g.trace)
    except ConfigError as error:
        reasons = [str(problem) for problem in error.problems]
        answer = jsonify(
            {
                "title": "The configuration is wrong",
                "status": 422,
                "detail": "the old one stays in force; every mistake is listed in reasons",
                "reasons": reasons,
                "version": bridge.config.version,
                "trace": g.trace,
            }
        )
        answer.status_code = 422
        answer.mimetype = "application/problem+json"
        return answer
    return {"version": done.version, "after_restart": list(done.after_restart)}


def _must_administrate() -> None:
    """Whoever reloads decides about every client: a token that may write, or an admin. Aborts otherwise."""
    caller = access.api_caller(write=True)
    if caller.client is not None:
        abort(403, "a token of one client must not reload the configuration of all")
    if caller.via == "console" and current_user.user.role != "admin":
        abort(403, "only an admin may reload the configuration")
