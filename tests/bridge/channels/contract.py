"""What a channel's own test file provides so that the contract covers it: `stage()`, a context manager.

A stage is the channel's settings beside a provider that runs on loopback and can be put into moods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bridge.model import Message
from tests.servers.http import Behaviour, Server, hangs, resets, says

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
# `limited` asks for a Retry-After of a day: it is honoured, but clamped.
MOODS = ("refuses", "broken", "limited", "hangs", "resets", "redirects")


@dataclass
class Stage:
    """`moods`: how to make the provider refuse, break, …; a mood that cannot be had is left out."""

    settings: Any
    shown: Callable[[], list[str]]
    moods: dict[str, Callable[[], None]] = field(default_factory=dict)
    limit: int | None = None
    elsewhere: Callable[[], int] = lambda: 0


def message(**other: Any) -> Message:
    values: dict[str, Any] = {
        "id": "opsbridge-7",
        "reason": "page",
        "priority": "P1",
        "incident": "INC-42",
        "title": "P1 支付网关超时 · 安可 · EU · 10 分钟内响应",
        "lines": ("INC-42 since 08:00 UTC", "第二行"),
        "links": (("Open", "https://bridge.test/incidents/42"), ("手册", "https://runbooks.test/pay(1)?a=b")),
        "responder": "li",
        "language": "zh",
    }
    return Message(**{**values, **other})


@contextmanager
def over_http(
    settings: Callable[[str], Any],
    works: Behaviour,
    shown: Callable[[Server], list[str]],
    limit: int | None = None,
) -> Iterator[Stage]:
    """A stage for channels that make one HTTP call."""
    with Server(works) as server, Server() as other:
        redirect = says(302, b"", {"Location": f"{other.url}/elsewhere"})
        moods = {
            "refuses": lambda: server.behave(says(403, b"no")),
            "broken": lambda: server.behave(says(503, b"", {"Retry-After": "7"})),
            "limited": lambda: server.behave(says(429, b"", {"Retry-After": "86400"})),
            "hangs": lambda: server.behave(hangs()),
            "resets": lambda: server.behave(resets()),
            "redirects": lambda: server.behave(redirect),
        }
        yield Stage(settings(server.url), lambda: shown(server), moods, limit, lambda: len(other.requests))
