"""What Alertmanager's API lists, compared with what is stored: where the two differ, and what that means.

Pure. A webhook can be lost, and of silences, inhibitions and time-outs Alertmanager never tells by webhook:
its list is the only way to know. What fires there and is unknown here is admitted, what is gone there ends
here, but only after it was gone twice and for a while.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from bridge.model import Alert, Labels, State
from bridge.text import one_line

# The API cuts times to milliseconds, the webhook does not.
PRECISION = timedelta(milliseconds=1)
FIRES_ELSEWHERE = "Alertmanager no longer lists it, Prometheus still fires it"
PENDS_ELSEWHERE = "Alertmanager no longer lists it, Prometheus has it pending"
_LONGEST_REASON = 300
_MOST_NAMES = 3
_OUTCOMES = {
    State.FIRING: "active",
    State.SILENCED: "silenced",
    State.INHIBITED: "inhibited",
    State.STALE: "stale",
}
# A peer that lists an alert as active will notify of it, whatever the others think.
_RANK = {"active": 0, "suppressed": 1, "unprocessed": 2}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One of our episodes that has not ended. `absent_since`: looks have not seen it listed since then."""

    id: int
    fingerprint: str
    starts_at: datetime
    standing: State
    held_by: str
    absent_since: datetime | None
    last_seen: datetime


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The latest episode of a series of which none fires. `inferred`: nobody told its end."""

    starts_at: datetime
    inferred: bool
    last_seen: datetime


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of the API's list. `unprocessed`: Alertmanager itself has not decided yet."""

    fingerprint: str
    starts_at: datetime
    state: Literal["active", "suppressed", "unprocessed"]
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    link: str = ""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence, as the person who made it described it."""

    id: str
    by: str
    until: datetime
    comment: str


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How patient a comparison is, and whose alerts count.

    Unknown alerts younger than `grace` are left to the webhook on its way. What is not listed ends after
    `absence`, and an end told less than that ago stands against the list. Only alerts routed to one of
    `receivers` are admitted; none given means all.
    """

    grace: timedelta
    absence: timedelta
    receivers: frozenset[str] = frozenset()


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What one look saw. `whole`: an alert that is not listed is really gone.

    A list that is only `young`, because Alertmanager has just started, lets absence be noted; nothing
    follows from it before the list is whole.
    """

    at: datetime
    listed: Mapping[str, Listed]
    silences: Mapping[str, Silence] = {}
    whole: bool = True
    young: bool = False


class Findings(msgspec.Struct, frozen=True):
    """What to admit, how many of which kind, and since when episodes are absent (None: listed again)."""

    alerts: tuple[Alert, ...]
    outcomes: Mapping[str, int]
    absent: Mapping[int, datetime | None]


def union(answers: Iterable[Iterable[Listed]]) -> dict[str, Listed]:
    """What the peers of an HA source list together, by fingerprint."""
    found: dict[str, Listed] = {}
    for listed in (each for answer in answers for each in answer):
        before = found.get(listed.fingerprint)
        if before is None or _order(listed) < _order(before):
            found[listed.fingerprint] = listed
    return found


def unknown(known: Iterable[Known], sight: Sight, terms: Terms) -> list[Listed]:
    """What fires there, is routed to us, is old enough to have been told, and is not firing here."""
    starts = {episode.fingerprint: episode.starts_at for episode in known}
    return [
        listed
        for fingerprint, listed in sight.listed.items()
        if listed.state == "active"
        and listed.starts_at <= sight.at - terms.grace
        and (not terms.receivers or not terms.receivers.isdisjoint(listed.receivers))
        and (fingerprint not in starts or _later(listed, starts[fingerprint]))
    ]


def doubtful(known: Iterable[Known], sight: Sight, terms: Terms) -> list[Known]:
    """Episodes gone for so long that they are over, unless somebody knows better."""
    return [
        episode
        for episode in known
        if sight.whole
        and episode.fingerprint not in sight.listed
        and (since := _absent_since(episode, sight)) is not None
        and since < sight.at
        and sight.at - since >= terms.absence
    ]


def elsewhere(ours: Mapping[int, Labels], there: Iterable[tuple[Labels, str]]) -> dict[int, str]:
    """The state ("firing", "pending" or "") that Prometheus' own list gives our episodes, by id.

    Alertmanager's alerts carry Prometheus' external labels in addition, so all of Prometheus' labels must
    be ours and not the other way round.
    """
    # Storms are thousands of alerts with the same few label names: each is one look-up by its values.
    by_names: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}
    for labels, state in there:
        names = tuple(sorted(labels))
        states = by_names.setdefault(names, {})
        values = tuple(labels[name] for name in names)
        states[values] = min(state, states.get(values, state))  # "firing" counts before "pending"
    found: dict[int, str] = {}
    for number, labels in ours.items():
        same = (states.get(tuple(labels.get(n, "") for n in names)) for names, states in by_names.items())
        found[number] = min(filter(None, same), default="")
    return found


def compare(
    source: str,
    known: Sequence[Known],
    ended: Mapping[str, Ended],
    sight: Sight,
    terms: Terms,
    there: Mapping[int, str] | None = None,
) -> Findings:
    """Where list and store differ.

    `ended` is the latest ended episode of each series that `unknown` names. `there` is what Prometheus said
    of the `doubtful`, None when there is no Prometheus to ask; what it was not asked about can wait.
    """
    alerts: list[Alert] = []
    outcomes: Counter[str] = Counter()
    absent: dict[int, datetime | None] = {}
    over = {episode.id for episode in doubtful(known, sight, terms)}
    for episode in known:
        listed = sight.listed.get(episode.fingerprint)
        since = None if listed else _absent_since(episode, sight)
        alert: Alert | None = None
        if listed is not None:
            alert = _standing(source, episode, listed, sight)
        elif episode.id in over:
            alert = _gone(source, episode, sight, there)
        if alert is not None:
            alerts.append(alert)
            outcomes["missed_end" if alert.ends_at else _OUTCOMES[alert.standing]] += 1
            if alert.ends_at is None and since is not None:
                absent[episode.id] = since  # writing what was heard of it clears this mark
        elif since != episode.absent_since:
            absent[episode.id] = since
    for listed in unknown(known, sight, terms):
        start, outcome = _start(listed, ended.get(listed.fingerprint), sight, terms)
        if start is not None:
            alerts.append(_new(source, listed, start))
            outcomes[outcome] += 1
    return Findings(tuple(alerts), outcomes, absent)


def _order(listed: Listed) -> tuple[int, datetime]:
    return _RANK[listed.state], listed.starts_at


def _later(listed: Listed, start: datetime) -> bool:
    """Is it another firing than the one that began at `start`?

    An earlier start is the same firing: Alertmanager keeps the earliest it was told.
    """
    return listed.starts_at > start + PRECISION


def _absent_since(episode: Known, sight: Sight) -> datetime | None:
    """Since when it is not listed; None when nothing follows from that."""
    if not (sight.whole or sight.young) or episode.last_seen > sight.at:
        return None
    since = episode.absent_since
    if since is None or (episode.standing is State.FIRING and episode.last_seen > since):
        return sight.at
    return since


def _standing(source: str, episode: Known, listed: Listed, sight: Sight) -> Alert | None:
    """What the list says of a known episode, when that is news."""
    if listed.state == "unprocessed":
        return None
    standing, held_by = State.FIRING, ""
    if listed.state == "suppressed" and listed.silenced_by:
        standing, held_by = State.SILENCED, _silenced(listed, episode, sight)
    elif listed.state == "suppressed" and listed.inhibited_by:
        standing, held_by = State.INHIBITED, _inhibited(listed, sight)
    elif listed.state == "suppressed":
        standing, held_by = State.SILENCED, f"muted: {_names(listed.muted_by) or 'nobody says by what'}"
    if (standing, held_by) == (episode.standing, episode.held_by):
        return None
    alert = _new(source, listed, episode.starts_at)
    return replace(alert, standing=standing, held_by=held_by)


def _gone(source: str, episode: Known, sight: Sight, there: Mapping[int, str] | None) -> Alert | None:
    """What became of an episode that Alertmanager no longer knows."""
    state = "" if there is None else there.get(episode.id)
    if state is None:
        return None
    alert = Alert(source=source, fingerprint=episode.fingerprint, starts_at=episode.starts_at)
    if not state:
        return replace(alert, ends_at=sight.at, presumed=True)
    why = FIRES_ELSEWHERE if state == "firing" else PENDS_ELSEWHERE
    same = (episode.standing, episode.held_by) == (State.STALE, why)
    return None if same else replace(alert, standing=State.STALE, held_by=why)


def _silenced(listed: Listed, episode: Known, sight: Sight) -> str:
    """The silence that lasts longest, in the words of who made it."""
    described = [sight.silences[name] for name in listed.silenced_by if name in sight.silences]
    if not described:
        plain = one_line(f"silence {min(listed.silenced_by)}", _LONGEST_REASON)
        return episode.held_by if episode.held_by.startswith(plain) else plain
    silence = max(described, key=lambda each: (each.until, each.id))
    until = f"{silence.until:%Y-%m-%d %H:%M} UTC"
    text = f"silence {silence.id} by {silence.by} until {until}: {silence.comment}"
    return one_line(text, _LONGEST_REASON)


def _inhibited(listed: Listed, sight: Sight) -> str:
    names = {
        other.labels.get("alertname") or fingerprint
        for fingerprint in listed.inhibited_by
        if (other := sight.listed.get(fingerprint)) is not None
    }
    return one_line(f"inhibited by {_names(names or listed.inhibited_by)}", _LONGEST_REASON)


def _names(names: Iterable[str]) -> str:
    """A few names in a fixed order, so that the same reason is the same text at every look."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _MOST_NAMES} more" if len(ordered) > _MOST_NAMES else ""
    return ", ".join(one_line(name, 60) for name in ordered[:_MOST_NAMES]) + more


def _start(listed: Listed, ended: Ended | None, sight: Sight, terms: Terms) -> tuple[datetime | None, str]:
    """When the firing began that we do not know of, and what kind of mistake that was.

    The list may show a start whose end was told: Prometheus lost Alertmanager for a while and is back, or
    one peer of a pair timed it out alone. That is a firing of its own, since its first is over for good.
    """
    if ended is None or _later(listed, ended.starts_at):
        return listed.starts_at, "missed_firing"
    if ended.inferred:
        return ended.starts_at, "false_end"
    settled = ended.last_seen <= sight.at - terms.absence
    return (sight.at if settled else None), "false_end"


def _new(source: str, listed: Listed, starts_at: datetime) -> Alert:
    return Alert(
        source=source,
        fingerprint=listed.fingerprint,
        starts_at=starts_at,
        labels=listed.labels,
        annotations=listed.annotations,
        link=listed.link,
    )
