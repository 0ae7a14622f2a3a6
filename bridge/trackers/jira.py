"""Jira Cloud and Data Center, REST API 2: one issue for each incident, its timeline as comments.

An issue is found again by the label `opsbridge-INC-42`, so a creation whose answer was lost is not
repeated. Limits: summary 255 characters without line breaks, description 32,767 characters.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import msgspec

from bridge.config.settings import Settings as Block
from bridge.config.values import Secret
from bridge.delivery import Answer, DeliveryError, Outbound
from bridge.model import Ticket
from bridge.registry import trackers
from bridge.text import one_line, visible
from bridge.trackers import Mirrored

LONGEST_TEXT = 32_000


class Settings(Block, frozen=True):
    """Jira Cloud wants `user` (an e-mail address) and an API token; Data Center a token alone."""

    url: str
    project: str
    token: Secret
    user: str = ""
    issue_type: str = "Incident"
    priorities: dict[str, str] = msgspec.field(default_factory=dict)


@trackers.register("jira", Settings)
def mirror(settings: Settings, ticket: Ticket, known: str, outbound: Outbound) -> Mirrored:
    """Jira Cloud and Data Center."""
    key = known or _lookup(settings, ticket, outbound)
    if not key:
        answer = _call(settings, outbound, "POST", "/issue", {"fields": _fields(settings, ticket)})
        key = _key(answer.json())
        if not key:
            raise DeliveryError("Jira created an issue but did not tell its key", retry=True, unknown=True)
    elif ticket.comments:
        # The answer repeats the comment and may be cut: that it is 2xx is all that counts.
        body = {"body": _plain("\n".join(ticket.comments))[:LONGEST_TEXT]}
        _call(settings, outbound, "POST", f"/issue/{quote(key, safe='')}/comment", body)
    return Mirrored(key, f"{settings.url.rstrip('/')}/browse/{quote(key, safe='')}")


def _lookup(settings: Settings, ticket: Ticket, outbound: Outbound) -> str:
    """The key of the issue that carries our label; empty when there is none."""
    jql = f'project = "{_quoted(settings.project)}" AND labels = "{_label(ticket)}"'
    path = "/search/jql" if settings.user else "/search"
    answer = _call(settings, outbound, "GET", f"{path}?jql={quote(jql)}&maxResults=1&fields=key")
    said = answer.json()
    issues = said.get("issues") if isinstance(said, dict) else None
    if not isinstance(issues, list) or (issues and not _key(issues[0])):
        raise DeliveryError("Jira did not answer whether the ticket exists", retry=True)
    return _key(issues[0]) if issues else ""


def _key(issue: Any) -> str:
    """The key in Jira's description of an issue; empty when there is none."""
    key = issue.get("key") if isinstance(issue, dict) else None
    return one_line(key, 100) if isinstance(key, str) else ""


def _fields(settings: Settings, ticket: Ticket) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "project": {"key": settings.project},
        "issuetype": {"name": settings.issue_type},
        "summary": one_line(ticket.title, 250),
        "description": _plain(ticket.body)[:LONGEST_TEXT],
        "labels": [_label(ticket), "opsbridge"],
    }
    if ticket.priority in settings.priorities:
        fields["priority"] = {"name": settings.priorities[ticket.priority]}
    return fields


def _call(settings: Settings, outbound: Outbound, method: str, path: str, body: Any = None) -> Answer:
    token = settings.token.reveal()
    if settings.user:
        header = "Basic " + base64.b64encode(f"{settings.user}:{token}".encode()).decode()
    else:
        header = f"Bearer {token}"
    version = "3" if path.startswith("/search/jql") else "2"
    return outbound.expect(
        method,
        f"{settings.url.rstrip('/')}/rest/api/{version}{path}",
        json=body,
        headers={"Authorization": header, "Accept": "application/json"},
    )


def _label(ticket: Ticket) -> str:
    return f"opsbridge-{ticket.incident}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _plain(text: str) -> str:
    """Without a meaning in Jira's markup: braces start macros, brackets links, exclamation marks images.

    A backslash of the text itself becomes an entity: it would take back the escape that follows it.
    """
    return "".join(
        "&#92;" if char == "\\" else "\\" + char if char in "{}[]!*_~|^#" else char for char in visible(text)
    )
