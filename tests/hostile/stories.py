"""Alerts that carry a hostile text wherever an alert can carry text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.store import history, incidents
from bridge.text import storable
from tests.hostile.bodies import webhook
from tests.hostile.routes import ROUTES
from tests.hostile.site import Left, Site

NEIGHBOURS = 20


@dataclass(frozen=True)
class Case:
    """One alert with the text in it; `number` is its label `case`, which gives it an incident of its own."""

    text: str
    number: int
    alert: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """The labels as they must be stored."""
        return {storable(name): storable(value) for name, value in self.alert["labels"].items()}

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations as they must be stored."""
        return {storable(name): storable(value) for name, value in self.alert["annotations"].items()}


def everywhere(text: str, number: int, started: str) -> Case:
    """A well-named alert of a client that says the text in every place that people read."""
    labels = {"alertname": "Hostile", "case": str(number), "client": "acme", "service": text, "region": text}
    notes = {"summary": text, "summary_zh": text, "description": text, "runbook_url": text, text: text}
    return _case(text, number, labels | {"severity": text, text: "the name"}, notes, text, started)


def nameless(text: str, number: int, started: str) -> Case:
    """An alert whose name, client, priority and service are the text, and which says nothing else."""
    labels = {"alertname": text, "case": str(number), "client": text, "service": text, "priority": text}
    return _case(text, number, labels, {}, "", started)


def _case(
    text: str, number: int, labels: dict[str, str], notes: dict[str, str], link: str, started: str
) -> Case:
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": notes,
        "startsAt": started,
        "generatorURL": link,
        "fingerprint": f"{number:016x}",
    }
    return Case(text, number, alert)


def neighbour(number: int, started: str) -> dict[str, Any]:
    labels = {"alertname": f"Neighbour{number}", "client": "nord", "service": f"service {number}"}
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "fine"},
        "startsAt": started,
        "fingerprint": f"{number:016x}",
    }


class Teller:
    """Posts hostile texts to a site; every alert of it gets a number of its own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._last = 0

    def cases(self, texts: Sequence[str]) -> list[Case]:
        """Two cases for each text."""
        started = self.site.recently
        found: list[Case] = []
        for text in texts:
            for made in (everywhere, nameless):
                self._last += 1
                found.append(made(text, self._last, started))
        return found

    def tell(self, cases: Sequence[Case]) -> Left:
        """One webhook with all of them and harmless ones before, between and after them."""
        route = ROUTES["alertmanager"]
        self._last += NEIGHBOURS
        started = self.site.recently
        beside = [neighbour(self._last + number, started) for number in range(NEIGHBOURS)]
        half = len(cases) // 2
        alerts = [*beside[:7], *(case.alert for case in cases[:half]), *beside[7:13]]
        alerts += [*(case.alert for case in cases[half:]), *beside[13:]]
        return self.site.send("POST", route.path, webhook(*alerts), route.headers)


@dataclass(frozen=True)
class Stored:
    """A case with what became of it."""

    case: Case
    row: Any
    incident: Any


def stored(site: Site, left: Left, cases: Sequence[Case]) -> list[Stored]:
    """Every case with its episode and its incident."""
    by_case = {row.labels["case"]: row for row in left.stored if "case" in row.labels}
    found = []
    for case in cases:
        row = by_case[str(case.number)]
        found.append(Stored(case, row, site.read(lambda c, row=row: incidents.read(c, row.incident))))
    return found


def messages_queued(site: Site, number: int) -> list[Any]:
    """What is to be sent for an incident."""
    found: list[Any] = site.read(lambda connection: history.messages_of(connection, number))
    return found
