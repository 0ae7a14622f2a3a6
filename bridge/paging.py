"""Running one page or ticket task: compose, send, and write down what the other side said."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, insert

from bridge import messages, registry
from bridge.config.settings import Budget
from bridge.correlation import is_storm
from bridge.delivery import DeliveryError
from bridge.model import Actor, Fact, Incident, Receipt, Status, Ticket
from bridge.store import history, incidents, outbox
from bridge.store.outbox import Task
from bridge.store.schema import links, tasks
from bridge.wiring import Bridge

log = structlog.get_logger(__name__)

TRIES_BEFORE_NEXT = 3
# A storm is no one alert's story; its own title is English.
_STORM = {"summary_zh": "告警风暴"}
_OUTCOMES = {
    "en": {
        "done": "standby switched and verified",
        "shadow": "would have switched (shadow mode)",
        "suggested": "ready to switch, waits for a person",
        "blocked": "not switched, a guard is closed",
        "refused": "not switched",
        "failed": "FAILED",
        "unknown": "outcome UNKNOWN, look at the gateway",
        "expired": "not switched, too late",
    },
    "zh": {
        "done": "已切换到备用通道并验证",
        "shadow": "影子模式:本应切换",
        "suggested": "可切换,等待人工确认",
        "blocked": "未切换,安全闸关闭",
        "refused": "未切换",
        "failed": "切换失败",
        "unknown": "结果未知,请检查网关",
        "expired": "未切换,已过期",
    },
}


def run_page(bridge: Bridge, task: Task) -> None:
    """Tell one recipient by one channel. Anything but the provider's yes is retried or moved on."""
    now = bridge.now()
    story = _story(bridge, task)
    skip = _pointless(story.incident, task)
    if skip:
        bridge.database.run(lambda connection: outbox.done(connection, task, skip, now))
        return
    typed = bridge.config.channels.get(task.channel)
    if typed is None:
        _give_up(bridge, task, f"channel {task.channel} is no longer in the configuration")
        return
    wait = _over_budget(bridge, task, typed.settings.budget, now)
    if wait:
        bridge.database.run(
            lambda connection: outbox.later(connection, task, "budget used up", now + wait, counted=False)
        )
        return
    message = messages.compose(
        story,
        task.data["reason"],
        task.data["language"],
        url=bridge.config.url,
        id=f"opsbridge-{task.id}",
        responder=task.data["recipient"],
        now=now,
    )
    try:
        send = registry.channels.entries()[typed.type].call
        receipt: Receipt = send(typed.settings, message, bridge.outbound, now)
    except DeliveryError as error:
        _failed(bridge, task, error)
    else:
        _sent(bridge, task, receipt)


def run_ticket(bridge: Bridge, task: Task) -> None:
    """Make one tracker say what the incident says now."""
    typed = bridge.config.trackers.get(task.channel)
    if typed is None or task.incident is None:
        _give_up(bridge, task, f"tracker {task.channel} is no longer in the configuration")
        return
    ticket, known = _ticket(bridge, task)
    try:
        mirrored = registry.trackers.entries()[typed.type].call(
            typed.settings, ticket, known, bridge.outbound
        )
    except DeliveryError as error:
        _failed(bridge, task, error)
        return

    def work(connection: Connection) -> None:
        if not known:
            row = {
                "incident": task.incident,
                "tracker": task.channel,
                "ticket": mirrored.key,
                "url": mirrored.url,
            }
            connection.execute(insert(links).values(row))
        outbox.done(connection, task, mirrored.key, bridge.now())

    bridge.database.run(work)
    bridge.metrics.deliveries.labels(task.channel, "sent").inc()


def _story(bridge: Bridge, task: Task) -> messages.Story:
    number = task.incident or 0
    with bridge.database.reading() as connection:
        incident = incidents.read(connection, number)
        clocks = history.clocks_of(connection, [number])[number]
        count = history.alert_counts(connection, [number])[number]
        sample = history.alerts_of(connection, number, limit=1)
        runs = history.failovers_of(connection, [number])
        storm = is_storm(incident)
        names = history.alert_names(connection, number) if storm else ()
        hidden = _hidden(connection, incident)
    client = bridge.config.clients.get(incident.client)
    words = _OUTCOMES[task.data["language"]]
    return messages.Story(
        incident=incident,
        client=client.name if client else incident.client,
        alerts=count,
        labels=sample[0].labels if sample and not storm else {},
        annotations=_STORM if storm else sample[0].annotations if sample else {},
        clocks=_wanted(clocks, task.data),
        failovers=[f"{run.plan}: {words[run.state]} ({run.detail})" for run in runs if run.state in words],
        missed=int(task.data.get("missed", 0)),
        names=names,
        quiet=bridge.config.intake.flapping.quiet,
        hidden=hidden,
    )


def _hidden(connection: Connection, incident: Incident) -> int:
    """How many alerts the source of an incident in doubt said it cut off; 0 for every other incident."""
    held = incidents.facts_of(connection, incident.number, ("held",)) if incident.held else ()
    return int(held[-1].data.get("hidden", 0)) if held else 0


def _wanted(clocks: list[Any], data: Mapping[str, Any]) -> list[Any]:
    """A warning about one clock speaks of that clock; other messages of the most urgent."""
    return [clock for clock in clocks if clock.target == data["target"]] if "target" in data else clocks


def _pointless(incident: Incident, task: Task) -> str:
    """Why the message need not go out any more: no page starts after somebody took the incident."""
    if task.data["reason"] == "page" and incident.status is not Status.TRIGGERED:
        return f"not sent: {incident.status} meanwhile"
    if task.data["reason"] in ("at_risk", "breached") and not incident.is_open:
        return f"not sent: {incident.status} meanwhile"
    return ""


def _over_budget(bridge: Bridge, task: Task, budget: Budget, now: datetime) -> timedelta | None:
    """How long to wait until the channel may send again; None when it may now. The reserve is P1's."""
    with bridge.database.reading() as connection:
        if budget.per_minute and (
            outbox.sent_since(connection, task.channel, now - timedelta(minutes=1)) >= budget.per_minute
        ):
            return timedelta(seconds=5)
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        left = budget.per_month - (budget.reserve_p1 if task.priority != "P1" else 0)
        if budget.per_month and outbox.sent_since(connection, task.channel, month) >= left:
            return timedelta(minutes=30)
    return None


def _sent(bridge: Bridge, task: Task, receipt: Receipt) -> None:
    now = bridge.now()

    def work(connection: Connection) -> bool:
        if not outbox.done(connection, task, receipt.said or receipt.id, now):
            return False
        text = f"{task.data['recipient']} by {task.channel}"
        data = {"reason": task.data["reason"], "id": receipt.id, "attempts": task.attempts}
        _add_fact(connection, task, Fact(at=now, kind="told", by=_by(task), text=text, data=data))
        return True

    if bridge.database.run(work):
        bridge.metrics.deliveries.labels(task.channel, "sent").inc()
        if task.data["reason"] == "page":
            # From the first channel's queueing on, also when another channel carried the page in the end.
            queued_at = datetime.fromisoformat(task.data["queued_at"])
            bridge.metrics.page_seconds.observe((now - queued_at).total_seconds())
        log.info("told", incident=task.incident, channel=task.channel, attempts=task.attempts)


def _failed(bridge: Bridge, task: Task, error: DeliveryError) -> None:
    """Retry what may pass; else, or after three tries, go on with the recipient's next channel."""
    others = task.data.get("others") or []
    if (
        not error.retry
        or (others and task.attempts >= TRIES_BEFORE_NEXT)
        or task.attempts >= outbox.MOST_ATTEMPTS
    ):
        _give_up(bridge, task, str(error))
        return
    wait = outbox.pause(task.attempts, error.after, random.uniform(-1, 1))  # noqa: S311  # jitter, not a secret
    due_at = bridge.now() + timedelta(seconds=wait)
    bridge.database.run(lambda connection: outbox.later(connection, task, str(error), due_at))
    bridge.metrics.deliveries.labels(task.channel, "retried").inc()
    log.warning("not delivered yet", channel=task.channel, error=str(error), attempts=task.attempts)


def _give_up(bridge: Bridge, task: Task, reason: str) -> None:
    """End the task as dead and queue the next channel, in one transaction."""
    now = bridge.now()

    def work(connection: Connection) -> bool:
        if not outbox.dead(connection, task, reason, now):
            return False
        others = list(task.data.get("others") or [])
        text = f"{task.data.get('recipient', '')} by {task.channel}: {reason}".strip()
        if others and task.incident is not None:
            incident = incidents.read(connection, task.incident)
            data = {**task.data, "others": others[1:]}
            row = outbox.new_task(
                "page", f"{task.key}>{others[0]}", incident, now, channel=others[0], data=data
            )
            connection.execute(insert(tasks).values(row))
            text += f"; next channel {others[0]}"
        _add_fact(connection, task, Fact(at=now, kind="not_told", by=_by(task), text=text))
        return True

    if bridge.database.run(work):
        bridge.metrics.deliveries.labels(task.channel, "dead").inc()
        log.error("given up", channel=task.channel, error=reason, incident=task.incident)


def _add_fact(connection: Connection, task: Task, fact: Fact) -> None:
    if task.incident is not None:
        incidents.add_facts(connection, [(task.incident, fact)])


def _by(task: Task) -> Actor:
    return Actor(task.channel, "worker")


def _ticket(bridge: Bridge, task: Task) -> tuple[Ticket, str]:
    number = task.incident or 0
    with bridge.database.reading() as connection:
        incident = incidents.read(connection, number)
        facts = incidents.facts_of(connection, number)
        known = {row.tracker: row.ticket for row in history.links_of(connection, number)}
    lines = [f"{fact.at:%Y-%m-%d %H:%M:%S} UTC {fact.by.name}: {fact.kind} {fact.text}" for fact in facts]
    body = [
        f"{incident.name} {incident.priority} {incident.client} {incident.service}".strip(),
        f"Began {incident.began_at:%Y-%m-%d %H:%M:%S} UTC. {bridge.config.url}/incidents/{incident.number}",
        *([f"Runbook: {incident.runbook}"] if incident.runbook else []),
        *lines,
    ]
    ticket = Ticket(
        incident=incident.name,
        title=f"[{incident.priority}] {incident.title}",
        body="\n".join(body),
        status=incident.status,
        priority=incident.priority,
        comments=tuple(lines[-1:]),
    )
    return ticket, known.get(task.channel, "")
