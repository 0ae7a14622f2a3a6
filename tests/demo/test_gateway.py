"""The simulated payment gateway: its metrics, its health, and above all how it takes switch orders."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.demo.gateway import EU, Gateway, GatewayConfig
from bridge.demo.stack import free_port
from bridge.demo.switchboard import Switchboard, SwitchOrder, Trouble, Verdict, sign
from bridge.demo.traffic import Mode
from tests.demo.loopback import Heard, call

STANDBY = b'{"active": "standby"}'
PRIMARY = b'{"active": "primary"}'


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


def switch(gateway: Gateway, body: bytes = STANDBY, **headers: str) -> Heard:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(gateway.url + "/switch", body, named)


def verdicts(gateway: Gateway) -> list[Verdict]:
    return [entry.verdict for entry in gateway.ledger()]


def value(simulated: Gateway, sample: str, /, **labels: str) -> float:
    """The sum over all series of this name with these labels."""
    text = simulated.metrics().decode()
    return sum(
        found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if found.name == sample and labels.items() <= found.labels.items()
    )


def outcomes(gateway: Gateway) -> dict[str, float]:
    names = ("ok", "error", "timeout")
    return {name: value(gateway, "payment_requests_total", outcome=name) for name in names}


def test_payments_are_booked_for_the_time_that_has_passed() -> None:
    clock = Clock()
    gateway = Gateway(clock=clock)
    clock.now = 60.0
    labels = {"client": "acme", "service": "payments", "gateway": "harbourpay", "region": EU}
    assert value(gateway, "payment_requests_total", **labels, outcome="ok") == 1200
    assert value(gateway, "payment_request_duration_seconds_count", **labels) == 1200
    assert value(gateway, "payment_requests_total", **labels, outcome="timeout") == 0


def test_looking_often_books_the_same_payments_as_looking_once() -> None:
    often, once = Clock(), Clock()
    watched, ignored = Gateway(clock=often), Gateway(clock=once)
    for gateway in (watched, ignored):
        gateway.break_channel("primary", Mode.ERRORS, ratio=0.3)
    for _ in range(1000):
        often.now += 0.125
        watched.metrics()
    once.now = often.now
    assert outcomes(watched) == outcomes(ignored) == {"ok": 3500, "error": 1500, "timeout": 0}
    for le in ("0.1", "0.25", "0.5"):
        counts = [
            value(each, "payment_request_duration_seconds_bucket", le=le) for each in (watched, ignored)
        ]
        assert counts[0] == counts[1] > 0


def test_a_timed_out_channel_books_timeouts_of_ten_seconds() -> None:
    clock = Clock()
    gateway = Gateway(clock=clock)
    gateway.break_channel("primary", Mode.TIMEOUT)
    clock.now = 10.0
    assert outcomes(gateway) == {"ok": 0, "error": 0, "timeout": 400}
    assert value(gateway, "payment_request_duration_seconds_bucket", le="5.0") == 0
    assert value(gateway, "payment_request_duration_seconds_bucket", le="10.0") == 400
    assert value(gateway, "payment_queue_depth") == 406


def test_the_error_ratio_is_kept_exactly_over_a_hundred_payments() -> None:
    clock = Clock()
    gateway = Gateway(clock=clock)
    gateway.break_channel("primary", Mode.ERRORS, ratio=0.37)
    clock.now = 5.0
    assert outcomes(gateway) == {"ok": 126, "error": 74, "timeout": 0}


def test_a_silent_channel_books_nothing_and_a_slow_one_still_succeeds() -> None:
    clock = Clock()
    gateway = Gateway(clock=clock)
    gateway.break_channel("primary", Mode.SILENT)
    clock.now = 10.0
    assert outcomes(gateway) == {"ok": 0, "error": 0, "timeout": 0}
    gateway.break_channel("primary", Mode.SLOW)
    clock.now = 20.0
    assert outcomes(gateway) == {"ok": 400, "error": 0, "timeout": 0}
    assert value(gateway, "payment_request_duration_seconds_bucket", le="1.0") == 0


def test_after_a_switch_payments_no_longer_feel_the_broken_channel() -> None:
    clock = Clock()
    with Gateway(clock=clock) as gateway:
        gateway.break_channel("primary", Mode.TIMEOUT)
        clock.now = 10.0
        assert switch(gateway).status == 200
        clock.now = 20.0
        assert outcomes(gateway) == {"ok": 400, "error": 0, "timeout": 400}
        assert value(gateway, "payment_gateway_active", channel="standby") == 1
        assert value(gateway, "payment_gateway_active", channel="primary") == 0


def test_hosts_of_a_region_can_be_overloaded_and_their_disks_filled() -> None:
    clock = Clock()
    gateway = Gateway(clock=clock)
    gateway.overload(EU, load=18.0)
    gateway.fill_disk(EU, used=0.96)
    clock.now = 100.0
    assert value(gateway, "node_load1", region=EU) == 18
    assert value(gateway, "node_load1", region="ap-east-1") < 1
    idle = value(gateway, "node_cpu_seconds_total", region=EU, cpu="0", mode="idle")
    assert idle == pytest.approx(100 * 0.02)
    size = value(gateway, "node_filesystem_size_bytes", region=EU, mountpoint="/")
    assert value(gateway, "node_filesystem_avail_bytes", region=EU) == pytest.approx(size * 0.04)
    assert value(gateway, "node_memory_MemAvailable_bytes", region=EU) < value(
        gateway, "node_memory_MemTotal_bytes", region=EU
    )
    gateway.recover()
    assert value(gateway, "node_load1", region=EU) < 1
    with pytest.raises(ValueError, match="mars"):
        gateway.overload("mars")


def test_health_tells_of_each_channel_and_of_the_active_one(gateway: Gateway) -> None:
    gateway.break_channel("primary", Mode.TIMEOUT)
    paths = ("/health", "/channels/primary/health", "/channels/standby/health")
    assert [call(gateway.url + path).status for path in paths] == [503, 503, 200]
    switch(gateway)
    assert call(gateway.url + "/health").status == 200
    assert call(gateway.url + "/channels/backup/health").status == 404


def test_metrics_are_served_in_a_form_prometheus_reads(gateway: Gateway) -> None:
    heard = call(gateway.url + "/metrics")
    names = {family.name for family in text_string_to_metric_families(heard.body.decode())}
    assert {"payment_requests", "payment_request_duration_seconds", "node_load1"} <= names


def test_the_state_starts_on_primary_and_follows_a_switch(gateway: Gateway) -> None:
    assert call(gateway.url + "/state").json == {"active": "primary", "token": 0, "switches": 0}
    assert switch(gateway, Fencing_Token="3").json["active"] == "standby"
    assert call(gateway.url + "/state").json == {"active": "standby", "token": 3, "switches": 1}


def test_the_same_key_again_gets_the_same_answer_and_no_second_switch(gateway: Gateway) -> None:
    first = switch(gateway, STANDBY, Idempotency_Key="run-1", Fencing_Token="1")
    switch(gateway, PRIMARY, Idempotency_Key="run-2", Fencing_Token="2")
    again = switch(gateway, STANDBY, Idempotency_Key="run-1", Fencing_Token="1")
    assert again == first
    assert gateway.state() == {"active": "primary", "token": 2, "switches": 2}
    assert verdicts(gateway) == [Verdict.SWITCHED, Verdict.SWITCHED, Verdict.REPLAYED]


def test_a_key_cannot_be_used_for_another_order(gateway: Gateway) -> None:
    switch(gateway, STANDBY, Idempotency_Key="run-1")
    assert switch(gateway, PRIMARY, Idempotency_Key="run-1").status == 422
    assert gateway.active == "standby"


@pytest.mark.parametrize("token", ["5", "4"])
def test_an_old_token_under_another_key_is_stale(gateway: Gateway, token: str) -> None:
    switch(gateway, STANDBY, Idempotency_Key="run-1", Fencing_Token="5")
    late = switch(gateway, PRIMARY, Idempotency_Key="run-2", Fencing_Token=token)
    assert (late.status, late.json) == (409, {"error": "stale token"})
    assert gateway.state() == {"active": "standby", "token": 5, "switches": 1}


def test_tokens_grow_even_when_the_channel_is_active_already(gateway: Gateway) -> None:
    assert switch(gateway, PRIMARY, Fencing_Token="7").json["changed"] is False
    assert gateway.state() == {"active": "primary", "token": 7, "switches": 0}


@pytest.mark.parametrize("body", [b'{"active": "backup"}', b"{}", b"[]", b"", b"\xff", b'"standby"'])
def test_an_order_for_an_unknown_channel_is_refused_and_recorded(gateway: Gateway, body: bytes) -> None:
    assert switch(gateway, body).status == 422
    assert verdicts(gateway) == [Verdict.INVALID]
    assert gateway.active == "primary"


@pytest.mark.parametrize("token", ["-1", "1.5", "one", "²", ""])
def test_a_token_that_is_no_whole_number_is_refused(gateway: Gateway, token: str) -> None:
    assert switch(gateway, Fencing_Token=token.encode().decode("latin-1")).status == 422
    assert gateway.active == "primary"


def test_only_orders_signed_over_the_exact_body_are_obeyed() -> None:
    secret = b"shared"
    with Gateway(GatewayConfig(secret=secret)) as gateway:
        forged = [None, "", "sha256=", sign(b"other", STANDBY), sign(secret, PRIMARY), "sha256=\xe9"]
        for signature in forged:
            headers = {} if signature is None else {"X_Bridge_Signature": signature}
            assert switch(gateway, STANDBY, **headers).status == 401
        assert gateway.state()["switches"] == 0
        assert verdicts(gateway) == [Verdict.UNSIGNED] * len(forged)
        signed = switch(gateway, STANDBY, X_Bridge_Signature=sign(secret, STANDBY))
        assert signed.status == 200
        assert gateway.active == "standby"


def test_a_lost_answer_leaves_the_switch_done_and_the_retry_answered(gateway: Gateway) -> None:
    gateway.break_switch(Trouble.LOSE_ANSWER, times=1)
    with pytest.raises(http.client.RemoteDisconnected):
        switch(gateway, Idempotency_Key="run-1", Fencing_Token="1")
    assert gateway.active == "standby"
    retry = switch(gateway, Idempotency_Key="run-1", Fencing_Token="1")
    assert (retry.status, retry.json["active"]) == (200, "standby")
    assert gateway.state()["switches"] == 1
    assert [entry.answered for entry in gateway.ledger()] == [False, True]


def test_a_lying_gateway_says_done_and_stays_where_it_is(gateway: Gateway) -> None:
    gateway.break_switch(Trouble.LIE)
    assert switch(gateway).json["active"] == "standby"
    assert gateway.state() == {"active": "primary", "token": 0, "switches": 0}
    assert value(gateway, "payment_gateway_active", channel="primary") == 1
    assert verdicts(gateway) == [Verdict.LIED]


def test_a_refusal_is_not_remembered_under_its_key(gateway: Gateway) -> None:
    gateway.break_switch(Trouble.REFUSE, times=2)
    statuses = [switch(gateway, Idempotency_Key="run-1").status for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert gateway.state()["switches"] == 1


def test_a_hanging_switch_answers_nothing_and_lets_go_on_recovery(gateway: Gateway) -> None:
    gateway.break_switch(Trouble.HANG)
    with pytest.raises(TimeoutError):
        call(gateway.url + "/switch", STANDBY, timeout=0.3)
    assert gateway.active == "primary"
    threading.Timer(0.2, gateway.recover).start()
    with pytest.raises(http.client.RemoteDisconnected):
        switch(gateway)
    assert switch(gateway).status == 200
    assert verdicts(gateway) == [Verdict.HUNG, Verdict.HUNG, Verdict.SWITCHED]


def test_many_retries_at_once_switch_once() -> None:
    switchboard = Switchboard(route=lambda _: time.sleep(0.05), secret=None, ledger_file=None)
    order = SwitchOrder(STANDBY, key="run-1", token="1")
    threads = [threading.Thread(target=switchboard.order, args=(order,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdicts = [entry.verdict for entry in switchboard.ledger()]
    assert verdicts == [Verdict.SWITCHED] + [Verdict.REPLAYED] * 9
    assert switchboard.state()["switches"] == 1


def test_the_ledger_file_holds_a_line_for_every_order(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    with Gateway(GatewayConfig(ledger_file=file)) as gateway:
        switch(gateway, Idempotency_Key="run-1", Fencing_Token="1")
        switch(gateway, b"nonsense")
        served = json.loads(call(gateway.url + "/ledger").body)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == served
    assert [line["verdict"] for line in lines] == ["switched", "invalid"]
    assert lines[0]["key"] == "run-1"


def test_faults_are_set_over_http_and_recovered(gateway: Gateway) -> None:
    faults: list[dict[str, object]] = [
        {"fault": "channel", "channel": "standby", "mode": "errors", "ratio": 0.4},
        {"fault": "switch", "trouble": "refuse"},
        {"fault": "overload", "region": EU, "load": 12},
        {"fault": "disk"},
    ]
    for fault in faults:
        assert call(gateway.url + "/fault", json.dumps(fault).encode()).status == 200
    assert call(gateway.url + "/channels/standby/health").status == 503
    assert switch(gateway).status == 503
    assert value(gateway, "node_load1", region=EU) == 12
    assert call(gateway.url + "/fault", b'{"fault": "recover"}').status == 200
    assert call(gateway.url + "/channels/standby/health").status == 200
    assert switch(gateway).status == 200
    assert value(gateway, "node_load1", region=EU) < 1


@pytest.mark.parametrize(
    "body",
    [b"", b'{"fault": "quake"}', b'{"fault": "overload", "region": "mars"}',
     b'{"fault": "channel", "channel": "primary", "mode": "errors", "ratio": 2}'],
)  # fmt: skip
def test_a_fault_that_does_not_exist_changes_nothing(gateway: Gateway, body: bytes) -> None:
    assert call(gateway.url + "/fault", body).status == 422
    assert call(gateway.url + "/health").status == 200


def test_a_stopped_gateway_is_gone_and_comes_back_where_it_was() -> None:
    gateway = Gateway().start()
    switch(gateway)
    gateway.stop()
    with pytest.raises(ConnectionRefusedError):
        call(gateway.url + "/state")
    with gateway:
        assert call(gateway.url + "/state").json["active"] == "standby"


def test_it_runs_on_its_own_and_ends_when_told_to() -> None:
    port = free_port()
    command = [sys.executable, "-m", "bridge.demo.gateway", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 10
        while True:
            try:
                heard = call(f"http://127.0.0.1:{port}/state")
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert heard.json["active"] == "primary"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
