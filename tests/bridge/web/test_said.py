"""What machines write is said in the reader's language, and nothing of what people write is touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge import episodes, members, sightings
from bridge.model import Actor, Alert, Change, Fact, Incident, Policy, Priority, State, Status
from bridge.store.record import _moved
from bridge.web import said
from tests.bridge.web.visitors import Site

NOW = datetime(2026, 11, 18, 2, tzinfo=UTC)
BURNING = Incident(
    number=7,
    key="k",
    status=Status.TRIGGERED,
    priority=Priority.P1,
    client="acme",
    service="payments",
    title="t",
    began_at=NOW,
    opened_at=NOW,
    rule="r",
    rules_version="v",
    policy=Policy(name=""),
    firing=1,
)
QUIET = replace(BURNING, firing=0)
FLAPPING = members.Flapping(reopens=3, within=timedelta(minutes=30), quiet=timedelta(minutes=10))


def _fact(kind: str, by: str, text: str, via: str = "worker", **data: str) -> Fact:
    return Fact(at=NOW, kind=kind, by=Actor(by, via), text=text, data=data)


def _alerts(names: str, state: State = State.FIRING, held_by: str = "") -> list[Alert]:
    return [
        Alert(
            source="am",
            fingerprint=name,
            starts_at=NOW,
            labels={"alertname": name},
            standing=state,
            held_by=held_by,
        )
        for name in names
    ]


def _held_back(state: State, held_by: str) -> Fact:
    return members.held_back(BURNING, _alerts("A", state, held_by), NOW).facts[0]


def _in(site: Site, language: str, fact: Fact) -> str:
    with site.app.test_request_context(headers={"Accept-Language": language}):
        return str(said.said(fact))


REOPENED = replace(QUIET, status=Status.RESOLVED, resolved_at=NOW, reopens=2)
FLAPS = replace(QUIET, flapping_at=NOW, reopens=9)
SILENCE = "silence 5cb-1 by li until 2026-11-25 04:00 UTC: 更换 <b>电源</b>: part 2"
MOVED = _moved({"plan": NOW}, {"plan": NOW + timedelta(hours=1), "fix": NOW}, NOW)[0]
CASES = [
    (_fact("told", "li-chat", "li by li-chat"), "李雷 by li-chat", "李雷(经 li-chat)"),
    (_fact("told", "team", "team by team"), "team", "team"),
    (_fact("step_taken", "clock", "step 2, round 2"), "step 2, round 2", "第 2 级,第 2 轮"),
    (_fact("step_taken", "clock", "step 1"), "step 1", "第 1 级"),
    (_fact("clock", "clock", "", target="respond", state="at_risk"), "respond: at risk", "响应:即将超时"),
    (
        _fact("failover", "failover", "eu: shadow (would)", plan="eu", state="shadow"),
        "eu: would have switched (shadow) (would)",
        "eu:本应切换(影子模式) (would)",
    ),
    (
        _fact("resolved", "triage", "all alerts are quiet", "intake"),
        "all alerts are quiet",
        "所有告警均已恢复",
    ),
    (_fact("paging", "escalation", "li, team"), "李雷, team", "李雷, team"),
    (_fact("noted", "wang", "step 1", "console"), "step 1", "step 1"),
    (
        members.fires_again(REOPENED, FLAPPING, NOW).facts[-1],
        "reopened 3 times; it is restored when it was quiet for a while",
        "已重开 3 次,平静一段时间后才算恢复",
    ),
    (
        members.settle(FLAPS, NOW).facts[0],
        "quiet again after 9 re-fires since 02:00 UTC",
        "自 02:00 UTC 起再次触发 9 次后恢复平静",
    ),
    (members.settle(FLAPS, NOW).facts[1], "quiet for long enough after flapping", "反复触发后已平静足够久"),
    (members.settle(BURNING, NOW).facts[0], "no new problems for a while", "一段时间内没有新问题"),
    (
        members.hold(BURNING, 37, NOW).facts[0],
        "the source cut 37 alerts off: not restored before its full list is known",
        "来源截断了 37 条告警:拿到完整列表前不算恢复",
    ),
    (
        members.mute(Change(incident=BURNING), NOW, NOW).facts[0],
        "maintenance until 2026-11-18 02:00 UTC",
        "维护至 2026-11-18 02:00 UTC",
    ),
    (members.unmute(QUIET, NOW).facts[0], "maintenance is over", "维护已结束"),
    (_held_back(State.FIRING, ""), "A", "A"),
    (
        _held_back(State.SILENCED, SILENCE),
        "A (by 李雷 until 2026-11-25 04:00 UTC: 更换 <b>电源</b>: part 2)",
        "A(李雷 静默至 2026-11-25 04:00 UTC:更换 <b>电源</b>: part 2)",
    ),
    (_held_back(State.SILENCED, "silence 5cb-1"), "A (silence 5cb-1)", "A(silence 5cb-1)"),
    (_held_back(State.SILENCED, "muted: nights"), "A (muted by nights)", "A(静默来源:nights)"),
    (
        _held_back(State.INHIBITED, "inhibited by NodeDown, b, c and 2 more"),
        "A (by NodeDown, b, c and 2 more)",
        "A(抑制来源:NodeDown, b, c 等,另有 2 个)",
    ),
    (
        _held_back(State.STALE, sightings.FIRES_ELSEWHERE),
        "A (Alertmanager no longer lists it, Prometheus still fires it)",
        "A(Alertmanager 已不再列出,Prometheus 中仍在触发)",
    ),
    (
        _held_back(
            State.STALE,
            episodes.doubted(_alerts("A")[0], "Prometheus does not answer; the moon is full").held_by,
        ),
        "A (told as ended while monitoring was blind: Prometheus does not answer; the moon is full)",
        "A(监控失明期间报告为已结束:Prometheus 无应答; the moon is full)",
    ),
    (
        members.changed(BURNING, _alerts("AABCDEFG"), (), NOW, because="orders depends on db").facts[0],
        "A ×2, B, C, D, E and 2 other names (orders depends on db)",
        "A ×2, B, C, D, E 等,另有 2 种告警(orders 依赖 db)",
    ),
    (
        members.changed(BURNING, _alerts("A"), (), NOW, because="it came in a storm").facts[0],
        "A (it came in a storm)",
        "A(属于同一场告警风暴)",
    ),
    (
        MOVED,
        "fix none → 2026-11-18 02:00 UTC; plan 2026-11-18 02:00 UTC → 2026-11-18 03:00 UTC",
        "修复 无 → 2026-11-18 02:00 UTC; 方案 2026-11-18 02:00 UTC → 2026-11-18 03:00 UTC",
    ),
    (
        _fact("cause_suspected", "triage", "INC-5: orders depends on db", "intake"),
        "INC-5: orders depends on db",
        "INC-5: orders 依赖 db",
    ),
    (
        members.release(replace(QUIET, held=True), NOW, "the full list of main is known").facts[0],
        "the full list of main is known",
        "已拿到 main 的完整列表",
    ),
]


@pytest.mark.parametrize(("fact", "english", "chinese"), CASES, ids=lambda case: getattr(case, "kind", ""))
def test_machines_facts_are_translated_and_peoples_are_not(
    site: Site, fact: Fact, english: str, chinese: str
) -> None:
    assert _in(site, "en", fact) == english
    assert _in(site, "zh", fact) == chinese


def test_what_a_person_writes_in_a_machines_words_stays_as_it_is(site: Site) -> None:
    for text in ("maintenance is over", "orders depends on db", "inhibited by rain"):
        assert _in(site, "zh", _fact("noted", "wang", text, "console")) == text


def test_the_timelines_filters_know_the_new_facts() -> None:
    groups = {
        kind: said.group(_fact(kind, "triage", "", "intake")) for kind in ("held", "alerts_stale", "muted")
    }
    assert groups == {"held": "alerts", "alerts_stale": "alerts", "muted": "messages"}
    assert said.group(_fact("noted", "wang", "", "console")) == "people"
