"""What can come in. A source turns the bytes of a delivery into a Notification, or says why it cannot.

The contract of an entry: `decode(settings, delivery) -> Notification`; raises NotUnderstood.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Headers(Protocol):
    """What is needed of request headers: a look-up that ignores case where the web server's does."""

    def get(self, name: str, /) -> str | None:
        """The header's value, or None."""


@dataclass(frozen=True)
class Delivery:
    """The request as it arrived, after authentication. `source` is the configured name."""

    source: str
    body: bytes
    headers: Headers
    received_at: datetime


class NotUnderstood(ValueError):
    """The delivery cannot be read; the message is kept with it in quarantine."""
