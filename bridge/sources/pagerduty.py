"""PagerDuty's Events API v2, seen from the other side: what is sent to PagerDuty can be sent here.

An event belongs to the alert its `dedup_key` names: `trigger` tells or repeats it, `acknowledge` takes its
incident, `resolve` ends it. Begin and end are when we hear of them, as at PagerDuty, so a trigger after a
resolve is a new episode whatever `timestamp` it carries. What PagerDuty requires is required (400 tells
the sender what is wrong); whatever else is odd in an event is taken and noted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bridge.config.settings import SourceSettings
from bridge.model import Alert, Notification
from bridge.registry import sources
from bridge.sources import Delivery, NotUnderstood, lenient
from bridge.sources.lenient import as_json, written
from bridge.text import storable

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "warning", "error", "info")
LONGEST_KEY = 255
LONGEST_SUMMARY = 1_024
LONGEST_NAME = 100
# A detail that is longer or has several lines is something to read, not something to tell alerts apart by.
LONGEST_LABEL = 200
MOST_LABELS = 100
_LABELS = ("source", "component", "group", "class")
# What Alertmanager always adds; it changes with every repeat.
_CHANGING = ("firing", "resolved", "num_firing", "num_resolved")


class Settings(SourceSettings, frozen=True):
    """A sender of events. `token` is its routing key.

    `client` and `service` are whose events these are, where an event's details do not say it.
    """

    client: str = ""
    service: str = ""


class Invalid(NotUnderstood):
    """The event is not what PagerDuty would take; `errors` says why, for its sender."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors)[:900])
        self.errors = tuple(errors)


@dataclass
class _Event:
    """One event while it is read, and what was odd about it."""

    told: Mapping[str, Any]
    errors: list[str] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)

    def text(self, name: str, holder: Mapping[str, Any], where: str = "", *, needed: bool = False) -> str:
        """A field as text; what is no text is written out."""
        value = holder.get(name)
        if value is not None and not isinstance(value, str):
            self.flaws.append(f"'{where}{name}' is not text")
        text = storable(written(value))
        if needed and not text.strip():
            self.errors.append(f"'{where}{name}' is missing or blank")
        return text

    def choice(self, name: str, holder: Mapping[str, Any], known: Sequence[str], where: str = "") -> str:
        """A field that must be one of a few words, in whatever case."""
        text = self.text(name, holder, where, needed=True).strip()
        if text and text.lower() not in known:
            words = ", ".join(f"'{word}'" for word in known)
            self.errors.append(f"'{where}{name}' is invalid (must be one of: {words})")
        elif text not in known and text:
            self.flaws.append(f"'{where}{name}' in capital letters")
        return text.lower()


def event(body: bytes) -> Mapping[str, Any] | None:
    """The body as a JSON object, None when it is none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        try:
            value = lenient.read(body)
        except (RecursionError, ValueError):
            return None
    return value if isinstance(value, dict) else None


def routing_key(told: Mapping[str, Any]) -> str:
    """What the event says it belongs to; empty when it does not say so."""
    found = told.get("routing_key")
    return found if isinstance(found, str) else ""


def fingerprint(dedup_key: str) -> str:
    """The series of a key."""
    return hashlib.sha256(dedup_key.encode()).hexdigest()[:16]


@sources.register("pagerduty", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """PagerDuty's Events API v2; `group` of what it gives is the event's `dedup_key`, given or made."""
    told = event(delivery.body)
    if told is None:
        raise Invalid(["the event is not a JSON object"])
    this = _Event(told)
    action = this.choice("event_action", told, ACTIONS)
    given = this.text("dedup_key", told, needed=action in ("acknowledge", "resolve"))
    if isinstance(told.get("dedup_key"), str) and told["dedup_key"] != given:
        this.flaws.append("'dedup_key' holds characters that cannot be stored: they are replaced")
    if len(given) > LONGEST_KEY:
        this.errors.append(f"'dedup_key' is too long (maximum is {LONGEST_KEY} characters)")
    payload = told.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    if action == "trigger":
        for name in ("summary", "source"):
            this.text(name, payload, "payload.", needed=True)
        this.choice("severity", payload, SEVERITIES, "payload.")
    if this.errors:
        raise Invalid(list(dict.fromkeys(this.errors)))
    key = given or _made(delivery)
    taken = action == "acknowledge"
    return Notification(
        source=delivery.source,
        alerts=() if taken else (_alert(this, payload, action, key, settings, delivery),),
        taken=(fingerprint(key),) if taken else (),
        group=key,
        flaws=tuple(dict.fromkeys(this.flaws))[:20],
    )


def _made(delivery: Delivery) -> str:
    """A key for an event that has none: such an event is always a new alert."""
    return hashlib.sha256(delivery.body + delivery.received_at.isoformat().encode()).hexdigest()[:32]


def _alert(
    this: _Event, payload: Mapping[str, Any], action: str, key: str, settings: Settings, delivery: Delivery
) -> Alert:
    said = {name: this.text(name, payload, "payload.").strip() for name in _LABELS}
    said["severity"] = this.text("severity", payload, "payload.").strip().lower()
    labels = {name: text[:LONGEST_LABEL] for name, text in said.items() if text}
    notes = {name: text for name, text in said.items() if len(text) > LONGEST_LABEL}
    _add_details(payload.get("custom_details"), labels, notes, this)
    for name, text in (("client", settings.client), ("service", settings.service)):
        if text:
            labels.setdefault(name, text)
    summary = this.text("summary", payload, "payload.")
    if len(summary) > LONGEST_SUMMARY:
        this.flaws.append(f"'payload.summary' is longer than {LONGEST_SUMMARY} characters")
    labels["alertname"] = _name(labels, key if this.told.get("dedup_key") else "", summary) or key
    context = {**dict(_context(this)), "summary": summary, "dedup_key": key}
    return Alert(
        source=delivery.source,
        fingerprint=fingerprint(key),
        starts_at=delivery.received_at,
        ends_at=delivery.received_at if action == "resolve" else None,
        labels=labels,
        annotations={**notes, **{name: text for name, text in context.items() if text}},
        link=_link(this),
        undated=True,
    )


def _name(labels: Mapping[str, str], key: str, summary: str) -> str:
    """What incidents of events are told apart by, beside client and service.

    An `alertname` in the details says it. A `class` says it among the events of one client or service.
    Else events are as different as their sender has them: by `dedup_key`, without one by summary.
    """
    if labels.get("alertname"):
        return labels["alertname"]
    if labels.get("class") and (labels.get("client") or labels.get("service")):
        return labels["class"]
    return key or summary[:LONGEST_NAME].strip()


def _add_details(raw: Any, labels: dict[str, str], notes: dict[str, str], this: _Event) -> None:
    """Details to tell alerts apart by (short texts and numbers) become labels, those to read notes."""
    if raw and not isinstance(raw, dict):
        this.flaws.append("'payload.custom_details' is not an object: it stands in an annotation")
        notes["custom_details"] = storable(written(raw))
        return
    for given, value in (raw or {}).items():
        name, text = storable(given), storable(written(value)).strip()
        flat = not isinstance(value, dict | list) and len(text) <= LONGEST_LABEL and "\n" not in text
        is_label = flat and name not in labels and name not in _CHANGING and len(labels) < MOST_LABELS
        if text:
            (labels if is_label else notes)[name] = text


def _context(this: _Event) -> Iterator[tuple[str, str]]:
    """What stands around the payload, for people."""
    for name in ("client", "client_url"):
        yield name, storable(written(this.told.get(name)))
    yield "links", _list(this.told.get("links"), "text", "href")
    yield "images", _list(this.told.get("images"), "alt", "src")
    payload = this.told.get("payload")
    if isinstance(payload, dict):
        yield "timestamp", storable(written(payload.get("timestamp")))
    elif payload:
        yield "payload", storable(as_json(payload))


def _list(raw: Any, word: str, address: str) -> str:
    """Links or images, a line for each."""
    if not isinstance(raw, list):
        return storable(written(raw))
    lines: list[str] = []
    for each in raw:
        parts = (each.get(word), each.get(address)) if isinstance(each, dict) else (None, each)
        lines.append(" ".join(storable(written(part)) for part in parts if part))
    return "\n".join(line for line in lines if line)


def _link(this: _Event) -> str:
    """Where to look: the sender's page, else the first link."""
    links = this.told.get("links")
    first = links[0].get("href") if isinstance(links, list) and links and isinstance(links[0], dict) else ""
    found = this.told.get("client_url") or first
    return storable(found)[:4_000] if isinstance(found, str) else ""
