"""Heartbeats: something must be heard from every so often, and its silence is the alarm."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bridge.config.settings import SourceSettings
from bridge.config.values import Duration
from bridge.model import Alert, Notification, Priority
from bridge.registry import sources
from bridge.sources import Delivery

# The one series of each heartbeat: its silence.
FINGERPRINT = "heartbeat"


class Settings(SourceSettings, frozen=True, kw_only=True):
    """Who must be heard, how often, and whose problem silence is.

    `watches` names another source: its alerts that fire and match are beats too, and while none comes
    that source is blind. `priority` is what a rule may overrule; silence that pages nobody is no alarm.
    """

    every: Duration
    grace: Duration = Duration(minutes=1)
    client: str = ""
    service: str = ""
    priority: Priority = Priority.P2
    watches: str = ""
    match: list[str] = msgspec.field(default_factory=list)

    def due(self, heard: datetime) -> datetime:
        """By when the next beat must come, lest it is late."""
        return heard + self.every + self.grace


@sources.register("heartbeat", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """A dead man's switch: that something was posted is all that counts."""
    del settings
    return Notification(source=delivery.source, alerts=(), beats=(delivery.source,))


def over(name: str, now: datetime) -> Alert:
    """The end of a silence: heard again, or no longer expected."""
    return Alert(source=name, fingerprint=FINGERPRINT, starts_at=now, ends_at=now, undated=True)
