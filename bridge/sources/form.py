"""A problem reported by a person: a form, or JSON posted by a script."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs

import msgspec

from bridge.config.settings import SourceSettings
from bridge.model import Alert, Notification, Priority
from bridge.registry import sources
from bridge.sources import Delivery, NotUnderstood
from bridge.text import storable

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 20_000


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
    report = _read(delivery)
    title = storable(report.title).strip()[:LONGEST_DESCRIPTION]
    if not title:
        raise NotUnderstood("a report needs a title")
    labels = {
        "alertname": "ReportedProblem",
        "client": storable(report.client)[:LONGEST_NAME],
        "service": storable(report.service)[:LONGEST_NAME],
        "title": title[:LONGEST_NAME],
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
                undated=True,
                labels={name: value for name, value in labels.items() if value},
                annotations={
                    "summary": title,
                    "description": storable(report.description)[:LONGEST_DESCRIPTION],
                    "reporter": storable(report.reporter)[:LONGEST_NAME],
                },
            ),
        ),
    )


def _read(delivery: Delivery) -> _Report:
    """The report as JSON, or as a browser sends a form; an empty field is one left out."""
    kind = (delivery.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    try:
        if kind != "application/x-www-form-urlencoded":
            return msgspec.json.decode(delivery.body, type=_Report)
        fields: dict[str, Any] = {
            name: values[-1]
            for name, values in parse_qs(delivery.body.decode("utf-8", "replace"), max_num_fields=100).items()
        }
        return msgspec.convert(fields, _Report)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise NotUnderstood(f"not a problem report: {str(error)[:200]}") from error
