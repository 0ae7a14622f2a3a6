"""The API's own description, made from the routes themselves so that it cannot drift from them."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, current_app
from werkzeug.routing import Rule

from bridge.metrics import program_version

blueprint = Blueprint("openapi", __name__)
_DESCRIBED = ("/api/v1/", "/ingest/")
_KINDS = {"IntegerConverter": "integer"}


@blueprint.get("/api/openapi.json")
def openapi() -> dict[str, Any]:
    """This description."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(current_app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.rule.startswith(_DESCRIBED):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                paths.setdefault(path, {})[method.lower()] = _operation(rule, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "opsbridge", "version": program_version()},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "the token as password"},
            }
        },
        "security": [{"token": []}, {"basic": []}],
    }


def _operation(rule: Rule, method: str) -> dict[str, Any]:
    view = current_app.view_functions[rule.endpoint]
    about = (view.__doc__ or "").strip()
    answers: dict[str, Any] = {"200": {"description": "done"}, "401": {"description": "no valid token"}}
    if rule.rule.startswith("/ingest/"):
        answers |= {
            "403": {"description": "the token serves several sources"},
            "413": {"description": "too large; a self-incident tells people"},
            "503": {"description": "not stored: send it again"},
        }
    else:
        answers |= {"403": {"description": "not allowed"}, "404": {"description": "not found"}}
        if method != "GET":
            answers["409"] = {"description": "not possible in this state"}
    operation: dict[str, Any] = {
        "operationId": f"{rule.endpoint}.{method.lower()}"
        + (f".{len(rule.arguments)}" if rule.arguments else ""),
        "summary": about.partition("\n")[0],
        "responses": answers,
    }
    if rule.arguments:
        operation["parameters"] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": _KINDS.get(type(rule._converters[name]).__name__, "string")},  # noqa: SLF001
            }
            for name in sorted(rule.arguments)
        ]
    if method != "GET":
        operation["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return operation
