"""The whole report against a real Prometheus with backfilled data: figures equal the planted truth."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from bridge.delivery import Outbound
from health_report import report
from health_report.month import period
from health_report.section import View
from health_report.sections import availability, payments
from health_report.words import Words
from tests.health_report import synthetic

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="Prometheus is not installed"
)

START = datetime(2026, 9, 30, 16, tzinfo=UTC)  # October in Shanghai
NOW = START + timedelta(days=2)
EVERY = 60
OUTAGE = range(600, 640)  # minutes in which half of the payments fail
GAP = range(1000, 1120)  # minutes without any scrape
RESTART = 1500  # minute in which every counter starts again
BUCKET = "payment_request_duration_seconds_bucket"
PER_MINUTE = {"acme": 60, "rival": 600}


def openmetrics() -> tuple[str, float]:
    """Two days of counters and loads, and acme's true availability over what was scraped."""
    lines: dict[str, list[str]] = {"requests": [], "load": [], "bucket": []}
    good = total = 0.0
    for client, rate in PER_MINUTE.items():
        ok = bad = 0.0
        for minute in range(2 * 24 * 60 + 1):
            failing = minute in OUTAGE and client == "acme"
            ok, bad = (
                (0.0, 0.0)
                if minute == RESTART
                else (ok + rate * (0.5 if failing else 1), bad + rate * (0.5 if failing else 0))
            )
            if minute in GAP:
                continue
            if client == "acme" and minute and minute - 1 not in GAP:
                good, total = good + rate * (0.5 if failing else 1), total + rate
            at = START.timestamp() + minute * EVERY
            labels = f'client="{client}",service="payments",gateway="alipay",region="eu-west-1"'
            lines["requests"] += [f'payment_requests_total{{{labels},outcome="ok"}} {ok} {at}']
            lines["requests"] += [f'payment_requests_total{{{labels},outcome="error"}} {bad} {at}']
            for bound, share in (("0.5", 0.9), ("1", 1.0), ("+Inf", 1.0)):
                lines["bucket"] += [f'{BUCKET}{{{labels},le="{bound}"}} {(ok + bad) * share} {at}']
            load = 3.8 if client == "acme" else 0.4
            lines["load"] += [f'node_load1{{instance="{client}-1",region="{client}-region"}} {load} {at}']
    body = "\n".join(
        [
            "# TYPE payment_requests counter",
            *lines["requests"],
            "# TYPE node_load1 gauge",
            *lines["load"],
            f"# TYPE {BUCKET} unknown",
            *lines["bucket"],
            "# EOF",
            "",
        ]
    )
    return body, good / total


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    folder = tmp_path_factory.mktemp("prometheus")
    text, truth = openmetrics()
    (folder / "data.om").write_text(text)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    data = folder / "data"
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "data.om", data],
        check=True,
        capture_output=True,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/-/ready")
            yield f"http://127.0.0.1:{port}", truth
        finally:
            process.terminate()


def _wait(url: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise TimeoutError(url)


def order(folder: Path, url: str) -> report.Request:
    outbound = Outbound(allow=[ipaddress.ip_network("127.0.0.0/8")])
    return synthetic.request(
        folder,
        outbound=outbound,
        prometheus=(url,),
        now=NOW,
        step=300.0,
        language="en",
        hosts="",
        formats=("html",),
    )


def test_figures_equal_the_planted_truth(prometheus: tuple[str, float], tmp_path: Path) -> None:
    url, truth = prometheus
    request = order(tmp_path, url)
    facts = report.collect(request, period(request.month, request.time_zone, request.now))
    assert [r.error for r in facts.results if r.error] == []
    view = View(facts, Words("en", facts.zone), "Acme", "f" * 64)
    standing = next(
        s for s in availability.standings_of(view, availability.Settings()) if s.service == "payments"
    )
    assert standing.now is not None
    assert abs(standing.now.seen - truth) < 0.0001
    assert 110 * 60 <= standing.now.coverage.blind_seconds <= 125 * 60
    assert standing.now.with_blind == pytest.approx(truth * (1 - 120 / 2880), abs=0.003)
    (channel,) = payments.channels_of(view, view.grid)
    assert channel.p95 == pytest.approx(0.75, abs=0.01)
    assert channel.volume == pytest.approx(60 * (2880 - 120), rel=0.02)  # acme's alone, not the rival's


def test_the_report_tells_it(prometheus: tuple[str, float], tmp_path: Path) -> None:
    made = report.build(order(tmp_path, prometheus[0]))
    text = made.paths[0].read_text("utf-8")
    assert "The service payments missed its promise" in text
    assert "acme-region" in text
    assert "This month is not over" in text
    assert "no data for" in text
