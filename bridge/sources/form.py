"""A problem reported by a person: a form, or JSON posted by a script."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from bridge.config.settings import SourceSettings
from bridge.model import Alert, Notification, Priority
from bridge.registry import sources
from bridge.sources import Delivery, NotUnderstood, lenient
from bridge.sources.lenient import written
from bridge.text import storable

# Of a label; a longer text stands whole in an annotation.
LONGEST_NAME = 200
_NAMES = ("client", "service")
_FIELDS = ("title", "description", "client", "service", "priority", "reporter")


class Settings(SourceSettings, frozen=True):
    """Reports by people; needs a token unless they come through the console."""


@sources.register("form", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """A problem typed in by a person (the console's entry to the family)."""
    del settings
    flaws: list[str] = []
    report = _read(delivery, flaws)
    told = {name: _text(report, name, flaws) for name in _FIELDS}
    title = told["title"].strip()
    if not title:
        raise NotUnderstood("a report needs a title")
    labels = {
        "alertname": "ReportedProblem",
        **{name: told[name][:LONGEST_NAME] for name in _NAMES},
        "title": title[:LONGEST_NAME],
    }
    annotations = {
        "summary": title,
        "description": told["description"],
        "reporter": told["reporter"],
    }
    for name in _NAMES:
        if len(told[name]) > LONGEST_NAME:
            flaws.append(f"a {name} of more than {LONGEST_NAME} characters stands in an annotation")
            annotations[name] = told[name]
    priority = told["priority"].strip().upper()
    if priority in Priority.__members__:
        labels["priority"] = priority
    elif priority:
        flaws.append("a priority that is none of P1 to P4 stands in an annotation")
        annotations["priority"] = told["priority"]
    identity = "\xff".join([*labels.values(), delivery.received_at.isoformat()])
    alert = Alert(
        source=delivery.source,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:16],
        starts_at=delivery.received_at,
        labels={name: value for name, value in labels.items() if value},
        annotations=annotations,
    )
    return Notification(source=delivery.source, alerts=(alert,), flaws=tuple(flaws))


def _text(report: Mapping[str, Any], name: str, flaws: list[str]) -> str:
    value = report.get(name)
    if value is not None and not isinstance(value, str):
        flaws.append(f"{name} is not text: it is written out")
    return storable(written(value))


def _read(delivery: Delivery, flaws: list[str]) -> Mapping[str, Any]:
    """The report as JSON, or as a browser sends a form; an empty field is one left out."""
    kind = (delivery.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            fields = parse_qs(delivery.body.decode("utf-8", "replace"), max_num_fields=100)
            return {name: values[-1] for name, values in fields.items()}
        found = _json(delivery.body, flaws)
    except (RecursionError, ValueError) as error:
        raise NotUnderstood(f"not a problem report: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise NotUnderstood("not a problem report: it is no JSON object")
    return found


def _json(body: bytes, flaws: list[str]) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        flaws.append("not strict JSON: read leniently")
        return lenient.read(body)
