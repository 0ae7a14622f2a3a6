"""The body that Alertmanager and Grafana share, read leniently: no odd part may hide an alert.

`receiver` is regexp-quoted, `endsAt` of a firing alert is the year 1, labels may lack `alertname`, and the
status of a group says nothing about alerts that were cut off (`truncatedAlerts`). What is too long for its
place is kept whole in the alert's annotations; what is no alert at all is handed on unread.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from bridge.model import Alert, Notification
from bridge.sources import Delivery, NotUnderstood, lenient
from bridge.sources.lenient import as_json, written
from bridge.text import storable

MOST_LABELS = 500
LONGEST_FINGERPRINT = 128
LONGEST_LINK = 4_000
LONGEST_GROUP = 4_000
LONGEST_RECEIVER = 400
MOST_HIDDEN = 1_000_000
# Parts kept one by one; the rest of an unreadable body is one part more.
MOST_UNREAD = 100
# Clocks may differ; a start further ahead than this is a mistake of the sender.
FUTURE = timedelta(days=1)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_QUOTED = re.compile(r"\\([\\.+*?()|\[\]{}^$])")


class _Wire(msgspec.Struct, rename="camel"):
    """The parts of the body that are read, before anything is believed about their types."""

    version: Any = None
    alerts: Any = None
    truncated_alerts: Any = 0
    group_key: Any = ""
    receiver: Any = ""
    route_labels: Any = None


_decoder = msgspec.json.Decoder(_Wire)


@dataclass
class Reading:
    """One body while it is read. `clean`: strict JSON without NUL, its texts are storable as they are."""

    delivery: Delivery
    flaws: list[str] = field(default_factory=list)
    unread: list[Any] = field(default_factory=list)
    clean: bool = False


Completed = Callable[[Alert, dict[str, Any]], Alert]


def notification(delivery: Delivery, version: str, completed: Completed | None = None) -> Notification:
    """The delivery, if it is this version of the webhook; `completed` adds what one sender alone tells.

    Raises NotUnderstood when there is no alert in it that can be read.
    """
    reading = Reading(delivery)
    wire = _read(delivery.body, reading)
    if not isinstance(wire.alerts, list):
        raise NotUnderstood("`alerts` is missing or not a list: a custom payload?")
    if not wire.alerts:
        raise NotUnderstood("`alerts` is empty: there is nothing to act on")
    told = written(wire.version)
    if told != version:
        raise NotUnderstood(f"version {told[:40]!r} of the webhook; this reads version {version}")
    alerts: list[Alert] = []
    for raw in wire.alerts:
        alert = _alert(raw, reading)
        if alert is not None:
            alerts.append(completed(alert, raw) if completed else alert)
    if not alerts:
        raise NotUnderstood("no alert in it can be read: " + "; ".join(reading.flaws[:3]))
    return Notification(
        source=delivery.source,
        alerts=_told_apart(alerts, reading),
        hidden=_count(wire.truncated_alerts, reading),
        unread=_unread(reading),
        group=storable(written(wire.group_key))[:LONGEST_GROUP],
        receiver=unquoted(storable(written(wire.receiver))[:LONGEST_RECEIVER]),
        route_labels=texts(wire.route_labels, reading)[0] if wire.route_labels else {},
        flaws=tuple(dict.fromkeys(reading.flaws))[:20],
    )


def unquoted(receiver: str) -> str:
    """A receiver's name as it is configured: it arrives as Go's regexp.QuoteMeta left it."""
    return _QUOTED.sub(r"\1", receiver) if "\\" in receiver else receiver


def texts(raw: Any, reading: Reading) -> tuple[dict[str, str], dict[str, str]]:
    """Labels or annotations as texts, and what is too many of them; other values are written out."""
    if not isinstance(raw, dict):
        reading.flaws.append("labels or annotations that are not an object")
        return {}, {}
    if reading.clean and len(raw) <= MOST_LABELS and all(type(value) is str for value in raw.values()):
        return raw, {}
    kept: dict[str, str] = {}
    rest: dict[str, str] = {}
    for name, value in raw.items():
        if not isinstance(value, str):
            reading.flaws.append(f"label {storable(name)[:60]!r} was not text")
        (kept if len(kept) < MOST_LABELS else rest)[storable(name)] = storable(written(value))
    if rest:
        reading.flaws.append(f"more than {MOST_LABELS} labels: the rest stands in an annotation")
    return kept, rest


def fingerprint(given: Any, labels: dict[str, str]) -> str:
    """The sender's own fingerprint, else one made of the labels in the same spirit."""
    if isinstance(given, str) and 0 < len(given) <= LONGEST_FINGERPRINT and storable(given) == given:
        return given
    text = json.dumps(sorted(labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(body: bytes, reading: Reading) -> _Wire:
    """The body as JSON; what only a lenient reader takes is taken too, because it may be a P1."""
    try:
        wire = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        first = str(error)[:200]
    else:
        reading.clean = b"\\u0000" not in body
        return wire
    reading.flaws.append("not strict JSON: read leniently")
    try:
        return msgspec.convert(lenient.read(body), _Wire)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise NotUnderstood(f"not the JSON of a webhook: {first}") from None


def _alert(raw: Any, reading: Reading) -> Alert | None:
    """One alert, or None when there is nothing to know it by; then it is handed on unread."""
    if not isinstance(raw, dict) or not isinstance(raw.get("labels"), dict) or not raw["labels"]:
        reading.flaws.append("an alert without labels is kept in quarantine")
        reading.unread.append(raw)
        return None
    labels, too_many = texts(raw["labels"], reading)
    starts_at = _start(raw.get("startsAt"), reading)
    if not raw.get("fingerprint"):
        reading.flaws.append("no fingerprint: one is made of the labels")
    link = storable(written(raw.get("generatorURL")))
    return Alert(
        source=reading.delivery.source,
        fingerprint=fingerprint(raw.get("fingerprint"), labels),
        starts_at=starts_at,
        ends_at=_end(raw, starts_at, reading),
        labels=labels,
        annotations=_annotations(raw.get("annotations"), too_many, link, reading),
        link=link if len(link) <= LONGEST_LINK else "",
    )


def _annotations(raw: Any, too_many_labels: dict[str, str], link: str, reading: Reading) -> dict[str, str]:
    """The alert's annotations, and in them whatever of it is too long or too odd for its own place."""
    if raw and not isinstance(raw, dict):
        reading.flaws.append("annotations that are not an object are written out")
        raw = {"annotations": written(raw)}
    kept, too_many = texts(raw or {}, reading)
    more = {}
    if too_many:
        more["annotations_left_out"] = as_json(too_many)
    if too_many_labels:
        more["labels_left_out"] = as_json(too_many_labels)
    if len(link) > LONGEST_LINK:
        reading.flaws.append(f"a link of more than {LONGEST_LINK} characters stands in an annotation")
        more["link"] = link
    return {**more, **kept} if more else kept


def _start(raw: Any, reading: Reading) -> datetime:
    starts_at = _moment(raw)
    if starts_at is None or starts_at > reading.delivery.received_at + FUTURE:
        reading.flaws.append("an unreadable or far future startsAt: the time of arrival counts")
        return reading.delivery.received_at
    return in_milliseconds(starts_at)


def in_milliseconds(moment: datetime) -> datetime:
    """A start as Alertmanager's API tells it: an episode found there and one delivered are the same."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _end(raw: dict[str, Any], starts_at: datetime, reading: Reading) -> datetime | None:
    """An alert has ended when its own status says so; an unknown status is taken as firing."""
    status = raw.get("status")
    if status != "resolved":
        if status != "firing":
            reading.flaws.append(f"status {written(status)[:40]!r} is read as firing")
        return None
    now = reading.delivery.received_at
    ends_at = _moment(raw.get("endsAt"))
    if ends_at is None or ends_at > now + FUTURE:
        reading.flaws.append("resolved without a readable endsAt: the time of arrival counts")
        return max(now, starts_at)
    if ends_at < starts_at:
        reading.flaws.append("endsAt before startsAt: it ended when it began")
        return starts_at
    return ends_at


def _moment(value: Any) -> datetime | None:
    """An RFC 3339 time with a zone between 1990 and 9000; Go's zero time is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:
        return None
    return moment if EARLIEST <= moment <= _LATEST else None


def _count(value: Any, reading: Reading) -> int:
    """How many alerts were cut off. Too many to count is still many."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return int(min(value, MOST_HIDDEN))
    reading.flaws.append("truncatedAlerts is not a number")
    return 0


def _told_apart(alerts: Sequence[Alert], reading: Reading) -> tuple[Alert, ...]:
    """Alerts with one fingerprint and different labels are different alerts."""
    labels_of: dict[str, dict[str, str]] = {}
    shared = {
        alert.fingerprint
        for alert in alerts
        if labels_of.setdefault(alert.fingerprint, alert.labels) != alert.labels
    }
    if not shared:
        return tuple(alerts)
    reading.flaws.append("one fingerprint for different labels: it is made of the labels")
    return tuple(
        replace(alert, fingerprint=fingerprint(None, alert.labels)) if alert.fingerprint in shared else alert
        for alert in alerts
    )


def _unread(reading: Reading) -> tuple[str, ...]:
    parts = reading.unread
    if len(parts) > MOST_UNREAD:
        parts = [*parts[:MOST_UNREAD], parts[MOST_UNREAD:]]
    return tuple(as_json(part) for part in parts)
