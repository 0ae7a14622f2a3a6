"""opsbridge's own alerts: what it must tell people about itself goes the same way as every alert."""

from __future__ import annotations

from datetime import datetime

from bridge.model import Alert, Notification

SOURCE = "opsbridge"


def notification(name: str, summary: str, detail: str, now: datetime, subject: str = "") -> Notification:
    """A self-incident's alert. The same name and subject join the open incident instead of a new one."""
    labels = {"alertname": name, "service": "opsbridge", "priority": "P2", "severity": "warning"}
    if subject:
        labels["subject"] = subject
    alert = Alert(
        source=SOURCE,
        fingerprint=f"{name}/{subject}"[:128],
        starts_at=now,
        labels=labels,
        annotations={"summary": summary, "description": detail},
    )
    return Notification(source=SOURCE, alerts=(alert,))
