"""Real Prometheus and Alertmanager: from a broken channel to the webhook and back."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bridge.demo.gateway import EU, Gateway
from bridge.demo.stack import ProgramFailed, Stack, StackConfig, backfill, free_port, gateway_targets, missing
from bridge.demo.traffic import Mode
from tests.demo.loopback import Receiver, call

SWITCH = b'{"active": "standby"}'
TIMEOUT = "PaymentGatewayTimeout"

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"needs apt-get install {' '.join(missing())}")


@dataclass(frozen=True)
class Scene:
    gateway: Gateway
    stack: Stack
    receiver: Receiver


def config(work: Path, receiver: Receiver, gateway: Gateway) -> StackConfig:
    return StackConfig(
        work=work, webhook_url=f"{receiver.url}/hook", token="s3cret", targets=gateway_targets(gateway.port)
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One stack for many tests, because Prometheus takes its targets up only after five seconds."""
    receiver = Receiver()
    with Gateway() as gateway:
        settings = replace(
            config(tmp_path_factory.mktemp("stack"), receiver, gateway),
            heartbeat_url=f"{receiver.url}/heartbeat/main",
            heartbeat_interval="1s",
        )
        with Stack(settings) as stack:
            yield Scene(gateway, stack, receiver)
    receiver.stop()


@pytest.fixture
def scene(running: Scene) -> Scene:
    """Everything is well, payments go over primary and nothing fires."""
    running.gateway.recover()
    assert call(f"{running.gateway.url}/switch", b'{"active": "primary"}').status == 200
    running.stack.start()
    calm = 'min(payment_success_ratio) > 0.98 unless on () ALERTS{alertname!="Watchdog"}'
    until(lambda: ask(running.stack, calm), timeout=40)
    until(lambda: known(running.stack.alertmanager_urls[0]) <= {"Watchdog"}, timeout=40)
    running.receiver.forget()
    return running


def until(done: Callable[[], object], timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def ask(stack: Stack, promql: str, at: datetime | None = None) -> dict[str, float]:
    """The values of an instant query by the labels' text."""
    asked = {"query": promql} | ({} if at is None else {"time": str(at.timestamp())})
    heard = json.loads(call(f"{stack.prometheus_url}/api/v1/query?{urlencode(asked)}").body)
    assert heard["status"] == "success", heard
    return {json.dumps(one["metric"]): float(one["value"][1]) for one in heard["data"]["result"]}


def known(alertmanager_url: str) -> set[str]:
    """The names of the alerts this Alertmanager has."""
    alerts = json.loads(call(f"{alertmanager_url}/api/v2/alerts").body)
    return {alert["labels"]["alertname"] for alert in alerts}


def alive(pid: int) -> bool:
    """A process that has ended but was not waited for by its new parent counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def cpu_seconds() -> float:
    """Of this process and its children that have ended: the clock on the wall tells of other work, too."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def test_a_broken_channel_reaches_the_webhook_and_a_switch_resolves_it(scene: Scene) -> None:
    scene.gateway.break_channel("primary")
    firing = scene.receiver.wait(TIMEOUT, timeout=20)
    assert firing.labels.keys() >= {"client", "gateway", "region"}
    assert firing.labels["severity"] == "critical"
    assert firing.labels["service"] == "payments"
    assert "超时" in firing.annotations["summary_zh"]
    assert {"summary", "description", "runbook_url"} <= firing.annotations.keys()
    assert firing.authorization == "Bearer s3cret"
    assert min(ask(scene.stack, "payment_success_ratio").values()) < 0.9

    assert call(f"{scene.gateway.url}/switch", SWITCH).status == 200
    scene.receiver.wait(TIMEOUT, "resolved", timeout=40)
    until(lambda: min(ask(scene.stack, "payment_success_ratio").values()) > 0.98)


def test_a_restarted_alertmanager_still_tells_of_the_recovery(scene: Scene) -> None:
    scene.gateway.break_channel("primary")
    scene.receiver.wait(TIMEOUT)
    before = scene.stack.pids()
    scene.stack.restart_alertmanager()
    assert scene.stack.pids()[0] == before[0]
    assert scene.stack.pids()[1] != before[1]
    scene.gateway.recover()
    scene.receiver.wait(TIMEOUT, "resolved", timeout=40)


def test_a_crashed_alertmanager_learns_of_the_alert_again(scene: Scene) -> None:
    scene.gateway.break_channel("primary")
    scene.receiver.wait(TIMEOUT)
    scene.stack.restart_alertmanager(crash=True)
    # Whether it tells anybody depends on how old the notes are that it has on disk; so we ask it.
    until(lambda: TIMEOUT in known(scene.stack.alertmanager_urls[0]))


def test_the_health_of_each_channel_is_a_scrape_target(scene: Scene) -> None:
    scene.gateway.break_channel("standby")
    until(lambda: list(ask(scene.stack, 'up{job="pay-standby",client="acme"}').values()) == [0])
    assert list(ask(scene.stack, 'up{job="pay-primary"}').values()) == [1]


def test_without_traffic_ratios_have_no_sample_and_nothing_fires(scene: Scene) -> None:
    scene.gateway.break_channel("primary", Mode.SILENT)
    until(lambda: not ask(scene.stack, "payment_success_ratio"))
    until(lambda: not ask(scene.stack, "payment:latency_seconds:p95"))
    assert set(ask(scene.stack, "payment:requests:rate5m").values()) == {0}
    assert scene.receiver.alerts(TIMEOUT) == []


def test_an_overloaded_region_is_a_warning(scene: Scene) -> None:
    scene.gateway.overload(EU)
    heard = scene.receiver.wait("RegionSaturated", timeout=30)
    assert (heard.labels["severity"], heard.labels["region"], heard.labels["client"]) == (
        "warning",
        EU,
        "acme",
    )


def test_the_watchdog_goes_to_the_heartbeat_alone(scene: Scene) -> None:
    first = scene.receiver.wait("Watchdog")
    scene.receiver.wait("Watchdog", after=first.at)
    assert {heard.path for heard in scene.receiver.alerts("Watchdog")} == {"/heartbeat/main"}


def test_two_alertmanagers_tell_of_an_alert_once(tmp_path: Path, receiver: Receiver) -> None:
    two = StackConfig(work=tmp_path, webhook_url=f"{receiver.url}/hook", alertmanagers=2, peer_timeout="3s")
    with Stack(two) as stack:
        status = json.loads(call(f"{stack.alertmanager_urls[1]}/api/v2/status").body)
        assert len(status["cluster"]["peers"]) == 2
        receiver.wait("Watchdog", timeout=30)
        until(lambda: all("Watchdog" in known(url) for url in stack.alertmanager_urls))
        time.sleep(5)  # longer than the second one waits for the first
    assert len(receiver.alerts("Watchdog")) == 1


def test_the_token_lies_in_a_file_only_its_owner_can_read(scene: Scene) -> None:
    files = [path for path in scene.stack.config.work.rglob("*") if path.is_file()]
    holding = [path for path in files if b"s3cret" in path.read_bytes()]
    assert [path.name for path in holding] == ["token"]
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600


def test_after_a_kill_the_stack_starts_again_in_the_same_place(scene: Scene) -> None:
    pids = scene.stack.pids()
    scene.stack.kill()
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        call(scene.stack.prometheus_url)
    scene.stack.start()
    until(lambda: ask(scene.stack, 'up{job="payments"}'))


def test_programs_end_when_their_parent_is_killed(tmp_path: Path, receiver: Receiver) -> None:
    script = """
import sys, threading, time
from pathlib import Path
from bridge.demo.stack import Stack, StackConfig
stack = Stack(StackConfig(work=Path(sys.argv[1]), webhook_url=sys.argv[2]))
starter = threading.Thread(target=stack.start)
starter.start(); starter.join()
print(*stack.pids(), flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path), receiver.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(0.5)
        # Started by a thread that has ended: they must outlive the thread, not the process.
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    until(lambda: not any(alive(pid) for pid in pids), timeout=5)


def test_a_program_that_dies_at_the_start_shows_its_log(tmp_path: Path) -> None:
    wrong = StackConfig(
        work=tmp_path, webhook_url="http://127.0.0.1:9/", rules="groups: [{name: a, rules: [{}]}]"
    )
    stack = Stack(wrong)
    with pytest.raises(ProgramFailed, match=r"prometheus ended with status [12](.|\n)*rules\.yml"):
        stack.start()
    assert stack.pids() == ()


def test_missing_programs_are_named_as_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing() == ["prometheus", "prometheus-alertmanager"]
    with pytest.raises(ProgramFailed, match="apt-get install prometheus prometheus-alertmanager"):
        Stack(StackConfig(work=tmp_path, webhook_url="http://127.0.0.1:9/"))


def test_a_backfilled_month_is_answered_by_prometheus(tmp_path: Path, receiver: Receiver) -> None:
    month_ago = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    with Gateway() as gateway:
        stack = Stack(config(tmp_path, receiver, gateway))
        began = cpu_seconds()
        written = backfill(stack.data_dir, month_ago, "acme", datetime.now(UTC))
        assert cpu_seconds() - began < 8
        assert written.outage is not None
        lasting = timedelta(minutes=45)
        assert written.outage[1] - written.outage[0] == lasting
        with stack:
            at = written.outage[1]
            days = (written.end - written.start).days
            calm = at - lasting
            assert list(ask(stack, 'payment_success_ratio{client="acme"}', at).values()) == [0]
            assert min(ask(stack, 'payment_success_ratio{client="acme"}', calm).values()) > 0.99
            assert min(ask(stack, "payment:latency_seconds:p95", at).values()) > 5
            lost = ask(
                stack, f'sum(increase(payment_requests_total{{outcome="timeout"}}[{days}d]))', written.end
            )
            asked = ask(stack, "sum(increase(payment_requests_total[45m]))", at)
            # Nothing but the outage has timeouts, and in the outage there is nothing else.
            assert sum(lost.values()) == pytest.approx(sum(asked.values()), rel=0.15)
            # Every ten minutes of the month has a value, the last one too.
            seen = ask(stack, f"count_over_time(payment_success_ratio[{days}d:10m])", written.end)
            assert list(seen.values()) in ([days * 144], [days * 144 + 1])
            for name in ("node_load1", "node_cpu_seconds_total", "up"):
                assert ask(stack, f'count({name}{{client="acme"}})', written.end), name
            until(lambda: ask(stack, 'rate(payment_requests_total{outcome="ok"}[8s])'))


def test_history_ends_at_the_present_and_never_begins_in_the_future(tmp_path: Path) -> None:
    now = datetime(2026, 2, 3, 12, 1, tzinfo=UTC)
    written = backfill(tmp_path, "2026-02", "acme", now)
    assert written.end == datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
    assert written.start == datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
    with pytest.raises(ValueError, match="2026-03 has not begun"):
        backfill(tmp_path, "2026-03", "acme", now)


def test_free_ports_can_be_listened_on() -> None:
    with Gateway(replace(Gateway().config, port=free_port())) as gateway:
        assert call(f"{gateway.url}/health").status == 200
