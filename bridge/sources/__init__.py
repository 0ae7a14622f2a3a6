"""What can come in. A source turns the bytes of a delivery into a Notification, or says why it cannot.

The contract of an entry: `decode(settings, delivery) -> Notification`; raises NotUnderstood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Delivery:
    """The request as it arrived, after authentication. `source` is the configured name."""

    source: str
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime


class NotUnderstood(ValueError):
    """The delivery cannot be read; the message is kept with it in quarantine."""
