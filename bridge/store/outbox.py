"""The outbox: what is still to be done outside, claimed under a lease, retried, and dead where all can see.

A claim is a guarded update. A worker that dies leaves a lease that ends; another takes the row over.
A task is marked done only after the other side said so: a crash in between costs one duplicate, never a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, or_, select, true, update

from bridge.model import Incident
from bridge.store.schema import tasks

LEASE = timedelta(seconds=30)
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
MOST_ATTEMPTS = 12


@dataclass(frozen=True)
class Task:
    """One claimed row of the outbox."""

    id: int
    kind: str
    key: str
    incident: int | None
    priority: str
    channel: str
    data: dict[str, Any]
    created_at: datetime
    attempts: int
    owner: str


def new_task(
    kind: str,
    key: str,
    incident: Incident | None,
    now: datetime,
    *,
    channel: str = "",
    data: dict[str, Any] | None = None,
    due_at: datetime | None = None,
) -> dict[str, Any]:
    """A row for the outbox. The key is unique for ever: the same effect cannot be queued twice."""
    return {
        "kind": kind,
        "key": key,
        "incident": incident.number if incident else None,
        "priority": incident.priority if incident else "P4",
        "channel": channel,
        "data": data or {},
        "state": "pending",
        "created_at": now,
        "due_at": due_at or now,
        "attempts": 0,
        "error": "",
        "receipt": "",
    }


def claim(
    connection: Connection,
    owner: str,
    now: datetime,
    kinds: Sequence[str],
    most: int,
    *,
    channel: str | None = None,
) -> list[Task]:
    """Take due tasks (of one channel), most severe first, and mark each attempt before it is made.

    Tickets of one incident are updated in the order of its facts.
    """
    free = or_(tasks.c.lease_until.is_(None), tasks.c.lease_until < now)
    earlier = tasks.alias("earlier")
    waits = (
        select(earlier.c.id)
        .where(earlier.c.kind == "ticket", earlier.c.state == "pending", earlier.c.id < tasks.c.id)
        .where(earlier.c.incident == tasks.c.incident, earlier.c.channel == tasks.c.channel)
        .exists()
    )
    due = (
        select(tasks.c.id)
        .where(tasks.c.state == "pending", tasks.c.due_at <= now, free, tasks.c.kind.in_(kinds))
        .where(
            or_(tasks.c.kind != "ticket", ~waits),
            tasks.c.channel == channel if channel is not None else true(),
        )
        .order_by(tasks.c.priority, tasks.c.due_at)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("due")  # as a plain subquery PostgreSQL may run it once for each row, and take more than `most`
    )
    taken = connection.execute(
        update(tasks)
        .where(tasks.c.id.in_(select(due.c.id)), tasks.c.state == "pending", free)
        .values(owner=owner, lease_until=now + LEASE, attempts=tasks.c.attempts + 1)
        .returning(tasks)
    )
    found = [
        Task(
            id=row.id,
            kind=row.kind,
            key=row.key,
            incident=row.incident,
            priority=row.priority,
            channel=row.channel,
            data=row.data,
            created_at=row.created_at,
            attempts=row.attempts,
            owner=owner,
        )
        for row in taken
    ]
    return sorted(found, key=lambda task: (task.priority, task.id))


def due_channels(connection: Connection, now: datetime, kinds: Sequence[str]) -> list[str]:
    """Channels with something to do, the most severe first."""
    free = or_(tasks.c.lease_until.is_(None), tasks.c.lease_until < now)
    query = (
        select(tasks.c.channel)
        .where(tasks.c.state == "pending", tasks.c.due_at <= now, free, tasks.c.kind.in_(kinds))
        .group_by(tasks.c.channel)
        .order_by(func.min(tasks.c.priority), func.min(tasks.c.due_at))
    )
    return list(connection.execute(query).scalars())


def hold(connection: Connection, task: Task, until: datetime) -> None:
    """Keep a task that takes longer than a lease."""
    mine = update(tasks).where(tasks.c.id == task.id, tasks.c.owner == task.owner)
    connection.execute(mine.values(lease_until=until))


def done(connection: Connection, task: Task, receipt: str, now: datetime) -> bool:
    """Mark a task done; False when the lease was lost meanwhile and somebody else has it."""
    return _end(connection, task, state="done", done_at=now, receipt=receipt, error="")


def dead(connection: Connection, task: Task, error: str, now: datetime) -> bool:
    """Give a task up; it stays visible until somebody looks at it."""
    return _end(connection, task, state="dead", done_at=now, error=error)


def later(connection: Connection, task: Task, error: str, due_at: datetime, *, counted: bool = True) -> bool:
    """Try again at `due_at`. An attempt that was not made (a full budget) is not counted."""
    attempts = task.attempts if counted else task.attempts - 1
    return _end(connection, task, due_at=due_at, error=error, attempts=attempts)


def pause(attempts: int, after: float | None, jitter: float) -> float:
    """Seconds before the next attempt: doubling from 2 s to 5 min, ±20 % by `jitter` in -1…1."""
    doubled: float = FIRST_PAUSE * 2 ** (attempts - 1)
    wait = min(doubled, LONGEST_PAUSE) * (1 + 0.2 * jitter)
    return max(wait, after or 0.0)


def backlog(connection: Connection, now: datetime) -> tuple[int, float]:
    """How many tasks are due, and the age of the oldest in seconds."""
    query = select(func.count(), func.min(tasks.c.due_at)).where(
        tasks.c.state == "pending", tasks.c.due_at <= now
    )
    count, oldest = connection.execute(query).one()
    return count, max((now - oldest).total_seconds(), 0.0) if oldest else 0.0


def sent_since(connection: Connection, channel: str, since: datetime) -> int:
    """Messages a channel has handed over since a moment, for its budget."""
    query = select(func.count()).where(
        tasks.c.channel == channel, tasks.c.state == "done", tasks.c.done_at >= since
    )
    return connection.execute(query).scalar_one()


def _end(connection: Connection, task: Task, **values: Any) -> bool:
    ended = connection.execute(
        update(tasks)
        .where(tasks.c.id == task.id, tasks.c.state == "pending", tasks.c.owner == task.owner)
        .values(lease_until=None, owner=None, **values)
    )
    return ended.rowcount == 1
