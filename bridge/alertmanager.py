"""Questions to Alertmanager's HTTP API, version 2, over the one way out. Used by reconciliation.

Its times are cut to milliseconds. `/alerts` lists everything that has not ended, whoever it is routed to;
which of it is muted by a time interval only `/alerts/groups` says, and only since 0.28.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec

from bridge.delivery import DeliveryError, Outbound
from bridge.sightings import Listed, Silence
from bridge.text import storable

T = TypeVar("T")
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

SECONDS = 10.0
# 10,000 alerts are about 6 MB.
ANSWER_LIMIT = 64 * 1024 * 1024


class _Receiver(msgspec.Struct):
    name: str


class _Status(msgspec.Struct, rename="camel"):
    state: str
    silenced_by: list[str] | None = None
    inhibited_by: list[str] | None = None
    muted_by: list[str] | None = None


class _Alert(msgspec.Struct, rename="camel"):
    fingerprint: str
    starts_at: Moment
    status: _Status
    labels: dict[str, str]
    receivers: list[_Receiver] = []
    annotations: dict[str, str] = {}
    generator_url: str = msgspec.field(default="", name="generatorURL")


class _Group(msgspec.Struct):
    receiver: _Receiver
    alerts: list[_Alert] = []


class _SilenceStatus(msgspec.Struct):
    state: str


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    ends_at: Moment
    status: _SilenceStatus
    created_by: str = ""
    comment: str = ""


class _State(msgspec.Struct):
    uptime: Moment


def alerts(outbound: Outbound, base_url: str) -> tuple[Listed, ...]:
    """Every alert that has not ended. Raises DeliveryError."""
    found = _ask(outbound, base_url, "alerts", list[_Alert])
    try:
        return tuple(map(_listed, found))
    except OverflowError:
        raise _unreadable("alerts") from None


def silences(outbound: Outbound, base_url: str) -> dict[str, Silence]:
    """The silences that are on, by id. Raises DeliveryError."""
    return {
        found.id: Silence(
            id=found.id,
            by=storable(found.created_by),
            until=found.ends_at,
            comment=storable(found.comment),
        )
        for found in _ask(outbound, base_url, "silences", list[_Silence])
        if found.status.state == "active"
    }


def muted(outbound: Outbound, base_url: str, receivers: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Alerts that a time interval mutes on every route to these receivers (none given: to any), and which.

    Raises DeliveryError.
    """
    found: dict[str, tuple[str, ...]] = {}
    open_: set[str] = set()
    for group in _ask(outbound, base_url, "alerts/groups", list[_Group]):
        if receivers and group.receiver.name not in receivers:
            continue
        for alert in group.alerts:
            if alert.status.muted_by:
                found[alert.fingerprint] = tuple(map(storable, alert.status.muted_by))
            else:
                open_.add(alert.fingerprint)
    return {fingerprint: names for fingerprint, names in found.items() if fingerprint not in open_}


def started_at(outbound: Outbound, base_url: str) -> datetime:
    """Since when it runs: it keeps no alerts over a restart, so a young one has not heard of all yet.

    Raises DeliveryError.
    """
    return _ask(outbound, base_url, "status", _State).uptime


def _ask(outbound: Outbound, base_url: str, what: str, kind: type[T]) -> T:
    answer = outbound.expect(
        "GET", f"{base_url.rstrip('/')}/api/v2/{what}", seconds=SECONDS, limit=ANSWER_LIMIT
    )
    if len(answer.body) >= ANSWER_LIMIT:
        raise DeliveryError(f"the list of {what} is larger than {ANSWER_LIMIT // 2**20} MiB", retry=True)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _unreadable(what) from None


def _unreadable(what: str) -> DeliveryError:
    return DeliveryError(f"what it answers under {what} is not Alertmanager's", retry=True)


def _listed(alert: _Alert) -> Listed:
    status = alert.status
    # A state of a version to come says nothing yet but that the alert is there.
    state: Any = status.state if status.state in ("active", "suppressed") else "unprocessed"
    return Listed(
        fingerprint=storable(alert.fingerprint),
        starts_at=alert.starts_at.astimezone(UTC),
        state=state,
        silenced_by=_all_storable(status.silenced_by),
        inhibited_by=_all_storable(status.inhibited_by),
        muted_by=_all_storable(status.muted_by),
        receivers=_all_storable([receiver.name for receiver in alert.receivers]),
        labels={storable(name): storable(value) for name, value in alert.labels.items()},
        annotations={storable(name): storable(value) for name, value in alert.annotations.items()},
        link=storable(alert.generator_url)[:4000],
    )


def _all_storable(texts: list[str] | None) -> tuple[str, ...]:
    return tuple(map(storable, texts or ()))
