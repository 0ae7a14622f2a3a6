"""What an incident's alerts do to it: joining and ending, flapping, storms, muting, and cut-off lists.

Every function is pure. An incident is restored when none of its alerts fires, except while it flaps (then
it must keep quiet for a time first) and while its source has cut alerts off (then nobody knows).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from bridge import incident as machine
from bridge.incident import CLOCK, TRIAGE
from bridge.model import Alert, Change, Fact, Incident, State, Status
from bridge.text import one_line

# A storm that takes in alerts for longer than this is no storm but the weather.
LONGEST_STORM = timedelta(hours=1)


class Flapping(msgspec.Struct, frozen=True):
    """Reopened so often `within` a time it flaps; it is over after so much `quiet`."""

    reopens: int
    within: timedelta
    quiet: timedelta


def changed(
    incident: Incident,
    joined: Sequence[Alert],
    ended: Sequence[Alert],
    now: datetime,
    *,
    because: str = "",
) -> Change:
    """New episodes joined, known ones ended. When none fires any more the service is restored."""
    firing = incident.firing + sum(1 for alert in joined if alert.ends_at is None)
    firing = max(firing - len(ended), 0)
    after = replace(
        incident, firing=firing, began_at=min([incident.began_at, *(alert.starts_at for alert in joined)])
    )
    facts = [
        members_fact(f"alerts_{kind}", alerts, now, because if kind == "joined" else "")
        for kind, alerts in (("joined", joined), ("ended", ended))
        if alerts and incident.flapping_at is None
    ]
    change = Change(incident=after, facts=tuple(facts))
    # What was over when it came ends nothing: an incident that a person reopened stays open.
    return settled(change, now) if ended else change


def settled(change: Change, now: datetime, why: str = "all alerts are quiet") -> Change:
    """Restore the incident when nothing of it fires and nothing speaks against believing that."""
    incident = change.incident
    if incident.firing or not incident.is_open or incident.held or incident.flapping_at is not None:
        return change
    return machine.then(change, machine.resolve(incident, TRIAGE, why, now))


def fires_again(incident: Incident, flapping: Flapping, now: datetime) -> Change:
    """A restored incident is not over. Reopened too often it flaps: that is told once, then counted."""
    change = machine.reopen(incident, TRIAGE, "it fires again", now)
    soon = incident.resolved_at is not None and now - incident.resolved_at <= flapping.within
    reopens = incident.reopens + 1 if soon else 1
    after = replace(change.incident, reopens=reopens)
    if reopens < flapping.reopens:
        return replace(change, incident=after)
    after = replace(after, flapping_at=now, settle_at=None)
    fact = Fact(
        at=now,
        kind="flapping_started",
        by=TRIAGE,
        text=f"reopened {reopens} times: it is not called restored before it is quiet for a while",
        data={"reopens": reopens},
    )
    return Change(incident=after, facts=(*change.facts, fact), effects=change.effects)


def flapped(before: Incident, change: Change, flapping: Flapping, now: datetime) -> Change:
    """While it flaps: every new quiet starts the wait for its end, every re-fire is counted."""
    after = change.incident
    if after.flapping_at is None or before.flapping_at is None:
        return change
    if after.firing == 0:
        after = replace(after, settle_at=after.settle_at or now + flapping.quiet)
    else:
        again = 1 if before.firing == 0 else 0
        after = replace(after, settle_at=None, reopens=after.reopens + again)
    return replace(change, incident=after)


def settle(incident: Incident, now: datetime) -> Change:
    """The time to settle has passed: flapping is over and restores, or a storm takes in no more."""
    if incident.flapping_at is None:
        fact = Fact(at=now, kind="storm_over", by=CLOCK, text="no new problems for a while")
        return Change(incident=replace(incident, settle_at=None), facts=(fact,))
    fact = Fact(
        at=now,
        kind="flapping_stopped",
        by=CLOCK,
        text=f"quiet again after {incident.reopens} re-fires since {incident.flapping_at:%H:%M} UTC",
        data={"reopens": incident.reopens, "since": incident.flapping_at},
    )
    after = replace(incident, flapping_at=None, settle_at=None, reopens=0)
    return settled(Change(incident=after, facts=(fact,)), now, "quiet for long enough after flapping")


def hold(incident: Incident, hidden: int, now: datetime) -> Change:
    """Its source cut alerts off: the quiet of those that are listed proves nothing."""
    if incident.held or not incident.is_open:
        return Change(incident=incident)
    text = f"the source cut {hidden} alerts off: not restored before its full list is known"
    fact = Fact(at=now, kind="held", by=TRIAGE, text=text, data={"hidden": hidden})
    return Change(incident=replace(incident, held=True), facts=(fact,))


def release(incident: Incident, now: datetime, why: str) -> Change:
    """The full list is known: what fires is known too."""
    if not incident.held:
        return Change(incident=incident)
    fact = Fact(at=now, kind="released", by=TRIAGE, text=why)
    return settled(Change(incident=replace(incident, held=False), facts=(fact,)), now, why)


def mute(change: Change, until: datetime, now: datetime) -> Change:
    """Planned maintenance: it is recorded and shown, and nobody is paged before the window ends."""
    incident = change.incident
    known = incident.muted_until is not None and incident.muted_until >= until
    after = replace(incident, round_at=None, escalate_at=None, muted_until=until)
    fact = Fact(
        at=now,
        kind="muted",
        by=TRIAGE,
        text=f"maintenance until {until:%Y-%m-%d %H:%M} UTC",
        data={"until": until},
    )
    kept = tuple(effect for effect in change.effects if effect.kind != "failover")
    return Change(incident=after, facts=change.facts if known else (*change.facts, fact), effects=kept)


def unmute(incident: Incident, now: datetime) -> Change:
    """The window is over: what is not known to be over is paged now, and its clocks start now."""
    after = replace(incident, muted_until=None)
    fact = Fact(at=now, kind="unmuted", by=CLOCK, text="maintenance is over")
    change = Change(incident=after, facts=(fact,))
    quiet = after.firing == 0 and after.flapping_at is None and not after.held
    if after.status is not Status.TRIGGERED or quiet:
        return change
    again = machine.new_round(after, now) if after.policy.steps else after
    return replace(change, incident=again)


def held_back(incident: Incident, alerts: Sequence[Alert], now: datetime) -> Change:
    """Alerts were silenced or inhibited at their source, went stale, or fire openly again."""
    by_state: dict[State, list[Alert]] = {}
    for alert in alerts:
        by_state.setdefault(alert.state, []).append(alert)
    facts = [
        members_fact(f"alerts_{state.value}", found, now, found[0].held_by)
        for state, found in by_state.items()
    ]
    return Change(incident=incident, facts=tuple(facts))


def storm_takes(incident: Incident, now: datetime) -> bool:
    """Does a new problem of this client belong to the storm?"""
    going_on = incident.settle_at is not None and incident.settle_at > now
    return incident.is_open and going_on and now - incident.opened_at < LONGEST_STORM


def members_fact(kind: str, alerts: Sequence[Alert], now: datetime, because: str = "") -> Fact:
    """One line for however many alerts; the alerts themselves are stored with the incident."""
    names = Counter(alert.name for alert in alerts)
    most = [(one_line(name, 100), count) for name, count in names.most_common(5)]
    text = ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in most)
    if len(names) > 5:
        text += f" and {len(names) - 5} other names"
    data: dict[str, object] = {"count": len(alerts)}
    if because:
        text, data = f"{text} ({because})", {**data, "because": because}
    return Fact(at=now, kind=kind, by=TRIAGE, text=text, data=data)
