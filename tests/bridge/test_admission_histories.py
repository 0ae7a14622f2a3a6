"""Whatever is told, done and waited for in whatever order: what is stored makes sense, nothing is lost."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace
from sqlalchemy import event

from bridge import heartbeats, maintenance, operations, placement, upkeep
from bridge.admission import Outcome, admit
from bridge.config import Config
from bridge.hearing import FOUND, Waiting
from bridge.incident import NotAllowed
from bridge.model import Alert, Notification, Priority, State
from bridge.store import sources
from bridge.wiring import read_config, wire
from tests.conftest import START, Clock
from tests.laws import LAWS, Look, look
from tests.stories import LI
from tests.tellings import Series, Tellings

CONFIG = """
url: https://bridge.test
database: sqlite:///none.db
sources:
  main: {type: alertmanager, token: a, api: "http://127.0.0.1:9"}
  second: {type: alertmanager, token: b}
  duty: {type: pagerduty, token: c}
  pulse: {type: heartbeat, token: d, every: 5m, watches: main, match: ['alertname="Alive"']}
clients: {acme: {name: Acme}, nord: {name: Nord}}
services: {db: {}, orders: {depends_on: [db]}, web: {}}
priorities: {P1: {respond: 10m, restore: 1h}, P2: {plan: 24h}, P3: {page: false}}
triage: [triage.yml]
responders: {li: {name: Li, channels: [chat]}, han: {name: Han, channels: [chat]}}
policies:
  page: {repeat: 1, steps: [{after: 0m, notify: [li]}, {after: 5m, notify: [han]}]}
  slow: {steps: [{after: 2m, notify: [li]}]}
channels: {chat: {type: console}}
intake: {storm: {incidents: 3, within: 1m}, flapping: {reopens: 2}}
"""
TRIAGE = """
- {name: hosts, match: ['service="hosts"'], priority: P2, policy: slow, incident_by: [client, instance]}
- {name: worst, match: ['severity="critical"'], priority: P1, incident_by: [client, service]}
- {name: bad, match: ['severity="warning"'], priority: P2, policy: slow, incident_by: [client, service]}
- {name: rest, incident_by: [client, service]}
"""
SERIES = {
    "main": [
        "Down acme db warning a",
        "Down acme db critical b",
        "Fail acme orders critical a",
        "Slow acme orders info a",
        "Down nord db info a",
        "Fail nord orders critical a",
        "Down - db critical shared",
        "Alive acme web info a",
        *(f"NodeDown acme hosts warning n{number}" for number in range(5)),
    ],
    "second": ["Down acme db critical a", "Slow acme web warning a", "Slow acme web critical b"],
    "duty": ["Call acme web warning a", "Call nord orders critical a"],
}
HOW = [
    "new",
    "new",
    "new",
    "again",
    "ends",
    "ends",
    "ends",
    "is over",
    "was earlier",
    "gone",
    "gone",
    "back",
    "back",
]
HELD = ["silenced", "inhibited", "stale", "active"]
TICKS = ["settle_due", "unmute_due", "take_due_steps", "tell_due_clocks"]
tellings = st.tuples(st.integers(0, 99), st.sampled_from(HOW + HELD), st.integers(0, 3))
one_delivery = st.tuples(
    st.sampled_from(["main", "main", "second", "duty"]),
    st.lists(tellings, min_size=1, max_size=4),
    st.sampled_from(["", "", "", "", "", "hidden", "unread", "taken"]),
)
some_incident = st.integers(0, 99)


class Histories(RuleBasedStateMachine):
    """One bridge on a database of its own; each rule is what one delivery, tick or person does."""

    def __init__(self, config: Config, template: Path, folder: Path) -> None:
        super().__init__()
        self.file = folder / f"{next(_numbers)}.db"
        shutil.copy(template, self.file)
        self.clock = Clock()
        self.bridge = wire(dataclasses.replace(config, database=f"sqlite:///{self.file}"), now=self.clock)
        event.listen(self.bridge.database.engine, "connect", _hurry)
        self.tellings = Tellings()
        self.before = self.after = Look(now=START)
        heartbeats.expect(self.bridge)
        self.series = SERIES

    @initialize(size=st.sampled_from([1, 2, 3, 99]), first=st.integers(0, 99))
    def a_small_world_has_more_coincidences(self, size: int, first: int) -> None:
        for source, marks in SERIES.items():
            turned = [*marks[first % len(marks) :], *marks[: first % len(marks)]]
            self.series = {**self.series, source: turned[:size]}

    def teardown(self) -> None:
        self.bridge.database.engine.dispose()
        for file in self.file.parent.glob(f"{self.file.name}*"):
            file.unlink()

    @invariant()
    def everything_makes_sense(self) -> None:
        with self.bridge.database.reading() as connection:
            self.before, self.after = self.after, look(connection, self.clock())
        for law in LAWS:
            law(self.before, self.after)
        stored = {
            key: (row.ends_at, row.inferred, row.state)
            for key, row in self.after.alerts.items()
            if key[0] in SERIES
        }
        assert stored == self.tellings.truth()

    # What sources tell

    @rule(told=st.lists(one_delivery, min_size=2, max_size=2), found=st.booleans())
    def deliver(self, told: list[Any], found: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        now = self.clock.forward(milliseconds=1)
        waiting = [self.waiting(*one, now, (FOUND,) if found else ()) for one in told]
        outcomes = self.bridge.database.run(lambda c: admit(c, waiting, self.bridge, now), serial="intake")
        with self.bridge.database.reading() as connection:
            stored = look(connection, now)
        for one, outcome in zip(waiting, outcomes, strict=True):
            self.check(one, outcome, stored)

    @rule(source=st.sampled_from(sorted(SERIES)), which=st.integers(0, 99), times=st.integers(1, 3))
    def one_comes_and_goes(self, source: str, which: int, times: int) -> None:
        for _ in range(times):
            self.clock.forward(seconds=20)
            for how in ("new", "ends"):
                self.deliver([(source, [(which, how, 0)], "")], found=False)
                self.everything_makes_sense()

    def waiting(
        self, source: str, told: list[Any], oddity: str, now: datetime, flaws: tuple[str, ...]
    ) -> Waiting:
        alerts = [alert for one in told if (alert := self.alert(source, *one, now)) is not None]
        notification = Notification(
            source=source,
            alerts=tuple(alerts),
            hidden=7 if oddity == "hidden" else 0,
            unread=("{",) if oddity == "unread" else (),
            taken=tuple({alert.fingerprint for alert in alerts}) if oddity == "taken" else (),
            flaws=flaws,
        )
        return Waiting(f"trace{next(_numbers)}", notification, now, 1, "")

    def alert(self, source: str, which: int, how: str, minutes: int, now: datetime) -> Alert | None:
        """What is told now of one of the source's series; None when there is no such thing to tell."""
        marks = [mark for mark in self.series[source] if self.may_be(how, (source, mark))]
        if not marks:
            return None
        mark = marks[which % len(marks)]
        fires = self.tellings.fires((source, mark))
        names = ("alertname", "client", "service", "severity", "instance")
        labels = {name: text for name, text in zip(names, mark.split(), strict=True) if text != "-"}
        past = now - timedelta(minutes=minutes)
        known = sorted(self.tellings.series.get((source, mark), {}), reverse=True)
        alert = Alert(source=source, fingerprint=mark, starts_at=past, labels=labels)
        if source == "duty":
            over = how in ("ends", "is over", "gone", "silenced")
            alert = replace(alert, starts_at=now, undated=True, ends_at=now if over else None)
        elif how == "is over":
            alert = replace(alert, ends_at=past + timedelta(seconds=30 * minutes))
        elif how == "was earlier":
            alert = replace(alert, starts_at=now - timedelta(minutes=20 + minutes))
        elif how in ("again", "ends", "back"):
            start = known[min(minutes // 2, len(known) - 1)] if known else past
            alert = replace(alert, starts_at=start, ends_at=max(start, past) if how == "ends" else None)
        elif fires is not None and how != "new":
            alert = replace(alert, starts_at=fires, held_by=f"{how} for a test" if how != "active" else "")
            if how == "gone":
                alert = replace(alert, ends_at=max(past, fires), presumed=True)
            elif how != "active":
                alert = replace(alert, standing=State(how))
        since = self.doubted.get(source)
        late = since is not None and alert.ends_at is not None and alert.ends_at >= since - 5 * MINUTE
        self.tellings.hear(alert, doubted=late)
        return alert

    def may_be(self, how: str, series: Series) -> bool:
        """Is this something to tell of a series?"""
        if how == "back":
            latest = self.tellings.latest(series)
            return latest is not None and self.tellings.series[series][latest].gone is not None
        return how not in ("gone", *HELD) or self.tellings.fires(series) is not None

    def check(self, one: Waiting, outcome: Outcome, stored: Look) -> None:
        """The delivery's own row counts what was new and names where its alerts went."""
        row = stored.deliveries[one.trace]
        began = [e for e in stored.alerts.values() if (e.delivery, e.source) == (row.id, row.source)]
        assert row.new == outcome.new == len(began)
        starts = {(alert.source, alert.fingerprint, alert.starts_at) for alert in one.notification.alerts}
        went = {stored.alerts[key].incident for key in starts & stored.alerts.keys()}
        assert went <= set(row.incidents), (went, row.incidents)
        for key in starts & self.after.alerts.keys():
            before, now = self.after.alerts[key], stored.alerts[key]
            if row.hidden and before.ends_at is None and now.ends_at is not None:
                earlier, incident = self.after.incidents[now.incident], stored.incidents[now.incident]
                assert incident.is_open is earlier.is_open, f"{incident.name}: its list was cut off"

    @property
    def doubted(self) -> dict[str, datetime]:
        with self.bridge.database.reading() as connection:
            states = sources.states(connection).values()
        return {state.name: state.doubted_since for state in states if state.doubted_since}

    @rule(told=one_delivery, found=st.booleans())
    def deliver_one(self, told: Any, found: bool) -> None:  # noqa: FBT001
        self.deliver([told], found)

    @rule(
        source=st.sampled_from(sorted(SERIES)), why=st.sampled_from(["", "", "no Prometheus", sources.SILENT])
    )
    def it_goes_blind_or_sees(self, source: str, why: str) -> None:
        if why:
            self.bridge.database.run(lambda c: sources.blind(c, source, why, self.clock()))
        else:
            self.bridge.database.run(lambda c: sources.seeing(c, source, "no Prometheus", sources.SILENT))
            self.a_heart_beats()

    @precondition(lambda self: any(incident.held for incident in self.after.incidents.values()))
    @rule(source=st.sampled_from(["main", "second"]))
    def its_full_list_is_known(self, source: str) -> None:
        self.bridge.database.run(lambda c: placement.release_held(c, self.bridge, source, self.clock()))

    def a_heart_beats(self) -> None:
        now = self.clock()
        beat = Notification(source="pulse", alerts=(), beats=("pulse",))
        told = [Waiting(f"trace{next(_numbers)}", beat, now, 1, "")]
        self.bridge.database.run(lambda c: admit(c, told, self.bridge, now), serial="intake")

    # Time passes

    @rule(seconds=st.sampled_from([1, 30, 61, 300, 700, 1900]), ticks=st.just([]) | st.permutations(TICKS))
    def time_passes(self, seconds: int, ticks: list[str]) -> None:
        self.clock.forward(seconds=seconds)
        for name in ticks:
            getattr(operations, name)(self.bridge)
        if ticks:
            heartbeats.tell_late(self.bridge)

    # What people do

    @precondition(lambda self: self.after.incidents)
    @rule(
        which=some_incident,
        verb=st.sampled_from(["acknowledge", "resolve", "resolve", "close", "reopen", "escalate"]),
    )
    def somebody_acts(self, which: int, verb: str) -> None:
        number = self.number(which)
        words = () if verb == "acknowledge" else ("words",)
        undated = [
            key[:2]
            for key, row in self.after.alerts.items()
            if row.incident == number and row.undated and row.ends_at is None and key[0] in SERIES
        ]
        if self.allowed(lambda: getattr(operations, verb)(self.bridge, number, LI, *words)) and verb in (
            "resolve",
            "close",
        ):
            for series in undated:
                self.tellings.over(series, self.clock())

    @precondition(lambda self: self.after.incidents)
    @rule(which=some_incident, priority=st.sampled_from(["P1", "P2", "P3"]))
    def somebody_judges(self, which: int, priority: str) -> None:
        number = self.number(which)
        self.allowed(
            lambda: operations.set_priority(self.bridge, number, LI, Priority(priority), "it is like that")
        )

    def number(self, which: int) -> int:
        """One of the incidents there are."""
        return which % len(self.after.incidents) + 1

    def allowed(self, act: Any) -> bool:
        """Nothing but NotAllowed may stand against it."""
        try:
            act()
        except NotAllowed:
            return False
        return True

    @rule(
        client=st.sampled_from(["", "acme"]),
        match=st.sampled_from(['service="web"', 'severity="critical"', 'instance="a"', 'service=~".*"']),
        minutes=st.sampled_from([0, 0, 0, 5]),
        length=st.sampled_from([600, 3600]),
    )
    def somebody_plans_maintenance(self, client: str, match: str, minutes: int, length: int) -> None:
        now = self.clock()
        window = maintenance.made(
            name="works",
            client=client,
            match=[match],
            starts_at=(now + timedelta(minutes=minutes)).isoformat(),
            seconds=length,
            rrule="",
            time_zone="UTC",
            reason="",
            by="li",
            now=now,
        )
        upkeep.plan(self.bridge, window)

    @precondition(lambda self: self.after.windows)
    @rule(which=some_incident)
    def somebody_cancels_maintenance(self, which: int) -> None:
        upkeep.cancel(self.bridge, self.after.windows[which % len(self.after.windows)].id, LI)


MINUTE = timedelta(minutes=1)
_numbers = itertools.count()


def _hurry(connection: Any, _: Any) -> None:
    """Power cuts are no part of these histories."""
    connection.execute("PRAGMA synchronous=OFF")


def test_everything_makes_sense_after_whatever_happens(_sqlite_template: Path, tmp_path: Path) -> None:
    (tmp_path / "triage.yml").write_text(TRIAGE)
    file = tmp_path / "bridge.yml"
    file.write_text(CONFIG)
    config = read_config(file)
    run_state_machine_as_test(
        lambda: Histories(config, _sqlite_template, tmp_path),
        settings=settings(
            max_examples=int(os.environ.get("HISTORIES", "60")),
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
