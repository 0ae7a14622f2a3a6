"""Monthly reports of one bridge: the client's settings and incidents handed to health_report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import Connection, func, select

from bridge.model import Incident
from bridge.store import bulk, history, incidents, outbox
from bridge.store.outbox import Task
from bridge.store.schema import deliveries, reports, tasks
from bridge.wiring import Bridge
from health_report.facts import FailoverRecord, IncidentRecord

if TYPE_CHECKING:
    from health_report.report import Built

Progress = Callable[[str, int, int], None]
MADE_UP_FOR = timedelta(days=3)
LONGEST_BUILD = timedelta(minutes=15)


class NoSuchClient(LookupError):
    """The configuration has no client of this name."""


def build(
    bridge: Bridge,
    client: str,
    month: str,
    *,
    formats: Sequence[str] = (),
    language: str = "",
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Built:
    """Make one client's report and remember it. Raises NoSuchClient, ValueError for a wrong month."""
    settings = bridge.config.clients.get(client)
    if settings is None:
        known = ", ".join(sorted(bridge.config.clients))
        raise NoSuchClient(f"there is no client {client!r}; there are {known}")
    language = language or settings.language
    started = time.monotonic()
    # Drawing needs 50 MB that a process which only takes alerts should not hold.
    from health_report.report import Request  # noqa: PLC0415
    from health_report.report import build as build_report  # noqa: PLC0415

    request = Request(
        client=client,
        client_name=settings.name,
        language=language,
        time_zone=settings.time_zone,
        slo=settings.slo,
        selector=settings.report.selector,
        hosts=settings.report.host_selector or None,
        prometheus=_servers(bridge),
        formats=tuple(formats) or tuple(settings.report.formats),
        out_dir=folder or Path(bridge.config.reports.folder),
        month=month,
        outbound=bridge.outbound,
        incidents=lambda start, end: _incidents(bridge, client, start, end),
        config_version=bridge.config.version,
        now=bridge.now(),
        progress=progress,
    )
    try:
        built = build_report(request)
    except Exception:
        bridge.metrics.reports.labels(client, "failed").inc()
        raise
    _remember(bridge, client, month, language, built, time.monotonic() - started)
    bridge.metrics.reports.labels(client, "incomplete" if built.missing else "complete").inc()
    return built


def queue_due(bridge: Bridge) -> int:
    """Queue every client's report whose cron moment came, also one missed in the last days.

    Moments before this installation heard its first alert are nobody's. Keys let one replica build, once.
    """
    now = bridge.now()
    rows = [row for client in bridge.config.clients if (row := _due(bridge, client, now)) is not None]

    def work(connection: Connection) -> None:
        first = connection.execute(select(func.min(deliveries.c.received_at))).scalar_one()
        for row in rows:
            if first is not None and first < row["due_at"]:
                connection.execute(
                    bulk.upsert(connection, tasks).values(row).on_conflict_do_nothing(index_elements=["key"])
                )

    if rows:
        bridge.database.run(work)
    return len(rows)


def _due(bridge: Bridge, client: str, now: datetime) -> dict[str, Any] | None:
    """The task of the newest cron moment within the last days; None when there was none."""
    zone = ZoneInfo(bridge.config.clients[client].time_zone)
    trigger = CronTrigger.from_crontab(bridge.config.reports.cron, timezone=zone)
    moment: datetime | None = None
    following = trigger.get_next_fire_time(None, now - MADE_UP_FOR)
    while following is not None and following <= now:
        moment, following = following, trigger.get_next_fire_time(following, following)
    if moment is None:
        return None
    month = (moment.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    data = {"client": client, "month": month}
    return outbox.new_task("report", f"report/{client}/{month}", None, now, data=data, due_at=moment)


def run(bridge: Bridge, task: Task) -> None:
    """Carry out a queued report."""
    until = bridge.now() + LONGEST_BUILD
    bridge.database.run(lambda connection: outbox.hold(connection, task, until))
    built = build(bridge, task.data["client"], task.data["month"])
    said = ", ".join(path.name for path in built.paths)
    bridge.database.run(lambda connection: outbox.done(connection, task, said, bridge.now()))


def _servers(bridge: Bridge) -> tuple[str, ...]:
    found = (typed.settings.prometheus for typed in bridge.config.sources.values())
    return tuple(dict.fromkeys(filter(None, found)))


def _incidents(bridge: Bridge, client: str, start: datetime, end: datetime) -> list[IncidentRecord]:
    with bridge.database.reading() as connection:
        found = history.between(connection, client, start, end)
        return [_record(connection, incident) for incident in found]


def _record(connection: Connection, incident: Incident) -> IncidentRecord:
    number = incident.number
    closed = incidents.facts_of(connection, number, {"closed"})
    return IncidentRecord(
        number=number,
        title=incident.title,
        priority=incident.priority,
        client=incident.client,
        service=incident.service,
        status=incident.status,
        began_at=incident.began_at,
        opened_at=incident.opened_at,
        acknowledged_at=incident.acknowledged_at,
        resolved_at=incident.resolved_at,
        closed_at=incident.closed_at,
        alerts=history.alert_counts(connection, [number])[number],
        clocks=tuple(history.clocks_of(connection, [number])[number]),
        failovers=tuple(
            FailoverRecord(
                plan=run.plan,
                mode=run.mode,
                state=run.state,
                started_at=run.started_at,
                finished_at=run.finished_at,
                detail=run.detail,
            )
            for run in history.failovers_of(connection, [number])
        ),
        cause=closed[-1].text if closed else "",
    )


def _remember(bridge: Bridge, client: str, month: str, language: str, built: Built, seconds: float) -> None:
    def work(connection: Connection) -> None:
        for path in built.paths:
            values = {
                "made_at": bridge.now(),
                "path": str(path.resolve()),
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "evidence": built.revision,
                "missing": built.missing,
                "seconds": seconds,
            }
            row = bulk.upsert(connection, reports).values(
                client=client, month=month, language=language, format=path.suffix.lstrip("."), **values
            )
            connection.execute(
                row.on_conflict_do_update(
                    index_elements=["client", "month", "language", "format"], set_=values
                )
            )

    bridge.database.run(work)
