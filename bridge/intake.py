"""Group commit: everything that waits is stored in one transaction, and only then answered.

The request thread decodes and waits here. One writer takes all that queued up meanwhile, decides and
commits. What one delivery breaks, it breaks alone: a failed batch is repeated one by one.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from bridge.admission import Outcome, admit, count
from bridge.hearing import Waiting
from bridge.store.database import Conflict, Unavailable
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

# Taken together in one transaction: more would make the others wait longer for theirs.
MOST_ALERTS = 4_000
MOST_WAITING = 2_000
PATIENCE = 4.0
_CLOSED = None


class _Ticket:
    """A delivery in the queue and where its outcome is put. `turn` is a lock: an Event costs far more."""

    __slots__ = ("failure", "outcome", "turn", "waiting")

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting
        self.turn = threading.Lock()
        self.turn.acquire()
        self.outcome: Outcome | None = None
        self.failure: Exception | None = None

    def settle(self, outcome: Outcome | None, failure: Exception | None = None) -> None:
        """Let the waiting request go on."""
        self.outcome, self.failure = outcome, failure
        self.turn.release()


class Intake:
    """The queue in front of the database and the thread that empties it."""

    def __init__(self, bridge: Bridge, wake: Callable[[], None] = lambda: None) -> None:
        self._bridge = bridge
        self._wake = wake
        self._queue: queue.Queue[_Ticket | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Begin to take deliveries."""
        self._thread.start()

    def stop(self) -> None:
        """Store what has been queued, then end."""
        self._queue.put(_CLOSED)
        self._thread.join(PATIENCE * 2)

    def submit(self, waiting: Waiting) -> Outcome:
        """Store one delivery; returns only after the commit. Raises Unavailable: nothing was kept."""
        ticket = _Ticket(waiting)
        try:
            self._queue.put_nowait(ticket)
        except queue.Full:
            raise Unavailable("too many deliveries are waiting") from None
        if not ticket.turn.acquire(timeout=PATIENCE * 3):
            raise Unavailable("the database did not answer in time")
        if ticket.failure is not None:
            raise ticket.failure
        return ticket.outcome  # type: ignore[return-value]  # ready without a failure has an outcome

    def _run(self) -> None:
        running = True
        while running:
            batch: list[_Ticket] = []
            ticket = self._queue.get()
            alerts = 0
            while ticket is not _CLOSED:
                batch.append(ticket)
                alerts += len(ticket.waiting.notification.alerts)
                if alerts >= MOST_ALERTS:
                    break
                try:
                    ticket = self._queue.get_nowait()
                except queue.Empty:
                    break
            running = ticket is not _CLOSED
            if batch:
                self._store(batch)

    def _store(self, batch: Sequence[_Ticket]) -> None:
        try:
            outcomes = self._commit([ticket.waiting for ticket in batch])
        except Exception as error:  # noqa: BLE001  # the thread must outlive whatever one delivery holds
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for ticket in batch:
                    self._store([ticket])
                return
            log.warning("deliveries not stored", error=repr(error), deliveries=len(batch))
            for ticket in batch:
                ticket.settle(None, error)
            return
        for ticket, outcome in zip(batch, outcomes, strict=True):
            ticket.settle(outcome)
        try:
            count(self._bridge, outcomes)
            if any(outcome.tasks for outcome in outcomes):
                self._wake()
        except Exception:
            log.exception("deliveries are stored, but counting them or waking the worker broke")

    def _commit(self, batch: list[Waiting]) -> list[Outcome]:
        """One transaction, repeated while others are in the way, for at most `PATIENCE` seconds."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with self._bridge.database.transaction(serial="intake") as connection:
                    return admit(connection, batch, self._bridge, self._bridge.now())
            except Conflict:
                if time.monotonic() > until:
                    raise Unavailable("others keep changing the same incidents") from None
            except Unavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
