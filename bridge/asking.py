"""What a look asks of the outside, before any transaction: every peer of a source, and its Prometheus."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec.structs

from bridge import alertmanager, prometheus, sightings
from bridge.config.settings import SourceSettings
from bridge.delivery import DeliveryError, Outbound
from bridge.model import Labels
from bridge.prometheus import PrometheusError
from bridge.sightings import Listed, Sight, Silence, Terms


@dataclass(frozen=True)
class Answers:
    """What was said. `failures` tells who did not answer and why, `prometheus_failure` is its part.

    `settled`: an alert that nobody lists is really gone, because one of those who answered has run for long
    enough to know all. `there` is what Prometheus said of episodes, by id; None where nobody can be asked.
    """

    at: datetime
    answering: tuple[str, ...]
    listed: Mapping[str, Listed]
    silences: Mapping[str, Silence]
    settled: bool
    failures: str = ""
    prometheus_failure: str = ""
    there: Mapping[int, str] | None = None

    @property
    def answered(self) -> bool:
        """At least one Alertmanager did."""
        return bool(self.answering)

    def sight(self, *, sees: bool = True) -> Sight:
        """What can be compared. A source that does not see proves no absence."""
        return Sight(
            at=self.at,
            listed=self.listed,
            silences=self.silences,
            whole=self.settled and sees,
            young=sees and not self.settled,
        )


@dataclass(frozen=True)
class _Peer:
    address: str
    listed: tuple[Listed, ...] = ()
    silences: Mapping[str, Silence] = field(default_factory=dict)
    started_at: datetime | None = None
    failure: str = ""


def ask(outbound: Outbound, settings: SourceSettings, at: datetime, settling: timedelta) -> Answers:
    """Every peer's list at once. Alertmanager keeps no alerts over a restart: `settling` is how long it is
    given to hear of all of them again."""
    with ThreadPoolExecutor(len(settings.apis) + 1, thread_name_prefix="ask") as pool:
        pulse = pool.submit(_pulse, outbound, settings.prometheus)
        peers = list(pool.map(lambda address: _peer(outbound, address), settings.apis))
        prometheus_failure = pulse.result()
    there = [peer for peer in peers if not peer.failure]
    silences = {name: silence for peer in there for name, silence in peer.silences.items()}
    failures = [peer.failure for peer in peers if peer.failure]
    return Answers(
        at=at,
        answering=tuple(peer.address for peer in there),
        listed=sightings.union(peer.listed for peer in there),
        silences=silences,
        settled=any(peer.started_at is None or at - peer.started_at >= settling for peer in there),
        failures="; ".join([*failures, prometheus_failure] if prometheus_failure else failures),
        prometheus_failure=prometheus_failure,
        there={} if settings.prometheus else None,
    )


def ask_more(
    outbound: Outbound,
    settings: SourceSettings,
    answers: Answers,
    missing: Collection[Listed],
    over: Mapping[int, Labels],
    terms: Terms,
) -> Answers:
    """What only matters now and then: is a missed alert muted, does Prometheus still fire what is gone?"""
    if missing:
        answers = replace(answers, listed=_with_muted(outbound, answers, missing, terms))
    if over and settings.prometheus and not answers.prometheus_failure:
        try:
            alerts = prometheus.alerts(outbound, settings.prometheus)
        except PrometheusError as error:
            # A store that has no rules has no such list; any other trouble is asked about at the next look.
            return answers if error.retry else replace(answers, there=None)
        return replace(answers, there=sightings.elsewhere(over, alerts))
    return answers


def _pulse(outbound: Outbound, address: str) -> str:
    """Why Prometheus cannot be believed to watch; empty when it answers or there is none."""
    if not address:
        return ""
    try:
        prometheus.alive(outbound, address)
    except PrometheusError as error:
        return f"Prometheus {urlsplit(address).hostname}: {error}"
    return ""


def _peer(outbound: Outbound, address: str) -> _Peer:
    try:
        listed = alertmanager.alerts(outbound, address)
    except DeliveryError as error:
        return _Peer(address, failure=f"Alertmanager {urlsplit(address).hostname}: {error}")
    started_at: datetime | None = None
    silences: Mapping[str, Silence] = {}
    try:
        started_at = alertmanager.started_at(outbound, address)
        if any(alert.silenced_by for alert in listed):
            silences = alertmanager.silences(outbound, address)
    except DeliveryError:
        pass  # the list is what counts; these two only explain it
    return _Peer(address, listed, silences, started_at)


def _with_muted(
    outbound: Outbound, answers: Answers, missing: Collection[Listed], terms: Terms
) -> Mapping[str, Listed]:
    try:
        muted = alertmanager.muted(outbound, answers.answering[0], terms.receivers)
    except DeliveryError:
        return answers.listed
    marked = {
        alert.fingerprint: msgspec.structs.replace(
            alert, state="suppressed", muted_by=muted[alert.fingerprint]
        )
        for alert in missing
        if alert.fingerprint in muted
    }
    return {**answers.listed, **marked}
