"""The files in deploy/: accepted by the programs that read them, and fitting together."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.metrics import Metrics
from bridge.wiring import read_config
from tests.alert_rules.rule_files import DEPLOY, RULE_FILES, RULES, read, run

PROMETHEUS = DEPLOY / "prometheus.example.yml"
ALERTMANAGER = DEPLOY / "alertmanager.example.yml"
DASHBOARD = DEPLOY / "grafana" / "opsbridge.json"


def manifests() -> list[dict[str, Any]]:
    """Every Kubernetes object but the kustomization itself."""
    paths = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [
        found
        for path in paths
        if path.name != "kustomization.yaml"
        for found in yaml.safe_load_all(path.read_text("utf-8"))
    ]


def dashboard_queries() -> list[str]:
    """Every PromQL expression of the dashboard, with Grafana's variables filled in."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    found += [note["expr"] for note in dashboard["annotations"]["list"]]
    return [expr.replace("$__rate_interval", "5m") for expr in found]


def webhooks() -> list[dict[str, Any]]:
    """The receivers that lead to the bridge."""
    receivers = read(ALERTMANAGER)["receivers"]
    hooks = [hook for receiver in receivers for hook in receiver.get("webhook_configs", [])]
    return [hook for hook in hooks if hook["url"].startswith("http://bridge:")]


def test_prometheus_accepts_the_example_together_with_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for path in RULE_FILES:
        shutil.copy(path, tmp_path / "rules")
    shutil.copy(PROMETHEUS, tmp_path / "prometheus.yml")
    said = run("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert f"{len(RULE_FILES)} rule files found" in said


def test_the_example_loads_every_rule_file_by_name_and_not_the_bridges_own() -> None:
    names = [Path(name).name for name in read(PROMETHEUS)["rule_files"]]
    assert sorted(names) == [path.name for path in RULE_FILES]


def test_every_example_target_names_its_client_service_and_region() -> None:
    for job in read(PROMETHEUS)["scrape_configs"]:
        for group in job["static_configs"]:
            assert {"client", "service", "region"} <= set(group["labels"]), job["job_name"]


@pytest.mark.parametrize("job", ["opsbridge", "payments"])
def test_exporters_with_a_client_label_of_their_own_keep_it(job: str) -> None:
    found = {each["job_name"]: each for each in read(PROMETHEUS)["scrape_configs"]}
    assert found[job].get("honor_labels") is True


def test_every_job_a_rule_asks_for_is_in_the_example() -> None:
    jobs = {each["job_name"] for each in read(PROMETHEUS)["scrape_configs"]}
    for path in RULE_FILES:
        for asked in re.findall(r'job="(\w+)"', path.read_text("utf-8")):
            assert asked in jobs, f"{path.name} asks for job {asked}"


def test_alertmanager_accepts_the_example() -> None:
    run("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=Watchdog", "severity=info"], "heartbeat"),
        (["severity=critical", "priority=P1", "client=acme", "service=payments"], "bridge"),
        (["severity=warning", "client=acme", "service=orders"], "bridge"),
        (["severity=critical", "client=platform", "service=opsbridge"], "mail-past-the-bridge,bridge"),
        (["severity=critical", "client=platform", "service=monitoring"], "mail-past-the-bridge,bridge"),
    ],
)
def test_alerts_take_the_route_that_is_promised(labels: list[str], receivers: str) -> None:
    flags = [f"--config.file={ALERTMANAGER}", f"--verify.receivers={receivers}"]
    run("amtool", "config", "routes", "test", *flags, *labels)


def test_no_alert_is_cut_off_redirected_or_sent_without_a_token_on_its_way() -> None:
    hooks = webhooks()
    assert [hook["url"].split("8080")[1] for hook in hooks] == [
        "/ingest/alertmanager/main",
        "/heartbeat/watchdog",
    ]
    for hook in hooks:
        assert hook["max_alerts"] == 0
        assert hook["http_config"]["follow_redirects"] is False
        assert hook["http_config"]["authorization"]["credentials_file"]
    assert webhooks()[0]["send_resolved"] is True


def test_the_dashboard_asks_questions_prometheus_understands(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}:x", "expr": expr} for number, expr in enumerate(dashboard_queries())]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    run("promtool", "check", "rules", file)


def test_dashboard_and_rules_use_only_metrics_and_labels_the_bridge_has() -> None:
    # There is no public way to the label names of a metric that has no sample yet.
    known = {name: set(of._labelnames) for name, of in Metrics().registry._names_to_collectors.items()}
    groups = read(RULES / "bridge.yml")["groups"]
    texts = [*dashboard_queries(), *(rule["expr"] for group in groups for rule in group["rules"])]
    for text in texts:
        for name, matchers in re.findall(r"\b(bridge_\w+)(\{[^}]*\})?", text):
            assert name in known, f"the bridge has no metric {name}"
            for label in re.findall(r"(\w+)\s*[!=]~?\s*\"", matchers):
                assert label in known[name] | {"instance", "job"}, f"{name} has no label {label}"


def test_every_panel_says_what_to_see_in_it() -> None:
    panels = [p for p in json.loads(DASHBOARD.read_text("utf-8"))["panels"] if p["type"] != "row"]
    assert all(panel["description"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_compose_watches_every_service_and_keeps_secrets_in_files() -> None:
    compose = read(DEPLOY / "compose.yml")
    services = compose["services"]
    assert {"bridge", "db", "prometheus", "alertmanager"} <= set(services)
    for name, service in services.items():
        assert name == "migrate" or service["healthcheck"]["test"], f"{name} has no health check"
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        for variable, value in service.get("environment", {}).items():
            assert variable.endswith("_FILE") or not re.search("PASSWORD|TOKEN|KEY|SECRET", variable), value
    assert all(secret["file"].startswith("./secrets/") for secret in compose["secrets"].values())
    assert "secrets/" in (DEPLOY / ".gitignore").read_text("utf-8").split()


def test_compose_opens_nothing_to_the_outside() -> None:
    for name, service in read(DEPLOY / "compose.yml")["services"].items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_bridge_may_reach_the_network_compose_makes() -> None:
    subnet = read(DEPLOY / "compose.yml")["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert subnet in read(DEPLOY / "bridge.example.yml")["egress"]["allow"]


@pytest.mark.parametrize("place", ["compose", "kubernetes"])
def test_the_bridge_accepts_the_example_configuration(place: str, tmp_path: Path) -> None:
    text = (DEPLOY / "bridge.example.yml").read_text("utf-8")
    triage = "- {name: everything else, priority: P2, policy: page}"
    if place == "kubernetes":
        data = next(each["data"] for each in manifests() if each["kind"] == "ConfigMap")
        text, triage = data["bridge.yml"], data["triage.yml"]
    for folder in ("alert_rules", "."):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "triage.yml").write_text(triage, "utf-8")
    for secret in set(re.findall(r"/run/secrets/\S+?(?=[,}\s])", text)):
        file = tmp_path / Path(secret).name
        file.write_text("postgresql+psycopg://opsbridge:x@db/opsbridge", "utf-8")
        text = text.replace(secret, str(file))
    config = tmp_path / "bridge.yml"
    config.write_text(text, "utf-8")
    assert read_config(config).url == "https://bridge.example"


def test_pods_that_serve_are_asked_whether_they_are_healthy_and_ready() -> None:
    deployments = [each for each in manifests() if each["kind"] == "Deployment"]
    assert {each["metadata"]["name"] for each in deployments} == {"opsbridge-web", "opsbridge-worker"}
    for each in deployments:
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
        assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"
        assert each["spec"]["selector"]["matchLabels"] == each["spec"]["template"]["metadata"]["labels"]


def test_pods_run_without_root_without_rights_and_without_a_writable_system() -> None:
    for each in manifests():
        if each["kind"] in {"Deployment", "Job"}:
            pod = each["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["automountServiceAccountToken"] is False
            for container in pod["containers"]:
                assert container["securityContext"]["readOnlyRootFilesystem"] is True
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_kustomization_names_every_file_but_the_secret_example() -> None:
    listed = set(read(DEPLOY / "kubernetes" / "kustomization.yaml")["resources"])
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert listed == there - {"kustomization.yaml", "secret.example.yaml"}


def test_every_secret_the_configuration_reads_is_in_the_secret_example() -> None:
    objects = {each["kind"]: each for each in manifests()}
    asked = set(re.findall(r"/run/secrets/opsbridge/(\w+)", objects["ConfigMap"]["data"]["bridge.yml"]))
    assert asked == set(objects["Secret"]["stringData"])


def test_the_service_unit_checks_the_configuration_before_it_starts_and_never_gives_up() -> None:
    unit = (DEPLOY / "systemd" / "opsbridge.service").read_text("utf-8")
    starts = ("bridge check", "bridge db upgrade", "bridge run", "Restart=always", "StartLimitIntervalSec=0")
    walls = (
        "ProtectSystem=strict",
        "NoNewPrivileges=true",
        "CapabilityBoundingSet=\n",
        "PrivateDevices=true",
    )
    for line in (*starts, *walls):
        assert line in unit, line
