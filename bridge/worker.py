"""The worker: ticks ask "what is due?", threads do it. No timer holds anything that a restart would lose."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Connection

from bridge import (
    audit,
    failover,
    heartbeats,
    operations,
    paging,
    quarantine,
    reconcile,
    reporting,
    retention,
)
from bridge.store import incidents, outbox
from bridge.store.database import Unavailable
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

THREADS = 16
PER_CHANNEL = 4
RARE = 600  # seconds
POISON_PAUSE = timedelta(minutes=5)

RUN: dict[str, Callable[[Bridge, outbox.Task], None]] = {
    "page": paging.run_page,
    "ticket": paging.run_ticket,
    "failover": failover.start,
    "report": reporting.run,
}


class Worker:
    """APScheduler's ticks and the threads that carry out claimed tasks."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="task")
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopping = False

    def start(self) -> None:
        """Begin to tick."""
        every: list[tuple[str, Callable[[], object], float]] = [
            ("tasks", self.run_tasks, 0.5),
            ("steps", lambda: operations.take_due_steps(self._bridge) and self.run_tasks(), 1),
            ("failovers", self._failovers, 0.5),
            ("clocks", lambda: operations.tell_due_clocks(self._bridge), 2),
            ("settling", lambda: operations.settle_due(self._bridge), 2),
            ("unmuting", lambda: operations.unmute_due(self._bridge) and self.run_tasks(), 2),
            ("heartbeats", heartbeats.watcher(self._bridge), 5),
            ("looks", lambda: reconcile.look_due(self._bridge) and self.run_tasks(), self._between_looks()),
            ("gauges", self._gauges, 5),
            ("audit", lambda: audit.audit(self._bridge), 30),
            ("reports", lambda: reporting.queue_due(self._bridge), 60),
            ("forgetting", lambda: retention.forget(self._bridge), 60),
            ("quarantine", lambda: quarantine.retry_after_upgrade(self._bridge), RARE),
        ]
        for name, work, seconds in every:
            # What is rare is also done at the start: a process may not live until its first tick.
            at_once = {"next_run_time": datetime.now(UTC)} if seconds >= RARE else {}
            self._scheduler.add_job(_safely(name, work), IntervalTrigger(seconds=seconds), id=name, **at_once)
        self._scheduler.start()

    def wake(self) -> None:
        """Something was queued just now: do not wait for the tick."""
        if not self._stopping:
            self._pool.submit(_safely("tasks", self.run_tasks))

    def stop(self) -> None:
        """Claim nothing more, finish what runs; what is not finished is covered by its lease."""
        self._stopping = True
        self._scheduler.shutdown(wait=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run_tasks(self) -> int:
        """Claim what is due and hand it to the threads; how many tasks were claimed.

        A channel gets a few threads at most, so that one that hangs delays no other.
        """
        with self._lock:
            if self._stopping or self._busy.total() >= THREADS:
                return 0
            now = self._bridge.now()
            with self._bridge.database.reading() as connection:
                channels = outbox.due_channels(connection, now, tuple(RUN))
            claimed = self._bridge.database.run(lambda c: self._claim(c, channels, now)) if channels else []
            self._busy.update(task.channel for task in claimed)
        for task in claimed:
            self._pool.submit(self._run, task)
        return len(claimed)

    def _claim(self, connection: Connection, channels: list[str], now: datetime) -> list[outbox.Task]:
        claimed: list[outbox.Task] = []
        for channel in channels:
            free = THREADS - self._busy.total() - len(claimed)
            room = min(free, PER_CHANNEL - self._busy[channel]) if channel else free
            if room > 0:
                owner = self._bridge.owner
                claimed += outbox.claim(connection, owner, now, tuple(RUN), room, channel=channel)
        return claimed

    def _run(self, task: outbox.Task) -> None:
        structlog.contextvars.bind_contextvars(task=task.key)
        try:
            RUN[task.kind](self._bridge, task)
        except Unavailable as error:
            log.warning("task left to its lease", error=str(error))
        except Exception:
            log.exception("task broke")
            self._postpone(task)
        finally:
            structlog.contextvars.clear_contextvars()
            with self._lock:
                self._busy[task.channel] -= 1

    def _postpone(self, task: outbox.Task) -> None:
        """A row that breaks the program is set aside, so that it cannot stop the others."""
        now = self._bridge.now()
        ends = outbox.dead if task.attempts >= 5 else None
        try:
            self._bridge.database.run(
                lambda connection: (
                    ends(connection, task, "broke the program five times; see the log", now)
                    if ends
                    else outbox.later(connection, task, "broke the program; see the log", now + POISON_PAUSE)
                )
            )
        except Unavailable as error:
            log.warning("task left to its lease", error=str(error))

    def _between_looks(self) -> float:
        """Often enough to look at once at a source that cut alerts off."""
        return max(min(5.0, self._bridge.config.intake.reconcile_every.total_seconds()), 0.5)

    def _failovers(self) -> None:
        failover.take_steps(self._bridge)

    def _gauges(self) -> None:
        metrics = self._bridge.metrics
        with self._bridge.database.reading() as connection:
            due, age = outbox.backlog(connection, self._bridge.now())
            open_now = incidents.count_open(connection)
        metrics.tasks_due.set(due)
        metrics.task_age.set(age)
        for priority in ("P1", "P2", "P3", "P4"):
            metrics.open.labels(priority).set(open_now.get(priority, 0))


def _safely(name: str, work: Callable[[], object]) -> Callable[[], None]:
    """A tick that fails is logged and comes again; it must not end the scheduler's job."""

    def tick() -> None:
        started = time.monotonic()
        try:
            work()
        except Unavailable as error:
            log.warning("tick skipped", tick=name, error=str(error))
        except Exception:
            log.exception("tick failed", tick=name, seconds=round(time.monotonic() - started, 3))

    return tick
