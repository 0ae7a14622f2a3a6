"""Every metric of opsbridge, in one place. Label values come from the configuration, never from alerts."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bridge.model import Incident

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 86400)
_PAGE = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)


class Metrics:
    """The metrics of one process, on a registry of their own so that tests do not share them."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.notifications = Counter(
            "bridge_notifications_received",
            "Deliveries from sources by what became of them.",
            ["source", "result"],
            registry=registry,
        )
        self.alerts = Counter(
            "bridge_alerts_received", "Alerts in stored deliveries.", ["source", "status"], registry=registry
        )
        self.ingest_seconds = Histogram(
            "bridge_ingest_seconds", "From request to answer.", buckets=_FAST, registry=registry
        )
        self.opened = Counter(
            "bridge_incidents_opened",
            "Incidents opened.",
            ["priority", "client", "service"],
            registry=registry,
        )
        self.open = Gauge("bridge_incidents_open", "Open incidents.", ["priority"], registry=registry)
        self.acknowledge_seconds = Histogram(
            "bridge_time_to_acknowledge_seconds",
            "From opening to acknowledgement.",
            ["priority"],
            buckets=_SLOW,
            registry=registry,
        )
        self.restore_seconds = Histogram(
            "bridge_time_to_restore_seconds",
            "From opening to restored service.",
            ["priority"],
            buckets=_SLOW,
            registry=registry,
        )
        self.breaches = Counter(
            "bridge_sla_breaches", "SLA clocks that broke.", ["priority", "target"], registry=registry
        )
        self.tasks_due = Gauge("bridge_tasks_due", "Tasks due and not done.", registry=registry)
        self.task_age = Gauge("bridge_task_age_seconds", "Age of the oldest due task.", registry=registry)
        self.deliveries = Counter(
            "bridge_deliveries",
            "Messages by channel and result: sent, retried, dead.",
            ["channel", "result"],
            registry=registry,
        )
        self.page_seconds = Histogram(
            "bridge_alert_to_page_seconds",
            "From stored alert to a page the provider accepted.",
            buckets=_PAGE,
            registry=registry,
        )
        self.failover_runs = Counter(
            "bridge_failover_runs", "Failover runs by outcome.", ["plan", "outcome"], registry=registry
        )
        self.failover_blocked = Counter(
            "bridge_failover_blocked", "Failovers a guard stopped.", ["plan", "guard"], registry=registry
        )
        self.reports = Counter("bridge_reports_built", "Reports.", ["client", "result"], registry=registry)
        self.audit = Gauge(
            "bridge_audit_findings", "What the self-audit found last.", ["check"], registry=registry
        )
        self.quarantined = Counter(
            "bridge_quarantined",
            "Authentic deliveries that could not be understood.",
            ["source"],
            registry=registry,
        )
        self.source_blind = Gauge(
            "bridge_source_blind",
            "1 while a source cannot see: what it says has ended is doubted.",
            ["source"],
            registry=registry,
        )
        self.reconciled = Counter(
            "bridge_reconciled",
            "Differences between Alertmanager's list and ours that were repaired, by kind.",
            ["source", "outcome"],
            registry=registry,
        )
        self.forgotten = Counter(
            "bridge_forgotten", "Rows deleted because they were old.", ["what"], registry=registry
        )
        self.reloads = Counter(
            "bridge_config_reloads",
            "Configurations read again: applied, or rejected because of mistakes.",
            ["result"],
            registry=registry,
        )
        for result in ("applied", "rejected"):
            self.reloads.labels(result)
        self.config_loaded = Gauge(
            "bridge_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read, by start or reload.",
            registry=registry,
        )
        build = Gauge("bridge_build_info", "This program's version.", ["version"], registry=registry)
        build.labels(program_version()).set(1)

    def restored(self, incident: Incident) -> None:
        """Count the time an incident took to be restored, by alerts or by a person."""
        if incident.resolved_at is not None:
            took = (incident.resolved_at - incident.opened_at).total_seconds()
            self.restore_seconds.labels(incident.priority).observe(took)


def program_version() -> str:
    """The installed version of opsbridge."""
    try:
        return version("opsbridge")
    except PackageNotFoundError:
        return "unknown"
