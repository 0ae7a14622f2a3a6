"""The story of a bridge that cannot store anything for a while, told by a real Alertmanager.

Which configuration of Alertmanager loses no alert, however short, over an outage of ours:

- `group_wait` is shorter than the shortest alert. What ends inside it is never told to anybody.
- `group_by: ['...']`: every alert is its own group. A body that is being repeated never changes, so an
  alert that joins a group meanwhile waits until that body is through.
- `group_interval` is also how long one notification is repeated. An alert that has ended when this time is
  over is never told again. The pauses between two tries grow to 90 s (60 s and a half), so the interval
  must be the outage and 90 s more: 7m for five minutes. In a short outage the pauses are still
  short: 30s is enough for ten seconds.
- An end is told at the next `group_interval`, which is late with a long one. So two routes tell everything
  to us: one with a short interval, for quick ends, and one with a long interval, that keeps trying. We
  count what both tell only once.

Alertmanager repeats 5xx and network errors only. All of it holds because we answer 503.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.servers.alertmanager import Alertmanager, Firing, Teller, firing
from tests.servers.opsbridge import Opsbridge
from tests.servers.waiting import wait_for

Outage = Callable[[], AbstractContextManager[Any]]
_REFUSED = re.compile(r"receiver=(?P<receiver>[\w-]+) .*unexpected status code (?P<status>\d+)")


@dataclass(frozen=True)
class Plan:
    """An alert's start and length in seconds; starts count from the beginning of the outage.

    `fires_for`: it fires already so long when its Alertmanager hears of it.
    """

    name: str
    starts: float
    length: float
    fires_for: float = 0.0


@dataclass
class Story:
    """What happened: the alerts as their origin knows them."""

    alertmanager: Alertmanager
    bridges: Mapping[str, Opsbridge]
    alerts: dict[str, Firing] = field(default_factory=dict)
    over_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def fire(self, teller: Teller, plan: Plan) -> None:
        starts_at = datetime.now(UTC) - timedelta(seconds=plan.fires_for)
        self.alerts[plan.name] = teller.say(firing(plan.name, starts_at))

    def end(self, teller: Teller, plan: Plan) -> None:
        self.alerts[plan.name] = teller.say(self.alerts[plan.name].ended())

    def is_over(self) -> None:
        self.over_at = datetime.now(UTC)


def configuration(bridges: Mapping[str, Opsbridge], keeps_trying: str) -> dict[str, Any]:
    """Alertmanager's configuration as described above, for each of several bridges."""
    routes, receivers = [], []
    for name, bridge in bridges.items():
        for receiver, interval in ((f"{name}-quick", "10s"), (f"{name}-keeps-trying", keeps_trying)):
            routes.append({"receiver": receiver, "group_interval": interval, "continue": True})
            receivers.append({"name": receiver, "webhook_configs": [bridge.webhook()]})
    first = {"receiver": receivers[0]["name"], "group_by": ["..."], "group_wait": "1s"}
    return {"route": {**first, "routes": routes}, "receivers": receivers}


def alerts_around(seconds: float) -> list[Plan]:
    """Short and long alerts that begin before, in and after an outage of this length."""
    return [
        Plan("FiresBefore", -3, seconds + 6),
        Plan("EndsInside", -3, 6),
        Plan("BeginsWithIt", -0.3, 6),
        Plan("FiredForTenMinutes", 1, seconds + 3, fires_for=600),
        Plan("ShortInside", seconds * 0.3, 6),
        Plan("LongerInside", seconds * 0.5, seconds),
        Plan("LastSecondsInside", seconds - 3, 6),
        Plan("ShortAfter", seconds + 2, 6),
    ]


def play(folder: Path, outages: Mapping[str, tuple[Opsbridge, Outage]], plans: list[Plan], *,
         seconds: float, keeps_trying: str, port: int = 0) -> Story:  # fmt: skip
    """Let every bridge refuse for so many seconds while these alerts fire and end.

    A bridge that is to ask Alertmanager must know its `port`.
    """
    bridges = {name: bridge for name, (bridge, _) in outages.items()}
    config = configuration(bridges, keeps_trying)
    made = Alertmanager(folder / "alertmanager", config, port=port)
    with made as alertmanager, Teller(alertmanager) as teller:
        story = Story(alertmanager, bridges)
        outage = ExitStack()
        begin = [begin for _, begin in outages.values()]
        events: list[tuple[float, Callable[[], Any]]] = [
            (0.0, lambda: [outage.enter_context(one()) for one in begin]),
            (seconds, lambda: (story.is_over(), outage.close())),
        ]
        for plan in plans:
            events.append((plan.starts, lambda plan=plan: story.fire(teller, plan)))
            events.append((plan.starts + plan.length, lambda plan=plan: story.end(teller, plan)))
        events.sort(key=lambda event: event[0])
        with outage:
            begun = time.monotonic() - events[0][0]
            for at, act in events:
                time.sleep(max(0.0, begun + at - time.monotonic()))
                act()
        for bridge in bridges.values():
            wait_for_all(story, bridge)
    return story


def wait_for_all(story: Story, bridge: Opsbridge) -> None:
    """Wait until this bridge knows start and end of every alert and has told everybody."""
    programs = (bridge.program, story.alertmanager.program)
    for name in story.alerts:
        wait_for(lambda name=name: bridge.episodes(name), f"the alert {name}", 120, *programs)
    for name in story.alerts:
        wait_for(lambda name=name: ended(bridge, name), f"the end of {name}", 480, *programs)


def ended(bridge: Opsbridge, name: str) -> bool:
    """It has ended and its people know."""
    opened = bridge.incidents(name)
    return (
        all(episode["state"] == "resolved" for episode in bridge.episodes(name))
        and bool(opened)
        and all(bridge.told(incident["number"])["resolved"] for incident in opened)
    )


def answers(story: Story, name: str) -> Counter[str]:
    """What this bridge answered instead of yes, as Alertmanager wrote it down."""
    log = story.alertmanager.program.log.read_text()
    return Counter(
        found["status"] for found in _REFUSED.finditer(log) if found["receiver"].startswith(f"{name}-")
    )


def check(story: Story, name: str, *, asks: bool = False) -> None:
    """Nothing is lost, nothing is doubled, nothing was stored during the outage.

    Starts are known to the millisecond, as in Alertmanager's own list. A bridge that also asks
    Alertmanager may know an end only from when it saw it.
    """
    cut, late_by = timedelta(milliseconds=1), timedelta(minutes=5 if asks else 0)
    bridge = story.bridges[name]
    [late] = bridge.incidents("BeginsWithIt")
    assert datetime.fromisoformat(late["opened_at"]) >= story.over_at, "the outage must be real"
    for alert in story.alerts.values():
        told = alert.labels["alertname"]
        [episode] = bridge.episodes(told)
        starts_at, ends_at = (datetime.fromisoformat(episode[name]) for name in ("starts_at", "ends_at"))
        assert alert.starts_at - cut <= starts_at <= alert.starts_at, told
        assert alert.ends_at - cut <= ends_at <= alert.ends_at + late_by, told
        [incident] = bridge.incidents(told)
        reasons = bridge.told(incident["number"])
        assert (reasons["page"], reasons["resolved"]) == (1, 1), (told, reasons)
