"""The self-audit: read-only questions whose answer must be "none". Only a clean pass pings `heartbeat_out`.

It does not trust the workers: whoever watches the heartbeat hears silence when pages do not go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog
from sqlalchemy import ColumnElement, func, select

from bridge.delivery import DeliveryError
from bridge.store.schema import clocks, failover_runs, incidents, tasks
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

LATE = timedelta(seconds=60)


def audit(bridge: Bridge) -> Mapping[str, int]:
    """Findings by check; pings the outgoing heartbeat when there are none."""
    late = bridge.now() - LATE
    checks: dict[str, tuple[ColumnElement[bool], ...]] = {
        "task_overdue": (tasks.c.state == "pending", tasks.c.due_at < late, tasks.c.kind != "ticket"),
        "step_overdue": (incidents.c.escalate_at < late,),
        "clock_overdue": (clocks.c.next_at < late,),
        "failover_stuck": (failover_runs.c.finished_at.is_(None), failover_runs.c.next_at < late),
    }
    found: dict[str, int] = {}
    with bridge.database.reading() as connection:
        for name, where in checks.items():
            found[name] = connection.execute(select(func.count()).where(*where)).scalar_one()
    for name, count in found.items():
        bridge.metrics.audit.labels(name).set(count)
    if any(found.values()):
        log.error("self-audit found something", **{name: count for name, count in found.items() if count})
    elif bridge.config.heartbeat_out:
        try:
            bridge.outbound.expect("POST", bridge.config.heartbeat_out)
        except DeliveryError as error:
            log.warning("the outgoing heartbeat was not taken", error=str(error))
    return found
