"""How pages show times, lengths and links: in words, in the reader's language, safe for any text."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask_babel import format_datetime, gettext
from flask_login import current_user

from bridge.text import visible
from bridge.web import access


def register(app: Flask) -> None:
    """Make the filters and the reader known to every template."""
    app.jinja_env.filters.update(
        moment=moment, clock_time=clock_time, ago=ago, left=left, span=span, shown=visible, web_link=web_link
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.context_processor(_reader)


def moment(value: datetime | None) -> str:
    """2026-11-22 10:04:12 UTC."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S UTC")


def clock_time(value: datetime | None) -> str:
    """A short time in the reader's language; the exact one belongs into `title`."""
    return "" if value is None else str(format_datetime(value, "MMM d, HH:mm"))


def ago(value: datetime | None, now: datetime) -> str:
    """How long ago, roughly."""
    return "" if value is None else gettext("%(span)s ago", span=span(now - value))


def left(due_at: datetime, now: datetime) -> str:
    """`04:12 left` below an hour, rough above it, `overdue by …` when it is late."""
    rest = due_at - now
    if rest < timedelta(0):
        return gettext("overdue by %(span)s", span=span(-rest))
    seconds = int(rest.total_seconds())
    if seconds < 3600:
        return gettext("%(span)s left", span=f"{seconds // 60:02d}:{seconds % 60:02d}")
    return gettext("%(span)s left", span=span(rest))


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


def web_link(url: str) -> str:
    """The address when it may be a link (http or https, no credentials in it), else nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    fine = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    return url if fine and url.isprintable() else ""


def _reader() -> dict[str, Any]:
    signed_in = bool(current_user and current_user.is_authenticated)
    return {
        "reader": access.person() if signed_in else None,
        "language": access.language(),
        "now": access.bridge().now(),
    }
