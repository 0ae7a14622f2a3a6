"""What Prometheus and Alertmanager are told: their configuration files and command lines."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from bridge.demo.listener import LOOPBACK
from bridge.demo.rules import demo_rules
from bridge.demo.traffic import SERVICE

Tree = dict[str, object]
RECEIVER: Final = "bridge"
HEARTBEAT: Final = "heartbeat"


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """`labels` are put on every series that does not have them itself."""

    job: str
    address: str
    path: str = "/metrics"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StackConfig:
    """Durations are written as Prometheus does: 500ms, 2s, 4h."""

    work: Path
    webhook_url: str
    token: str | None = None
    """Bearer token for webhook and heartbeat; kept in a file that only its owner can read."""
    targets: tuple[ScrapeTarget, ...] = ()
    rules: str = field(default_factory=demo_rules)
    heartbeat_url: str | None = None
    """Where Watchdog goes; without it, to the webhook like every other alert."""
    scrape_interval: str = "1s"
    evaluation_interval: str = "1s"
    resend_delay: str = "5s"
    group_by: tuple[str, ...] = ("alertname", "client", "service")
    group_wait: str = "1s"
    group_interval: str = "2s"
    repeat_interval: str = "1m"
    heartbeat_interval: str = "5s"
    alertmanagers: int = 1
    peer_timeout: str = "15s"
    retention: str = "400d"


def gateway_targets(port: int, client: str = "acme") -> tuple[ScrapeTarget, ...]:
    """List the jobs `payments`, `pay-primary` and `pay-standby` of a gateway on this loopback port.

    Hosts and `up` are counted as the client's.
    """
    paths = {
        "payments": "/metrics",
        "pay-primary": "/channels/primary/metrics",
        "pay-standby": "/channels/standby/metrics",
    }
    return tuple(
        # The job instead of the address: history goes on under the same labels on another port.
        ScrapeTarget(job, f"{LOOPBACK}:{port}", path, {"client": client, "service": SERVICE, "instance": job})
        for job, path in paths.items()
    )


def write_prometheus(config: StackConfig, folder: Path, alertmanager_ports: Sequence[int]) -> None:
    """Write prometheus.yml and rules.yml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(config.rules, encoding="utf-8")
    _write_yaml(folder / "prometheus.yml", _prometheus_tree(config, alertmanager_ports))


def write_alertmanager(config: StackConfig, folder: Path) -> None:
    """Write alertmanager.yml and the token file."""
    folder.mkdir(parents=True, exist_ok=True)
    token_file = folder / "token"
    if config.token is not None:
        _write_private(token_file, config.token)
    _write_yaml(folder / "alertmanager.yml", _alertmanager_tree(config, token_file))


def prometheus_argv(config: StackConfig, binary: str, folder: Path, port: int) -> list[str]:
    """Give the command line of Prometheus."""
    return [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={config.retention}",
        f"--web.listen-address={LOOPBACK}:{port}",
        f"--rules.alert.resend-delay={config.resend_delay}",
        # Keeps `for:` of seconds short after a restart, too; the default waits ten minutes.
        "--rules.alert.for-grace-period=1s",
    ]


def alertmanager_argv(
    config: StackConfig,
    binary: str,
    folder: Path,
    port: int,
    gossip_ports: Sequence[int],
    index: int,
) -> list[str]:
    """`gossip_ports` are those of all peers; `index` is ours among them."""
    argv = [
        binary,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
    ]
    if len(gossip_ports) == 1:
        return [*argv, "--cluster.listen-address="]
    own = f"{LOOPBACK}:{gossip_ports[index]}"
    others = [other for place, other in enumerate(gossip_ports) if place != index]
    return [
        *argv,
        f"--cluster.listen-address={own}",
        f"--cluster.advertise-address={own}",
        f"--cluster.peer-timeout={config.peer_timeout}",
        # Notifications are held back until gossip has settled: some 30 of these intervals.
        "--cluster.gossip-interval=50ms",
        *(f"--cluster.peer={LOOPBACK}:{other}" for other in others),
    ]


def _prometheus_tree(config: StackConfig, alertmanager_ports: Sequence[int]) -> Tree:
    alertmanagers = [f"{LOOPBACK}:{port}" for port in alertmanager_ports]
    return {
        "global": {
            "scrape_interval": config.scrape_interval,
            "scrape_timeout": config.scrape_interval,
            "evaluation_interval": config.evaluation_interval,
        },
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": alertmanagers}]}]},
        "scrape_configs": [_scrape_tree(target) for target in config.targets],
    }


def _scrape_tree(target: ScrapeTarget) -> Tree:
    return {
        "job_name": target.job,
        "metrics_path": target.path,
        # Host metrics name their own instance.
        "honor_labels": True,
        "static_configs": [{"targets": [target.address], "labels": dict(target.labels)}],
    }


def _alertmanager_tree(config: StackConfig, token_file: Path) -> Tree:
    urls = {RECEIVER: config.webhook_url}
    route: Tree = {
        "receiver": RECEIVER,
        "group_by": list(config.group_by),
        "group_wait": config.group_wait,
        "group_interval": config.group_interval,
        "repeat_interval": config.repeat_interval,
    }
    if config.heartbeat_url is not None:
        urls[HEARTBEAT] = config.heartbeat_url
        heartbeat = {
            "receiver": HEARTBEAT,
            "matchers": ['alertname="Watchdog"'],
            "group_interval": "1s",
            "repeat_interval": config.heartbeat_interval,
        }
        route["routes"] = [heartbeat]
    private = token_file if config.token is not None else None
    receivers = [_receiver_tree(name, url, private) for name, url in urls.items()]
    return {"route": route, "receivers": receivers}


def _receiver_tree(name: str, url: str, token_file: Path | None) -> Tree:
    webhook: Tree = {"url": url, "send_resolved": True}
    if token_file is not None:
        authorization = {"type": "Bearer", "credentials_file": str(token_file)}
        webhook["http_config"] = {"authorization": authorization}
    return {"name": name, "webhook_configs": [webhook]}


def _write_yaml(path: Path, tree: Tree) -> None:
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def _write_private(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secret)
