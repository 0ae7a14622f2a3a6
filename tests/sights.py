"""Small words for looks at Alertmanager: an episode that is known, the same alert in its list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from bridge import sightings
from bridge.model import State
from bridge.sightings import Findings, Known, Listed, Sight, Silence, Terms

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
TERMS = Terms(grace=timedelta(seconds=45), absence=timedelta(seconds=60), receivers=frozenset({"ops"}))
FOREVER = Silence(id="s1", by="li", until=NOW + timedelta(hours=2), comment="维护窗口")
TOLD = "silence s1 by li until 2026-11-25 04:00 UTC: 维护窗口"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def known(**fields: object) -> Known:
    """An episode that fires since ten minutes, told at its start."""
    usual = Known(
        id=1,
        fingerprint="f1",
        starts_at=ago(600),
        standing=State.FIRING,
        held_by="",
        absent_since=None,
        last_seen=ago(600),
    )
    return replace(usual, **fields)


def listed(**fields: object) -> Listed:
    """The same alert in the list."""
    usual = Listed(
        fingerprint="f1",
        starts_at=ago(600),
        state="active",
        receivers=("ops",),
        labels={"alertname": "Down", "host": "a"},
        annotations={"summary": "it is down"},
        link="http://prometheus.test/graph",
    )
    return replace(usual, **fields)


def sight(*alerts: Listed, **fields: object) -> Sight:
    return replace(Sight(at=NOW, listed=sightings.union([alerts])), **fields)


def told(found: Findings) -> list[tuple[str, float | None, float | None, str]]:
    """(standing, seconds since its start, seconds since its end, held by) of what is admitted."""
    return [
        (
            alert.state.value,
            (NOW - alert.starts_at).total_seconds(),
            None if alert.ends_at is None else (NOW - alert.ends_at).total_seconds(),
            alert.held_by,
        )
        for alert in found.alerts
    ]
