"""The shipped triage.yml decides as its comments and the README beside it say, for real bodies and rules."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge import registry
from bridge.cases import judge
from bridge.config import Config, load
from bridge.config.cases import beside, read_cases
from bridge.model import Alert, Verdict
from bridge.sources import Delivery
from bridge.triage import decide
from tests.alert_rules.rule_files import ALERTS, EXPECTED, Expected

CAPTURED = Path(__file__).parents[1] / "fixtures" / "alertmanager"
NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
# What Grafana and other people's rule files send under these names; no rule file here has them.
FROM_ELSEWHERE = {
    "HeartbeatLate",
    "PrometheusDown",
    "AlertmanagerDown",
    "DatasourceNoData",
    "DatasourceError",
}
CONFIG = Path(__file__).parent / "bridge.yml"


@pytest.fixture(scope="module")
def config() -> Config:
    families = (registry.sources, registry.channels, registry.trackers, registry.actions)
    return load(CONFIG, {family.name: family.settings() for family in families}, {})


def verdicts(name: str, config: Config) -> list[Verdict]:
    entry = registry.sources.entries()["alertmanager"]
    delivery = Delivery("main", (CAPTURED / f"{name}.json").read_bytes(), {}, NOW)
    told = entry.call(entry.settings(), delivery)
    return [decide(alert, config.known, told.route_labels) for alert in told.alerts]


def verdict(config: Config, **labels: str) -> Verdict:
    return decide(Alert(source="main", fingerprint="f1", starts_at=NOW, labels=labels), config.known)


@pytest.mark.parametrize(
    ("body", "rule", "priority", "page", "title"),
    [
        pytest.param("prom_watchdog", "watchdog", "P4", False, None, id="the watchdog pages nobody"),
        pytest.param(
            "prom_gateway_timeout_firing",
            "critical",
            "P1",
            True,
            "Payment gateway northpay is timing out in eu-west-1",
            id="critical without a service label",
        ),
        pytest.param("prom_exporter_down", "critical", "P1", True, None, id="critical exporter"),
        pytest.param("prom_error_rate", "warning", "P2", True, None, id="warning"),
        pytest.param("prom_host_cpu", "warning", "P2", True, None, id="warning of a host"),
        pytest.param("prom_cert_expiring", "warning", "P2", True, None, id="warning of a certificate"),
        pytest.param("unicode_zh", "critical", "P1", True, None, id="Chinese labels"),
        pytest.param("hostile_labels", "critical", "P1", True, None, id="hostile labels"),
        pytest.param("edge_no_alertname", "critical", "P1", True, None, id="no alertname"),
    ],
)
def test_captured_bodies_are_decided_as_the_comments_say(
    config: Config, body: str, rule: str, priority: str, title: str | None, *, page: bool
) -> None:
    for found in verdicts(body, config):
        assert (found.rule, found.priority, found.page) == (rule, priority, page)
        assert found.key
        assert found.title == (title or found.title) != ""


def test_two_gateways_without_a_service_are_one_problem(config: Config) -> None:
    # no rule names their gateway: the default key is client, service, alertname
    assert {found.key for found in verdicts("routed_pager", config)} == {
        "client=, service=, alertname=PaymentGatewayTimeout"
    }


def test_two_gateways_of_the_payment_path_are_two_problems(config: Config) -> None:
    labels = {
        "alertname": "PaymentGatewayTimeout",
        "service": "payments",
        "client": "acme",
        "severity": "critical",
    }
    keys = [verdict(config, **labels, gateway=gateway).key for gateway in ("northpay", "kestrelpay")]
    assert keys == [f"client=acme, service=payments, gateway={name}" for name in ("northpay", "kestrelpay")]


def test_a_regions_alerts_join_one_incident(config: Config) -> None:
    labels = {"client": "acme", "region": "sea", "severity": "critical"}
    keys = {
        verdict(config, alertname=name, **labels).key for name in ("RegionUnreachable", "RegionErrorRateHigh")
    }
    assert keys == {"client=acme, region=sea"}


@pytest.mark.parametrize(
    ("labels", "rule", "priority"),
    [
        pytest.param(
            {"severity": "critical", "priority": "P2"}, "everything else", "P2", id="the label counts"
        ),
        pytest.param({"severity": "info"}, "everything else", "P3", id="neither rule nor label: P3"),
        pytest.param(
            {"severity": "critical", "priority": ""}, "critical", "P1", id="an empty label does not"
        ),
        pytest.param(
            {"alertname": "PaymentSuccessLow", "service": "payments", "severity": "warning"},
            "warning",
            "P2",
            id="a slow burn of payments is no P1",
        ),
        pytest.param(
            {"alertname": "DatasourceNoData"}, "monitoring is blind", "P2", id="Grafana sees nothing"
        ),
    ],
)
def test_priority_comes_from_the_rule_then_the_label_then_the_default(
    config: Config, labels: dict[str, str], rule: str, priority: str
) -> None:
    found = verdict(config, **labels)
    assert (found.rule, found.priority) == (rule, priority)


def test_the_default_rule_stands_last_and_nothing_is_said_twice(config: Config) -> None:
    names = [rule.name for rule in config.known.rules]
    assert len(names) == len(set(names))
    assert config.known.rules[-1].match == ()


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: expected.name)
def test_what_the_rule_files_propose_is_what_triage_decides(config: Config, expected: Expected) -> None:
    found = verdict(config, alertname=expected.name, **expected.labels)
    assert found.priority == expected.labels.get("priority", "P4"), "only the watchdog proposes nothing"
    assert found.client == expected.labels["client"]


def test_every_alert_name_in_it_exists(config: Config) -> None:
    known = {rule.name for rule in ALERTS} | FROM_ELSEWHERE
    named = [m.value for rule in config.known.rules for m in rule.match if m.name == "alertname"]
    for pattern in named:
        for name in pattern.split("|"):
            assert any(re.fullmatch(name, alert) for alert in known), name


def test_the_cases_beside_the_rules_hold_and_reach_every_rule(config: Config) -> None:
    found = judge(read_cases([beside(file) for file in config.rule_files]), config.known)
    assert (found.failures, found.not_covered) == ((), ())
    assert found.cases >= len(config.known.rules)
