"""A problem reported by a person: the console's form, or JSON posted by a script."""

from __future__ import annotations

import hashlib

import msgspec

from bridge.config.settings import SourceSettings
from bridge.model import Alert, Notification, Priority
from bridge.registry import sources
from bridge.sources import Delivery, NotUnderstood
from bridge.text import storable


class Settings(SourceSettings, frozen=True):
    """Reports by people; needs a token unless they come through the console."""


class _Report(msgspec.Struct):
    title: str
    description: str = ""
    client: str = ""
    service: str = ""
    priority: Priority | None = None
    reporter: str = ""


@sources.register("form", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """A problem typed in by a person (the console's entry to the family)."""
    del settings
    try:
        report = msgspec.json.decode(delivery.body, type=_Report)
    except msgspec.DecodeError as error:
        raise NotUnderstood(f"not a problem report: {str(error)[:200]}") from error
    title = storable(report.title).strip()
    if not title:
        raise NotUnderstood("a report needs a title")
    labels = {
        "alertname": "ReportedProblem",
        "client": storable(report.client),
        "service": storable(report.service),
        "title": title[:200],
    }
    if report.priority:
        labels["priority"] = report.priority.value
    identity = "\xff".join([*labels.values(), delivery.received_at.isoformat()])
    return Notification(
        source=delivery.source,
        alerts=(
            Alert(
                source=delivery.source,
                fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:16],
                starts_at=delivery.received_at,
                labels={name: value for name, value in labels.items() if value},
                annotations={
                    "summary": title,
                    "description": storable(report.description)[:20_000],
                    "reporter": storable(report.reporter)[:200],
                },
            ),
        ),
    )
