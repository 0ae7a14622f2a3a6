"""opsbridge's own alerts: what it must tell people about itself goes the same way as every alert."""

from __future__ import annotations

from datetime import datetime

from bridge.model import Alert, Notification

SOURCE = "opsbridge"


def notification(
    name: str, summary: str, detail: str, now: datetime, subject: str = "", *, ends: bool = False
) -> Notification:
    """A self-incident's alert. The same name and subject go on with the episode that fires.

    `ends` says that it is over; what cannot end by itself ends when a person resolves its incident.
    """
    labels = {"alertname": name, "service": "opsbridge", "priority": "P2", "severity": "warning"}
    if subject:
        labels["subject"] = subject
    alert = Alert(
        source=SOURCE,
        fingerprint=f"{name}/{subject}"[:128],
        starts_at=now,
        ends_at=now if ends else None,
        undated=True,
        labels=labels,
        annotations={"summary": summary, "description": detail},
    )
    return Notification(source=SOURCE, alerts=(alert,))
