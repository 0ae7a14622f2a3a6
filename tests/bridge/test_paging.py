"""Sending pages: the provider's yes counts, everything else is retried or moved on. Both databases."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import responses
from sqlalchemy import select

from bridge import operations, paging
from bridge.store import outbox
from bridge.store.schema import tasks
from tests.conftest import START
from tests.stories import LI, alert, kinds, read, tell

PRIMARY, SECOND = "http://127.0.0.1:9/primary", "http://127.0.0.1:9/second"
CHANNELS = """
trackers:
  board: {type: console}
"""


@pytest.fixture
def sent(make_bridge):
    """A bridge whose first channel is a webhook, with one P1 waiting to be paged."""
    bridge = make_bridge()
    file = bridge.config
    channels = {
        **file.channels,
        "li-chat": _webhook("li-chat", PRIMARY),
        "li-mail": _webhook("li-mail", SECOND),
    }
    object.__setattr__(file, "channels", channels)
    tell(bridge, alert(starts=START))
    return bridge


def _webhook(name, url, **budget):
    from bridge.channels.webhook import Settings
    from bridge.config.settings import Budget, Typed

    return Typed(name, "webhook", Settings(url=url, budget=Budget(**budget)))


def work(bridge, times=1):
    """Claim and run what is due."""
    done = 0
    for _ in range(times):
        claimed = bridge.database.run(lambda c: outbox.claim(c, bridge.owner, bridge.now(), ("page",), 10))
        for task in claimed:
            paging.run_page(bridge, task)
            done += 1
    return done


def rows(bridge):
    with bridge.database.reading() as connection:
        found = connection.execute(select(tasks).where(tasks.c.kind == "page").order_by(tasks.c.id)).all()
    return [(row.channel, row.state, row.attempts, row.error) for row in found]


@responses.activate
def test_an_accepted_page_is_done_and_stands_on_the_timeline(sent):
    responses.post(PRIMARY, status=204)
    work(sent)
    assert rows(sent) == [("li-chat", "done", 1, "")]
    assert kinds(sent)[-1] == "told"
    body = responses.calls[0].request.body
    assert "10 分钟内响应".encode() in body


@responses.activate
def test_a_busy_provider_is_asked_again_after_a_pause(sent, clock):
    responses.post(PRIMARY, status=503)
    responses.post(PRIMARY, status=200)
    work(sent)
    assert rows(sent)[0][1:3] == ("pending", 1)
    assert work(sent) == 0, "not before the pause is over"
    clock.forward(seconds=5)
    work(sent)
    assert rows(sent)[0][1:3] == ("done", 2)


@responses.activate
def test_a_permanent_refusal_goes_on_with_the_next_channel_at_once(sent):
    responses.post(PRIMARY, status=401)
    responses.post(SECOND, status=200)
    work(sent, times=2)
    assert rows(sent) == [("li-chat", "dead", 1, "127.0.0.1 answered 401"), ("li-mail", "done", 1, "")]
    assert kinds(sent)[-2:] == ["not_told", "told"]


@responses.activate
def test_three_failures_move_the_page_on_within_a_minute(sent, clock):
    responses.post(PRIMARY, status=500)
    responses.post(SECOND, status=200)
    began = clock.moment
    while rows(sent)[-1][1] != "done":
        work(sent)
        clock.forward(seconds=1)
    took = (clock.moment - began).total_seconds()
    assert took < 60
    counted = sent.metrics.registry.get_sample_value("bridge_alert_to_page_seconds_sum")
    assert took - 2 <= counted <= took, "the time counts from the first channel on"
    assert [row[:3] for row in rows(sent)] == [("li-chat", "dead", 3), ("li-mail", "done", 1)]


@responses.activate
def test_the_last_channel_is_tried_twelve_times_and_then_dead_where_all_can_see(sent, clock):
    responses.post(PRIMARY, status=401)
    responses.post(SECOND, status=500)
    for _ in range(200):
        work(sent)
        clock.forward(seconds=30)
    assert rows(sent)[-1][:3] == ("li-mail", "dead", 12)
    assert kinds(sent).count("not_told") == 2


@responses.activate
def test_no_page_starts_after_somebody_took_the_incident(sent):
    operations.acknowledge(sent, 1, LI)
    work(sent)
    assert rows(sent) == [("li-chat", "done", 1, "")]
    assert len(responses.calls) == 0
    assert "told" not in kinds(sent)


@responses.activate
def test_a_full_budget_delays_without_counting_an_attempt(sent, clock):
    object.__setattr__(
        sent.config,
        "channels",
        {**sent.config.channels, "li-chat": _webhook("li-chat", PRIMARY, per_minute=1)},
    )
    responses.post(PRIMARY, status=200)
    tell(sent, alert(starts=START, gateway="wechat"))
    work(sent)
    states = sorted(row[1:3] for row in rows(sent))
    assert states == [("done", 1), ("pending", 0)]
    clock.forward(seconds=61)
    work(sent)
    assert [row[1] for row in rows(sent)] == ["done", "done"]


@responses.activate
def test_the_reserve_of_a_months_budget_is_kept_for_p1(sent):
    object.__setattr__(
        sent.config,
        "channels",
        {**sent.config.channels, "li-chat": _webhook("li-chat", PRIMARY, per_month=2, reserve_p1=1)},
    )
    responses.post(PRIMARY, status=200)
    work(sent)
    tell(sent, alert("Warn", starts=START, severity="warning", gateway="x"))
    tell(sent, alert(starts=START, gateway="wechat"))
    work(sent)
    assert [row[1] for row in rows(sent)] == ["done", "pending", "done"]


@responses.activate
def test_the_message_keeps_its_id_over_retries(sent, clock):
    responses.post(PRIMARY, status=500)
    responses.post(PRIMARY, status=200)
    work(sent)
    clock.forward(seconds=10)
    work(sent)
    ids = {call.request.headers["webhook-id"] for call in responses.calls}
    assert len(ids) == 1


def test_a_ticket_is_created_once_and_then_updated(make_bridge, capsys):
    bridge = make_bridge(more=CHANNELS)
    tell(bridge, alert(starts=START))
    operations.acknowledge(bridge, 1, LI)
    for _ in range(3):
        for task in bridge.database.run(lambda c: outbox.claim(c, "w", bridge.now(), ("ticket",), 10)):
            paging.run_ticket(bridge, task)
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ticket")]
    assert [line.split(":")[0] for line in printed] == ["ticket create", "ticket update"]
    assert "[acknowledged]" in printed[1]


def bodies():
    """What the primary channel was told, the newest last."""
    return [json.loads(call.request.body)["lines"] for call in responses.calls]


@responses.activate
def test_the_page_of_a_cut_off_list_tells_how_many_are_hidden_and_what_it_follows(sent, clock):
    responses.post(PRIMARY, status=200)
    operations.resolve(sent, 1, LI)
    operations.close(sent, 1, LI, "a cable")
    clock.forward(minutes=1)
    tell(sent, alert(starts=clock()), hidden=5)
    tell(sent, alert(starts=clock()), hidden=37)
    work(sent, times=2)
    paged = next(lines for lines in bodies() if lines[0].startswith("INC-2 自"))
    assert "上一次是 INC-1" in paged[0]
    assert "来源隐藏了 5 条告警:拿到完整列表前不算恢复。" in paged, "as many as when it came into doubt"


@responses.activate
def test_the_page_that_tells_of_flapping_says_how_long_it_must_be_quiet(sent, clock):
    responses.post(PRIMARY, status=200)
    for _ in range(3):
        clock.forward(seconds=10)
        tell(sent, alert(starts=START + (clock() - START) - timedelta(seconds=10), ends=clock()))
        tell(sent, alert(starts=clock()))
        work(sent)
    assert "反复触发:已重开 3 次,平静满 10 分钟才算恢复。" in bodies()[-1]
    assert not any("反复触发" in line for line in bodies()[0])


@responses.activate
def test_the_page_of_a_storm_counts_its_alerts_and_names_the_commonest(sent):
    responses.post(PRIMARY, status=200)
    nodes = [
        alert("NodeDown", starts=START, severity="warning", service=f"s{n}", annotations={"summary_zh": "x"})
        for n in range(40)
    ]
    tell(sent, *nodes, alert("DiskFull", starts=START, severity="warning", service="disks"))
    stormy = next(n for n in range(2, 40) if read(sent, n).rule == "storm")
    work(sent, times=8)
    told = [json.loads(call.request.body) for call in responses.calls]
    (storm,) = (message for message in told if f"INC-{stormy} " in message["lines"][0])
    # 30 incidents of their own, as configured by default; 1 + 41 alerts in all
    assert "共 12 条告警(NodeDown ×11, DiskFull)" in storm["lines"][0]
    assert storm["title"].startswith("P2 告警风暴 · 安可科技"), "and not what one of its alerts says"
