"""What a tracker's own test file provides so that the contract covers it: `stage()`, a context manager."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bridge.model import Ticket


@dataclass
class Stage:
    """`tickets`: everything each ticket in the tracker says, oldest ticket first."""

    settings: Any
    tickets: Callable[[], list[str]]
    moods: dict[str, Callable[[], None]] = field(default_factory=dict)


def ticket(**other: Any) -> Ticket:
    values: dict[str, Any] = {
        "incident": "INC-42",
        "title": "[P1] 支付网关超时",
        "body": "INC-42 P1 acme payments\nBegan 2026-11-22 08:00:00 UTC.",
        "status": "triggered",
        "priority": "P1",
        "comments": ("2026-11-22 08:00:00 UTC triage: opened 支付网关超时",),
    }
    return Ticket(**{**values, **other})
