"""Who is on call at a moment, and who a step's targets mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Rotation:
    """People who take turns of `every`, counted from `start`, in wall-clock time of the zone."""

    people: tuple[str, ...]
    every: timedelta
    start: datetime
    zone: ZoneInfo


@dataclass(frozen=True)
class Responder:
    """A person who can be told, by their channels in order of preference."""

    name: str
    channels: tuple[str, ...]
    language: str = "en"


@dataclass(frozen=True)
class Directory:
    """Everybody and everything a policy's step can name."""

    responders: Mapping[str, Responder] = field(default_factory=dict)
    schedules: Mapping[str, Rotation] = field(default_factory=dict)
    channels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Recipient:
    """One page's addressee: channels are tried in order until one accepts."""

    name: str
    channels: tuple[str, ...]
    language: str = "en"


def on_call(rotation: Rotation, now: datetime) -> str:
    """The person whose turn it is. Turns of days change at the same wall-clock time all year."""
    wall = now.astimezone(rotation.zone).replace(tzinfo=None)
    start = rotation.start.replace(tzinfo=None)
    return rotation.people[((wall - start) // rotation.every) % len(rotation.people)]


def recipients(targets: Sequence[str], directory: Directory, now: datetime) -> tuple[Recipient, ...]:
    """Turn `schedule:name`, responders and channels into addressees, each once."""
    found: dict[str, Recipient] = {}
    for target in targets:
        name = target
        if target.startswith("schedule:"):
            rotation = directory.schedules.get(target.removeprefix("schedule:"))
            # An incident keeps its policy; the schedule may have left the configuration meanwhile.
            name = on_call(rotation, now) if rotation else ""
        person = directory.responders.get(name)
        if person is not None:
            found.setdefault(name, Recipient(person.name, person.channels, person.language))
        elif name in directory.channels:
            found.setdefault(name, Recipient(name, (name,)))
    return tuple(found.values())
