"""Running a failover plan: intent, pre-check, act, verify, outcome. Each step is a row before it is a call.

A step is taken under a lease. A run that is found in `acting` after its lease ended was cut off in the
middle of its call: it becomes `unknown` and is read back, never called again. `unknown` stays the outcome
when reading back does not tell either.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bridge import guards, registry
from bridge.config.settings import PlanSettings, Typed
from bridge.guards import GuardVerdict, Mode
from bridge.model import ActionCall, ActionResult, Actor, Change, Effect, Fact
from bridge.probing import ProbeResult, look
from bridge.store import failovers, incidents, outbox
from bridge.store.failovers import Run
from bridge.store.record import record
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

BETWEEN_LOOKS = timedelta(seconds=1)
FAILOVER = Actor("failover", "worker")


class NoSuchPlan(LookupError):
    """The configuration has no failover plan of this name."""


def start(bridge: Bridge, task: outbox.Task) -> None:
    """Answer an incident's wish for a failover: judge the guards and write the intent, once per cause."""

    def work(connection: Connection) -> None:
        now = bridge.now()
        plan = str(task.data["plan"])
        if not failovers.known(connection, task.key):
            asked_at = datetime.fromisoformat(task.data["asked_at"])
            _intend(connection, bridge, plan, task.key, task.incident, asked_at, "triage", "to_standby")
        outbox.done(connection, task, "decided", now)

    bridge.database.run(work, serial="failover")


def ask(bridge: Bridge, name: str, by: Actor, direction: str = "to_standby") -> int:
    """A person runs a plan or switches back; the run's token. Raises NoSuchPlan."""
    if name not in bridge.config.plans:
        raise NoSuchPlan(f"there is no failover plan {name!r}")

    def work(connection: Connection) -> int:
        now = bridge.now()
        cause = f"{name}/by-hand/{direction}/{by.name}/{secrets.token_hex(8)}"
        return _intend(connection, bridge, name, cause, None, now, by.name, direction).token

    return bridge.database.run(work, serial="failover")


def dry_run(bridge: Bridge, name: str) -> tuple[tuple[GuardVerdict, ...], list[ProbeResult]]:
    """What the guards and the pre-checks would say now. Changes nothing. Raises NoSuchPlan."""
    if name not in bridge.config.plans:
        raise NoSuchPlan(f"there is no failover plan {name!r}")
    plan, now = bridge.config.plans[name], bridge.now()
    with bridge.database.reading() as connection:
        seen = failovers.situation(connection, name, now, now, incident_open=True, by_hand=False)
    verdicts = guards.judge(plan.mode, _limits(plan), seen, now)
    return verdicts, [look(bridge, plan, probe) for probe in plan.precheck]


def stop(bridge: Bridge, by: Actor, reason: str, scope: str = "all", *, stopped: bool = True) -> None:
    """Press (or release) the kill switch; it works from the next step on, on every replica."""
    bridge.database.run(
        lambda connection: failovers.set_stop(
            connection, scope, by.name, reason, bridge.now(), stopped=stopped
        )
    )


def take_steps(bridge: Bridge) -> int:
    """Take the next step of every run that is due; how many there were."""
    now = bridge.now()
    due = bridge.database.run(lambda connection: failovers.claim(connection, bridge.owner, now))
    for run in due:
        plan = bridge.config.plans.get(run.plan)
        if plan is None:
            _finish(bridge, run, "refused", "the plan is no longer in the configuration")
        elif run.state == "intended":
            _check_and_act(bridge, run, plan)
        elif run.state in ("checking", "acting"):
            _found_cut_off(bridge, run)
        else:
            _verify(bridge, run, plan)
    return len(due)


def _intend(
    connection: Connection,
    bridge: Bridge,
    name: str,
    cause: str,
    number: int | None,
    asked_at: datetime,
    asked_by: str,
    direction: str,
) -> Run:
    now = bridge.now()
    plan = bridge.config.plans.get(name)
    is_open = number is not None and incidents.read(connection, number).is_open
    by_hand = number is None
    seen = failovers.situation(connection, name, asked_at, now, incident_open=is_open, by_hand=by_hand)
    verdicts = guards.judge(plan.mode if plan else Mode.OFF, _limits(plan), seen, now)
    closed = guards.red(verdicts)
    run = failovers.add(
        connection,
        plan=name,
        cause=cause,
        direction=direction,
        incident=number,
        mode=plan.mode if plan else Mode.OFF,
        state="blocked" if closed else "intended",
        asked_by=asked_by,
        started_at=now,
        finished_at=now if closed else None,
        next_at=None if closed else now,
        verdicts=[{"guard": v.guard, "green": v.green, "evidence": v.evidence} for v in verdicts],
        detail="; ".join(f"{v.guard}: {v.evidence}" for v in closed),
    )
    for verdict in closed:
        bridge.metrics.failover_blocked.labels(name, verdict.guard).inc()
    if closed:
        bridge.metrics.failover_runs.labels(name, "blocked").inc()
        if plan is not None and plan.mode is not Mode.OFF:  # a plan that is off is no news
            _tell(connection, bridge, run, now)
    return run


def _check_and_act(bridge: Bridge, run: Run, plan: PlanSettings) -> None:
    by_hand = run.incident is None
    action = plan.act if run.direction == "to_standby" else plan.rollback
    if action is None:
        _finish(bridge, run, "refused", "the plan has no rollback")
        return
    if not _moved(bridge, run, "checking"):
        return
    run = replace(run, state="checking")
    probes = plan.precheck if run.direction == "to_standby" else []
    failed = [result for probe in probes if not (result := look(bridge, plan, probe)).holds]
    if failed:
        _finish(bridge, run, "refused", "pre-check: " + "; ".join(f"{r.probe}: {r.said}" for r in failed))
    elif plan.mode is Mode.SHADOW and not by_hand:
        _finish(bridge, run, "shadow", "would have switched now")
    elif plan.mode is Mode.SUGGEST and not by_hand:
        _finish(bridge, run, "suggested", "ready: waits for a person to run it")
    else:
        _act(bridge, run, action)


def _act(bridge: Bridge, run: Run, action: Typed) -> None:
    """Commit `acting`, with the kill switch and the plan's age read once more, and only then call."""
    refusal = bridge.database.run(lambda connection: _last_look(connection, bridge, run))
    if refusal:
        _finish(bridge, run, *refusal)
        return
    run = replace(run, state="acting", acted_at=bridge.now())
    entry = registry.actions.entries()[action.type]
    call = ActionCall(run=run.name, plan=run.plan, token=run.token)
    try:
        result: ActionResult = entry.call(action.settings, call, bridge.outbound)
    except Exception as error:  # noqa: BLE001  # whatever an adapter does, the run must not hang in `acting`
        result = ActionResult("unknown", f"the action broke: {type(error).__name__}")
    log.info("failover called", plan=run.plan, token=run.token, outcome=result.outcome)
    if result.outcome == "refused":
        _finish(bridge, run, "failed", f"the target refused: {result.said}")
    else:
        _called(bridge, run, "unknown" if result.outcome == "unknown" else "verifying", result.said)


def _last_look(connection: Connection, bridge: Bridge, run: Run) -> tuple[str, str] | None:
    """State and reason when the call must not be made after all; else marks the run as acting."""
    now = bridge.now()
    if failovers.is_stopped(connection, run.plan) is not False:
        return "blocked", "kill_switch: pressed or unreadable"
    age = (now - run.started_at).total_seconds()
    if age > guards.VALID_SECONDS:
        return "expired", f"the decision is {age:.0f} s old"
    lease = now + failovers.LEASE
    if not failovers.move(connection, run, bridge.owner, "acting", acted_at=now, lease_until=lease):
        return "blocked", "somebody else took the run over"
    return None


def _called(bridge: Bridge, run: Run, state: str, detail: str) -> None:
    """The call was made: say so on the timeline, and look at the world from now on."""

    def work(connection: Connection) -> None:
        now = bridge.now()
        moved = failovers.move(
            connection, run, bridge.owner, state, detail=detail, next_at=now, lease_until=None
        )
        if moved:
            _tell(connection, bridge, replace(run, state=state, detail=detail), now, page=False)

    bridge.database.run(work)


def _found_cut_off(bridge: Bridge, run: Run) -> None:
    """Its worker died. Before the call nothing happened; in the middle of it nobody knows: read back."""
    if run.state == "checking":
        _finish(bridge, run, "expired", "cut off before the call: nothing was switched")
    else:
        _called(bridge, run, "unknown", "its worker died in the middle of the call: reading back")


def _verify(bridge: Bridge, run: Run, plan: PlanSettings) -> None:
    """Look at the world until every probe holds or the longest patience has ended."""
    if run.direction != "to_standby":
        _finish(bridge, run, "unknown" if run.state == "unknown" else "done", run.detail)
        return
    open_ = [result for probe in plan.verify if not (result := look(bridge, plan, probe)).holds]
    now = bridge.now()
    acted_at = run.acted_at or run.started_at
    patience = max(probe.within for probe in plan.verify)
    if not open_:
        _finish(bridge, run, "done", f"switched, verified after {(now - acted_at).total_seconds():.0f} s")
    elif now < acted_at + patience:
        _moved(bridge, run, run.state, next_at=now + BETWEEN_LOOKS, lease_until=None)
    else:
        said = "; ".join(f"{result.probe}: {result.said}" for result in open_)
        _finish(bridge, run, "unknown" if run.state == "unknown" else "failed", f"not verified: {said}")


def _limits(plan: PlanSettings | None) -> guards.Limits:
    if plan is None:
        return guards.Limits()
    return guards.Limits(plan.limits.cooldown, plan.limits.per_day, plan.limits.per_hour_all)


def _moved(bridge: Bridge, run: Run, state: str, **values: object) -> bool:
    return bridge.database.run(
        lambda connection: failovers.move(connection, run, bridge.owner, state, **values)
    )


def _finish(bridge: Bridge, run: Run, state: str, detail: str) -> None:
    """The outcome, as a row, a fact on the incident and a message, in one transaction."""

    def work(connection: Connection) -> bool:
        now = bridge.now()
        ended = failovers.move(
            connection,
            run,
            bridge.owner,
            state,
            detail=detail,
            finished_at=now,
            next_at=None,
            lease_until=None,
        )
        if ended:
            _tell(connection, bridge, replace(run, state=state, detail=detail), now)
        return ended

    if bridge.database.run(work):
        bridge.metrics.failover_runs.labels(run.plan, state).inc()
        log.info("failover ended", plan=run.plan, token=run.token, state=state, detail=detail)


def _tell(connection: Connection, bridge: Bridge, run: Run, now: datetime, *, page: bool = True) -> None:
    if run.incident is None:
        return
    incident = incidents.read(connection, run.incident, lock=True)
    text = f"{run.plan}: {run.state} ({run.detail})"
    data = {"plan": run.plan, "token": run.token, "state": run.state}
    fact = Fact(at=now, kind="failover", by=FAILOVER, text=text, data=data)
    targets = [target for step in incident.policy.steps[:1] for target in step.notify]
    message = Effect(
        kind="page",
        key=f"{incident.name}/failover/{run.token}/{run.state}",
        data={"reason": "failover", "targets": targets},
    )
    change = Change(incident=incident, facts=(fact,), effects=(message,) if page else ())
    record(connection, change, bridge.arrangements, now)
