"""How pages show times, lengths and links: in words, in the reader's language, safe for any text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from babel.dates import format_skeleton
from flask import Flask
from flask_babel import get_locale, get_timezone, gettext
from flask_login import current_user

from bridge.model import Clock, ClockState
from bridge.text import visible, web_link
from bridge.web import access, said, words

_LONGEST_SHOWN = 300


def register(app: Flask) -> None:
    """Make the filters and the reader known to every template."""
    app.jinja_env.filters.update(
        moment=moment,
        clock_time=clock_time,
        time_of_day=time_of_day,
        day=day,
        ago=ago,
        left=left,
        span=span,
        phase=phase,
        passed=passed,
        shown=visible,
        clip=clip,
        web_link=web_link,
        shared=shared,
        person=words.person,
        word=words.word,
        said=said.said,
        reason=said.reason,
        group=said.group,
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.context_processor(_reader)


def moment(value: datetime | None) -> str:
    """2026-11-22 10:04:12 UTC."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S UTC")


def clock_time(value: datetime | None) -> str:
    """A short time in the reader's language; the exact one belongs into `title`."""
    if value is None:
        return ""
    local = value.astimezone(get_timezone())
    return f"{format_skeleton('MMMd', local, locale=get_locale())} {local:%H:%M}"


def time_of_day(value: datetime) -> str:
    """10:04:12, for lists that name the day themselves."""
    return value.astimezone(get_timezone()).strftime("%H:%M:%S")


def day(value: datetime) -> str:
    """A day with its weekday, in the reader's language."""
    return str(format_skeleton("MMMEd", value.astimezone(get_timezone()), locale=get_locale()))


def ago(value: datetime | None, now: datetime) -> str:
    """How long ago, roughly."""
    if value is None:
        return ""
    past = max(now - value, timedelta(0))
    rough = timedelta(minutes=past // timedelta(minutes=1)) if past >= timedelta(minutes=1) else past
    return str(gettext("%(span)s ago", span=span(rough)))


def left(due_at: datetime, now: datetime) -> str:
    """`04:12 left` below an hour, rough above it, `overdue by …` when it is late."""
    rest = due_at - now
    seconds = int(abs(rest.total_seconds()))
    figure = f"{seconds // 60:02d}:{seconds % 60:02d}" if seconds < 3600 else span(abs(rest))
    return str(
        gettext("overdue by %(span)s", span=figure)
        if rest < timedelta(0)
        else gettext("%(span)s left", span=figure)
    )


def span(length: timedelta) -> str:
    """The two largest units of a length of time."""
    seconds = max(int(length.total_seconds()), 0)
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    units = [
        (days, gettext("d")),
        (hours, gettext("h")),
        (minutes, gettext("min")),
        (seconds % 60, gettext("s")),
    ]
    first = next((index for index, (number, _) in enumerate(units) if number), len(units) - 1)
    return (
        " ".join(f"{number} {unit}" for number, unit in units[first : first + 2] if number)
        or f"0 {units[-1][1]}"
    )


def passed(clock: Clock, now: datetime) -> int:
    """How much of a clock's time has passed, 0 to 100."""
    whole = clock.due_at - clock.started_at
    part = ((clock.stopped_at or now) - clock.started_at) / whole if whole else 1.0
    return min(max(int(part * 100), 0), 100)


def phase(clock: Clock, now: datetime) -> str:
    """How a clock looks: calm, half, at_risk, breached, met or paused; the stored state may be a tick old."""
    if clock.stopped_at is None and clock.due_at < now:
        return ClockState.BREACHED.value
    if clock.state is not ClockState.RUNNING:
        return clock.state.value
    return "half" if passed(clock, now) >= 50 else "calm"


def clip(text: str, limit: int = _LONGEST_SHOWN) -> str:
    """Text from outside with its invisible characters marked, cut where it would bury the page."""
    return visible(text) if len(text) <= limit else f"{visible(text[:limit])}… ({len(text)})"


def shared(alerts: Sequence[Any]) -> Mapping[str, str]:
    """The labels that all alerts have in common: shown once instead of in every row."""
    first: Mapping[str, str] = alerts[0].labels if alerts else {}
    rest = alerts[1:]
    return {
        name: value for name, value in first.items() if all(row.labels.get(name) == value for row in rest)
    }


def _reader() -> dict[str, Any]:
    signed_in = bool(current_user and current_user.is_authenticated)
    bridge = access.bridge()
    return {
        "reader": access.person() if signed_in else None,
        "language": access.language(),
        "now": bridge.now(),
        "address": bridge.config.url,
    }
