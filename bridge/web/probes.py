"""For machines that watch machines: liveness, readiness, metrics."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

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
