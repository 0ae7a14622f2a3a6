"""Alertmanager webhook, version "4" (0.19 to 0.34).

What Alertmanager really sends is decoded straight into typed structs. Whatever is odd about a body, even
in one alert, sends all of it to the lenient reader in `webhook`, which takes more and says what was odd.
Where both can read a body they read the same in it. Unknown keys are new versions: nobody looks at them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bridge.config.settings import SourceSettings
from bridge.model import Alert, Notification
from bridge.registry import sources
from bridge.sources import Delivery, webhook


class Settings(SourceSettings, frozen=True):
    """An Alertmanager that posts to us. `api` and `prometheus` allow to ask back."""


_Texts = Annotated[dict[str, str], Meta(max_length=webhook.MOST_LABELS)]


class _Alert(msgspec.Struct, rename="camel", gc=False):
    """An alert without anything odd about it."""

    status: Literal["firing", "resolved"]
    labels: Annotated[dict[str, str], Meta(min_length=1, max_length=webhook.MOST_LABELS)]
    starts_at: Annotated[datetime, Meta(tz=True)]
    fingerprint: Annotated[str, Meta(min_length=1, max_length=webhook.LONGEST_FINGERPRINT)]
    ends_at: Annotated[datetime, Meta(tz=True)] | None = None
    annotations: _Texts = {}
    link: Annotated[str, Meta(max_length=webhook.LONGEST_LINK)] = msgspec.field(
        default="", name="generatorURL"
    )


class _Body(msgspec.Struct, rename="camel", gc=False):
    """A body without anything odd about it."""

    version: Literal["4"]
    alerts: Annotated[list[_Alert], Meta(min_length=1)]
    truncated_alerts: Annotated[int, Meta(ge=0, le=webhook.MOST_HIDDEN)] = 0
    group_key: Annotated[str, Meta(max_length=webhook.LONGEST_GROUP)] = ""
    receiver: Annotated[str, Meta(max_length=webhook.LONGEST_RECEIVER)] = ""
    route_labels: _Texts = {}


_decoder = msgspec.json.Decoder(_Body)


@sources.register("alertmanager", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """Alertmanager webhook, version 4."""
    del settings
    return _plain(delivery) or webhook.notification(delivery, "4")


def _plain(delivery: Delivery) -> Notification | None:
    """The delivery, when there is nothing odd about it; else None, and nothing is lost by it."""
    if b"\\u0000" in delivery.body:
        return None
    try:
        body = _decoder.decode(delivery.body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    source, earliest, latest = delivery.source, webhook.EARLIEST, delivery.received_at + webhook.FUTURE
    alerts: list[Alert] = []
    for told in body.alerts:
        starts_at = told.starts_at
        if not earliest <= starts_at <= latest:
            return None
        if starts_at.tzinfo is not UTC:
            starts_at = starts_at.astimezone(UTC)
        if starts_at.microsecond % 1000:
            starts_at = webhook.in_milliseconds(starts_at)
        ends_at = None
        if told.status == "resolved":
            ends_at = told.ends_at
            if ends_at is None or not starts_at <= ends_at <= latest:
                return None
            if ends_at.tzinfo is not UTC:
                ends_at = ends_at.astimezone(UTC)
        alerts.append(
            Alert(
                source=source,
                fingerprint=told.fingerprint,
                starts_at=starts_at,
                ends_at=ends_at,
                labels=told.labels,
                annotations=told.annotations,
                link=told.link,
            )
        )
    if len({alert.fingerprint for alert in alerts}) < len(alerts):
        return None
    return Notification(
        source=source,
        alerts=tuple(alerts),
        hidden=body.truncated_alerts,
        group=body.group_key,
        receiver=webhook.unquoted(body.receiver),
        route_labels=body.route_labels,
    )
