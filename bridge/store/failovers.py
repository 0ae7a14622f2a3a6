"""Failover runs and the kill switch.

The row of a run is written before anything is asked of anybody, in the transaction that read what the
guards judged by. Its number is the fencing token: strictly increasing, never given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from bridge.guards import Situation
from bridge.store import bulk
from bridge.store.schema import failover_runs as runs
from bridge.store.schema import stops

LEASE = timedelta(seconds=30)
# What counts against cooldown and budgets: everything that may have touched the target.
TOUCHED = ("acting", "verifying", "done", "failed", "unknown")


@dataclass(frozen=True)
class Run:
    """One row: a plan's answer to one cause."""

    token: int
    plan: str
    cause: str
    direction: str
    incident: int | None
    mode: str
    state: str
    asked_by: str
    started_at: datetime
    acted_at: datetime | None
    detail: str

    @property
    def name(self) -> str:
        """The run's name at the target: the same for every repetition of the same call."""
        return f"opsbridge-{self.plan}-{self.token}"


def situation(
    connection: Connection,
    plan: str,
    asked_at: datetime,
    now: datetime,
    *,
    incident_open: bool,
    by_hand: bool,
) -> Situation:
    """What the guards judge by; read in the transaction that writes the intent."""
    in_flight = _count(connection, runs.c.plan == plan, runs.c.finished_at.is_(None))
    touched = runs.c.state.in_(TOUCHED)
    last = connection.execute(
        select(func.max(runs.c.acted_at)).where(runs.c.plan == plan, touched)
    ).scalar_one()
    return Situation(
        stopped=is_stopped(connection, plan),
        incident_open=incident_open,
        asked_at=asked_at,
        in_flight=in_flight,
        last_run_at=last,
        runs_today=_count(
            connection, runs.c.plan == plan, touched, runs.c.acted_at > now - timedelta(days=1)
        ),
        runs_this_hour_all=_count(connection, touched, runs.c.acted_at > now - timedelta(hours=1)),
        by_hand=by_hand,
    )


def known(connection: Connection, cause: str) -> bool:
    """Was there an answer to this cause already?"""
    return _count(connection, runs.c.cause == cause) > 0


def add(connection: Connection, **values: Any) -> Run:
    """Write the intent. Raises Conflict (through the transaction) for a cause that was answered already."""
    row = connection.execute(insert(runs).values(**values).returning(runs)).one()
    return _run(row)


def claim(connection: Connection, owner: str, now: datetime) -> list[Run]:
    """Runs whose next step is due and that nobody works on."""
    free = or_(runs.c.lease_until.is_(None), runs.c.lease_until < now)
    due = select(runs.c.token).where(runs.c.finished_at.is_(None), runs.c.next_at <= now, free)
    due_now = due.limit(8).with_for_update(skip_locked=True).cte("due")
    rows = connection.execute(
        update(runs)
        .where(runs.c.token.in_(select(due_now.c.token)), free)
        .values(owner=owner, lease_until=now + LEASE)
        .returning(runs)
    )
    return [_run(row) for row in rows]


def move(connection: Connection, run: Run, owner: str, state: str, **values: Any) -> bool:
    """Next state, only if the run is still ours and still in the state we saw."""
    moved = connection.execute(
        update(runs)
        .where(runs.c.token == run.token, runs.c.state == run.state, runs.c.owner == owner)
        .values(state=state, **values)
    )
    return moved.rowcount == 1


def is_stopped(connection: Connection, plan: str) -> bool | None:
    """The kill switch, for everything or for one plan. No row at all counts as unreadable."""
    rows = connection.execute(select(stops.c.scope, stops.c.stopped).where(stops.c.scope.in_(("all", plan))))
    found = {row.scope: row.stopped for row in rows}
    if "all" not in found:
        return None
    return any(bool(stopped) for stopped in found.values())


def set_stop(
    connection: Connection, scope: str, by: str, reason: str, now: datetime, *, stopped: bool
) -> None:
    """Press or release the kill switch."""
    values = {"stopped": stopped, "by": by, "at": now, "reason": reason}
    row = bulk.upsert(connection, stops).values(scope=scope, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["scope"], set_=values))


def read_stops(connection: Connection) -> list[Any]:
    """Every kill switch with who set it, when and why."""
    return list(connection.execute(select(stops).order_by(stops.c.scope)))


def _count(connection: Connection, *where: Any) -> int:
    return connection.execute(select(func.count()).select_from(runs).where(*where)).scalar_one()


def _run(row: Any) -> Run:
    return Run(
        token=row.token,
        plan=row.plan,
        cause=row.cause,
        direction=row.direction,
        incident=row.incident,
        mode=row.mode,
        state=row.state,
        asked_by=row.asked_by,
        started_at=row.started_at,
        acted_at=row.acted_at,
        detail=row.detail,
    )
