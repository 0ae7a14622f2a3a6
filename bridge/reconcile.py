"""Asking Alertmanager what really fires, and repairing what we hold to be true.

Every source with an `api` is looked at every `intake.reconcile_every`, and at once when it has cut alerts
off; only one replica looks at a time. Nothing is asked inside a transaction: a look asks first, and then
decides on what is stored by then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bridge import admission, asking, placement, selfwatch, sightings
from bridge.admission import Outcome
from bridge.asking import Answers
from bridge.config.settings import SourceSettings
from bridge.hearing import FOUND, own
from bridge.model import Incident, Notification
from bridge.sightings import Findings, Sight, Terms
from bridge.store import sightings as stored
from bridge.store import sources
from bridge.store.sources import SILENT, SourceState
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

NO_PROMETHEUS = "Prometheus does not answer"
# One failed look is enough to doubt what ends now, and too little to wake somebody.
FIRST_FAILURE = "Prometheus did not answer once"
_LONGEST_BACK = timedelta(hours=1)
_AT_ONCE = 8


@dataclass(frozen=True)
class _Look:
    """One look: at which source, when, what is asked, how patiently. `fixed` is a clock that stands still."""

    bridge: Bridge
    name: str
    settings: SourceSettings
    at: datetime
    fixed: bool

    @property
    def every(self) -> timedelta:
        """The time between two looks."""
        return self.bridge.config.intake.reconcile_every

    def terms(self, before: SourceState, *, cut_off: bool) -> Terms:
        """Three quarters of the time between two looks are left to a webhook on its way, and to an end: two
        looks are never closer, and a third would break the promise of three minutes.

        What a source cut off it will not tell by webhook either: that waits for nothing.
        """
        named = self.settings.receivers or before.receivers
        patience = self.every * 3 / 4
        grace = timedelta(0) if cut_off else patience
        return Terms(grace=grace, absence=patience, receivers=frozenset(named))


@dataclass(frozen=True)
class _Found:
    """What a transaction wrote."""

    findings: Findings | None
    outcomes: Sequence[Outcome]
    restored: Sequence[Incident]


def look(bridge: Bridge, now: datetime | None = None) -> dict[str, Mapping[str, int]]:
    """Look at every source that can be asked, due or not; how much was found of which kind, by source."""
    looks = [
        _Look(bridge, name, each, now or bridge.now(), now is not None) for name, each in _askable(bridge)
    ]
    found = _look_at(looks, due_before=None)
    return {name: each.findings.outcomes if each.findings else {} for name, each in found.items()}


def look_due(bridge: Bridge) -> bool:
    """Look at sources whose time has come or that cut alerts off; was anything queued to be sent?"""
    now = bridge.now()
    # Ticks do not fall on full minutes.
    due_before = now - bridge.config.intake.reconcile_every * 11 / 12
    askable = dict(_askable(bridge))
    with bridge.database.reading() as connection:
        states = sources.states(connection)
        earliest = [state.looked_at for name in askable if (state := states.get(name)) and state.looked_at]
        cut_off = stored.cut_off(connection, min(earliest)) if earliest else {}
    looks = [
        _Look(bridge, name, settings, now, fixed=False)
        for name, settings in askable.items()
        if _due(states.get(name), due_before, cut_off.get(name))
    ]
    _show_blind(bridge, states)
    _withdraw(bridge, [state for state in states.values() if state.name not in askable])
    found = _look_at(looks, due_before)
    return any(outcome.tasks for each in found.values() for outcome in each.outcomes)


def _show_blind(bridge: Bridge, states: Mapping[str, SourceState]) -> None:
    gauge, configured = bridge.metrics.source_blind, bridge.config.sources
    for name in configured:
        gauge.labels(name).set(name in states and states[name].blind_since is not None)
    for name in states.keys() - configured.keys():
        gauge.remove(name)  # nobody could ever end the alert on a source that is gone


def _askable(bridge: Bridge) -> list[tuple[str, SourceSettings]]:
    return [
        (name, typed.settings)
        for name, typed in bridge.config.sources.items()
        if typed.type == "alertmanager" and typed.settings.apis
    ]


def _due(state: SourceState | None, due_before: datetime, cut_off_at: datetime | None) -> bool:
    if state is None or state.looked_at is None or state.looked_at <= due_before:
        return True
    return cut_off_at is not None and cut_off_at > state.looked_at


def _look_at(looks: Sequence[_Look], due_before: datetime | None) -> dict[str, _Found]:
    """All at once, so that a source that hangs delays no other."""

    def one(each: _Look) -> _Found | None:
        try:
            return _one(each, due_before)
        except Exception:
            log.exception("look broke", source=each.name)
            return None

    if not looks:
        return {}
    with ThreadPoolExecutor(min(len(looks), _AT_ONCE), thread_name_prefix="look") as pool:
        found = list(pool.map(one, looks))
    return {each.name: what for each, what in zip(looks, found, strict=True) if what is not None}


def _one(each: _Look, due_before: datetime | None) -> _Found | None:
    """Ask, decide, repair. None when another replica was first."""
    database, name = each.bridge.database, each.name
    claimed = database.run(lambda connection: _claim(connection, each, due_before))
    if claimed is None:
        return None
    before, cut_off = claimed
    terms = each.terms(before, cut_off=cut_off)
    answers = asking.ask(each.bridge.outbound, each.settings, each.at, settling=each.every * 3 / 2)
    if answers.answered:
        with database.reading() as connection:
            known = stored.known(connection, name)
            sight = answers.sight()
            over = sightings.doubtful(known, sight, terms)
            labels = stored.labels_of(connection, [episode.id for episode in over])
        missing = sightings.unknown(known, sight, terms)
        answers = asking.ask_more(each.bridge.outbound, each.settings, answers, missing, labels, terms)
    found = database.run(
        lambda connection: _repair(connection, each, before, answers, terms), serial="intake"
    )
    if answers.failures:
        log.warning("not all answered", source=name, failures=answers.failures)
    _count(each, found)
    return found


def _claim(
    connection: Connection, each: _Look, due_before: datetime | None
) -> tuple[SourceState, bool] | None:
    """The source's state before this look, and whether it has cut alerts off since it last answered."""
    before = sources.state(connection, each.name)
    since = before.answered_at or before.looked_at or each.at
    cut_off = stored.cut_off(connection, max(since, each.at - _LONGEST_BACK)).get(each.name)
    if due_before is not None and not _due(before, due_before, cut_off):
        return None
    if not sources.claim(connection, each.name, before.looked_at, each.at):
        return None
    return before, cut_off is not None


def _repair(
    connection: Connection, each: _Look, before: SourceState, answers: Answers, terms: Terms
) -> _Found:
    """One transaction: what the source can see, what was found, what became of it."""
    now = each.at if each.fixed else each.bridge.now()
    told = [_blindness(connection, each, before, answers)]
    findings = None
    restored: Sequence[Incident] = ()
    if answers.answered:
        sees = sources.state(connection, each.name).blind_since is None
        findings = _compare(connection, each.name, answers.sight(sees=sees), answers, terms)
        if findings.alerts:
            told.append(Notification(source=each.name, alerts=findings.alerts, flaws=(FOUND,)))
    waiting = [own(notification, now) for notification in told if notification is not None]
    outcomes = admission.admit(connection, waiting, each.bridge, now) if waiting else []
    if findings is not None:
        stored.mark_absent(connection, findings.absent)
        restored = placement.release_held(connection, each.bridge, each.name, now)
    return _Found(findings, outcomes, restored)


def _compare(connection: Connection, name: str, sight: Sight, answers: Answers, terms: Terms) -> Findings:
    known = stored.known(connection, name)
    missing = [listed.fingerprint for listed in sightings.unknown(known, sight, terms)]
    ended = stored.ended(connection, name, missing)
    return sightings.compare(name, known, ended, sight, terms, answers.there)


def _blindness(
    connection: Connection, each: _Look, before: SourceState, answers: Answers
) -> Notification | None:
    """Write down what the source can see; says so to people when that begins or ends for sure."""
    name, at = each.name, each.at
    known = sources.state(connection, name).causes
    if answers.answered:
        sources.answered(connection, name, at)
        sources.seeing(connection, name, SILENT)
    elif (since := _silent_since(before)) is not None and at - since >= each.every * 0.9:
        sources.blind(connection, name, SILENT, since)
    if not answers.prometheus_failure:
        sources.seeing(connection, name, FIRST_FAILURE, NO_PROMETHEUS)
    elif FIRST_FAILURE in known:
        sources.blind(connection, name, NO_PROMETHEUS, at)
        sources.seeing(connection, name, FIRST_FAILURE)
    elif NO_PROMETHEUS not in known:
        sources.blind(connection, name, FIRST_FAILURE, at)
    return _news(name, known, sources.state(connection, name).causes, answers.failures, at)


def _silent_since(before: SourceState) -> datetime | None:
    """Since when no look was answered, when the one before this was not."""
    if before.looked_at is None or before.looked_at == before.answered_at:
        return None
    return before.looked_at


def _news(
    name: str, before: Collection[str], after: Collection[str], failures: str, at: datetime
) -> Notification | None:
    told, now = ({SILENT, NO_PROMETHEUS} & set(causes) for causes in (before, after))
    if now - told:
        return _self_alert(name, f"{'; '.join(sorted(now))}: {failures}", at)
    return _self_alert(name, "it answers again", at, ends=True) if told and not now else None


def _self_alert(name: str, detail: str, at: datetime, *, ends: bool = False) -> Notification:
    detail = f"Source {name}: {detail}. What ends now is doubted until it sees again."
    return selfwatch.notification(
        "BridgeSourceBlind", f"Monitoring is blind: {name}", detail, at, name, ends=ends
    )


def _withdraw(bridge: Bridge, states: Collection[SourceState]) -> None:
    """Sources that are no longer looked at are not blind for what looks had found."""
    for state in states:
        if not {SILENT, FIRST_FAILURE, NO_PROMETHEUS}.isdisjoint(state.causes):

            def work(connection: Connection, name: str = state.name) -> list[Outcome]:
                now = bridge.now()
                if not sources.seeing(connection, name, SILENT, FIRST_FAILURE, NO_PROMETHEUS):
                    return []
                told = _self_alert(name, "it is no longer looked at", now, ends=True)
                return admission.admit(connection, [own(told, now)], bridge, now)

            admission.count(bridge, bridge.database.run(work, serial="intake"))


def _count(each: _Look, found: _Found) -> None:
    for kind, number in (found.findings.outcomes if found.findings else {}).items():
        each.bridge.metrics.reconciled.labels(each.name, kind).inc(number)
        log.info("reconciled", source=each.name, outcome=kind, alerts=number)
    admission.count(each.bridge, found.outcomes)
    for incident in found.restored:
        each.bridge.metrics.restored(incident)
