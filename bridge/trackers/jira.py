"""Jira Cloud and Data Center, REST API 2: one issue for each incident, its timeline as comments.

An issue is found again by the label `opsbridge-INC-42`, so a creation whose answer was lost is not
repeated. Limits: summary 255 characters without line breaks, description 32,767 characters.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from bridge.config.settings import Settings as Block
from bridge.config.values import Secret
from bridge.delivery import DeliveryError, Outbound
from bridge.model import Ticket
from bridge.registry import trackers
from bridge.text import one_line, visible
from bridge.trackers import Mirrored


class Settings(Block, frozen=True):
    """Jira Cloud wants `user` (an e-mail address) and an API token; Data Center a token alone."""

    url: str
    project: str
    token: Secret
    user: str = ""
    issue_type: str = "Incident"
    priorities: dict[str, str] = {}


@trackers.register("jira", Settings)
def mirror(settings: Settings, ticket: Ticket, known: str, outbound: Outbound) -> Mirrored:
    """Jira Cloud and Data Center."""
    key = known or _lookup(settings, ticket, outbound)
    if not key:
        said = _call(settings, outbound, "POST", "/issue", {"fields": _fields(settings, ticket)})
        key = str(said.get("key", ""))
        if not key:
            raise DeliveryError("Jira created an issue but did not tell its key", retry=True, unknown=True)
    elif ticket.comments:
        _call(
            settings,
            outbound,
            "POST",
            f"/issue/{quote(key)}/comment",
            {"body": "\n".join(map(_plain, ticket.comments))},
        )
    return Mirrored(key, f"{settings.url.rstrip('/')}/browse/{quote(key)}")


def _lookup(settings: Settings, ticket: Ticket, outbound: Outbound) -> str:
    """The key of the issue that carries our label; empty when there is none."""
    jql = f'project = "{_quoted(settings.project)}" AND labels = "{_label(ticket)}"'
    path = "/search/jql" if settings.user else "/search"
    said = _call(settings, outbound, "GET", f"{path}?jql={quote(jql)}&maxResults=1&fields=key")
    issues = said.get("issues") or []
    return str(issues[0].get("key", "")) if issues else ""


def _fields(settings: Settings, ticket: Ticket) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "project": {"key": settings.project},
        "issuetype": {"name": settings.issue_type},
        "summary": one_line(ticket.title, 250),
        "description": _plain(ticket.body)[:32_000],
        "labels": [_label(ticket), "opsbridge"],
    }
    if ticket.priority in settings.priorities:
        fields["priority"] = {"name": settings.priorities[ticket.priority]}
    return fields


def _call(settings: Settings, outbound: Outbound, method: str, path: str, body: Any = None) -> dict[str, Any]:
    token = settings.token.reveal()
    if settings.user:
        header = "Basic " + base64.b64encode(f"{settings.user}:{token}".encode()).decode()
    else:
        header = f"Bearer {token}"
    version = "3" if path.startswith("/search/jql") else "2"
    answer = outbound.expect(
        method,
        f"{settings.url.rstrip('/')}/rest/api/{version}{path}",
        json=body,
        headers={"Authorization": header, "Accept": "application/json"},
    )
    said = answer.json()
    if not isinstance(said, dict):
        raise DeliveryError("Jira answered with something other than an object", retry=True, unknown=True)
    return said


def _label(ticket: Ticket) -> str:
    return f"opsbridge-{ticket.incident}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _plain(text: str) -> str:
    """Without a meaning in Jira's markup: braces start macros, brackets links, exclamation marks images."""
    return "".join("\\" + char if char in "{}[]!*_~|^#" else char for char in visible(text))
