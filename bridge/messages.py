"""An incident and a reason become what a person reads, in their language, from templates/messages/.

A template's first line is the title and must say enough on a lock screen; the rest is the text. Labels
are data for the template, never template themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bridge.model import Clock, ClockState, Incident, Message
from bridge.text import one_line, visible, web_link

LONGEST_LINE = 2000
_NAMES_TOLD = 3
REASONS = ("page", "resolved", "at_risk", "breached", "failover", "test")


def assets(*parts: str) -> Path:
    """A file of templates/: beside the packages in a checkout, inside `bridge` when installed."""
    here = Path(__file__).parent
    inside = here / "assets"
    return (inside if inside.is_dir() else here.parent / "templates").joinpath(*parts)


@dataclass(frozen=True)
class Story:
    """What is known about an incident at the moment somebody is told.

    `names` are the alerts of a storm by name, the commonest first, and empty for every other incident.
    `quiet` is how long a flapping incident must be quiet; `hidden` how many alerts its source cut off.
    """

    incident: Incident
    client: str
    alerts: int
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    clocks: Sequence[Clock] = ()
    failovers: Sequence[str] = ()
    missed: int = 0
    names: Sequence[tuple[str, int]] = ()
    quiet: timedelta = timedelta()
    hidden: int = 0


def compose(
    story: Story,
    reason: str,
    language: str,
    *,
    url: str,
    id: str,  # noqa: A002
    responder: str,
    now: datetime,
) -> Message:
    """The message for one reader. Unknown reasons are a mistake of the program, not of the data."""
    incident = story.incident
    text = _template(reason, language).render(_told(story, language, now))
    title, *lines = [visible(line)[:LONGEST_LINE] for line in text.strip().splitlines()]
    links = [("处理" if language == "zh" else "Open", f"{url}/incidents/{incident.number}")]
    if runbook := web_link(incident.runbook):  # it may also be words, or come from an alert
        links.append(("手册" if language == "zh" else "Runbook", runbook))
    return Message(
        id=id,
        reason=reason,
        priority=incident.priority,
        incident=incident.name,
        title=one_line(title, 200),
        lines=tuple(line for line in lines if line.strip()),
        links=tuple(links),
        responder=responder,
        language=language,
    )


def test_message(id: str, responder: str, language: str, now: datetime) -> Message:  # noqa: A002
    """What `bridge send-test` sends."""
    text = _template("test", language).render(now=now, responder=responder)
    title, *lines = text.strip().splitlines()
    return Message(
        id=id,
        reason="test",
        priority="P4",
        incident="",
        title=title,
        lines=tuple(filter(None, lines)),
        responder=responder,
        language=language,
    )


def _told(story: Story, language: str, now: datetime) -> dict[str, Any]:
    """What the templates may speak of, every text from outside as one harmless line."""
    incident = story.incident
    clock = _urgent(story.clocks)
    return {
        "incident": incident,
        "title": _first(
            story.annotations.get(f"summary_{language}"), incident.title, incident.service, incident.name
        ),
        "client": one_line(story.client, 40),
        "place": one_line(story.labels.get("region", ""), 40),
        "description": _first(
            story.annotations.get(f"description_{language}"), story.annotations.get("description"), limit=600
        ),
        "alerts": story.alerts,
        "clock": clock,
        "left": _span(clock.due_at - now, language) if clock else "",
        "late": bool(clock and clock.due_at < now),
        "since": incident.began_at,
        "lasting": _span(max(now - incident.began_at, timedelta()), language),
        "failovers": [one_line(line, 300) for line in story.failovers],
        "newest": one_line(story.failovers[-1], 90) if story.failovers else "",
        "missed": story.missed,
        "names": _commonest(story.names, language),
        "quiet": _span(story.quiet, language),
        "hidden": story.hidden,
    }


def _commonest(names: Sequence[tuple[str, int]], language: str) -> str:
    """A storm in a few words: NodeDown ×30, DiskFull ×5, 2 other names."""
    told = [(one_line(name, 60), count) for name, count in names[:_NAMES_TOLD]]
    parts = [name if count == 1 else f"{name} ×{count}" for name, count in told]
    more = len(names) - _NAMES_TOLD
    if more > 0:
        parts.append(f"另有 {more} 种" if language == "zh" else f"{more} other name{'s' if more > 1 else ''}")
    return ", ".join(parts)


def _first(*texts: str | None, limit: int = 120) -> str:
    """The first text that says something, as one line."""
    return next((line for text in texts if text and (line := one_line(text, limit))), "")


def _urgent(clocks: Sequence[Clock]) -> Clock | None:
    running = [clock for clock in clocks if clock.stopped_at is None and clock.state is not ClockState.PAUSED]
    return min(running, key=lambda clock: clock.due_at, default=None)


def _span(length: timedelta, language: str) -> str:
    """A rough length of time as people say it: 7 min, 3 h 20 min, 2 d 4 h."""
    minutes = max(round(abs(length.total_seconds()) / 60), 0)
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    units = ("天", "小时", "分钟") if language == "zh" else ("d", "h", "min")
    parts = [(days, units[0]), (hours, units[1]), (0 if days else rest, units[2])]
    said = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(said) or f"0 {units[2]}"


@functools.lru_cache(maxsize=64)
def _template(reason: str, language: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(assets("messages")),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # plain text; each channel escapes for its own markup
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{reason}.{language}.txt")
