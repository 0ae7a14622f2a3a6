"""Every message in every language, for everything known about an incident and for next to nothing."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import messages
from bridge.channels import wecom
from bridge.config.settings import Language
from bridge.messages import REASONS, Story
from bridge.model import Clock, ClockState, Incident, Message, Policy, Priority, Status

NOW = datetime(2026, 11, 22, 8, 7, tzinfo=UTC)
BEGAN = NOW - timedelta(minutes=7)
LANGUAGES = get_args(Language)
ABOUT = [reason for reason in REASONS if reason != "test"]
UGLY = [
    "{{ 7*7 }}{% for x in y %}{{ x.__class__ }}",
    "a\r\nb\x0bc\x0cd\x85e\u2028f",
    "\u202egnp.exe\u2066 \x1b[31m\x00\x07",
    "\ud800 half",
    "x" * 100_000,
    "错" * 100_000,
    "👩\u200d👩\u200d👧\u200d👦" * 5_000,
    "%(client)s %s {client} {0.__class__} $HOME ${7*7} #{7*7}",
    "@all <@li> <script>alert(1)</script>",
]


def incident(**other: Any) -> Incident:
    values: dict[str, Any] = {
        "number": 42,
        "key": "acme/payments/PaymentGatewayTimeout",
        "status": Status.TRIGGERED,
        "priority": Priority.P1,
        "client": "acme",
        "service": "payments",
        "title": "支付网关超时",
        "began_at": BEGAN,
        "opened_at": BEGAN,
        "rule": "payment path down",
        "rules_version": "1",
        "policy": Policy(name="page"),
        "runbook": "https://runbooks.test/pay",
        "assignee": "",
    }
    return Incident(**{**values, **other})


def clock(target: str = "respond", minutes: float = 10, state: ClockState = ClockState.RUNNING) -> Clock:
    return Clock(target=target, started_at=BEGAN, due_at=NOW + timedelta(minutes=minutes), state=state)


def complete(**other: Any) -> Story:
    values: dict[str, Any] = {
        "incident": incident(assignee="李雷"),
        "client": "安可",
        "alerts": 12,
        "labels": {"region": "EU"},
        "annotations": {
            "summary_en": "Payment gateway times out",
            "description": "p95 above 5 s",
            "description_zh": "延迟过高",
        },
        "clocks": [clock("restore", 60), clock("respond", 10)],
        "failovers": ["pay-standby: blocked", "pay-standby: switched and verified"],
        "missed": 2,
    }
    return Story(**{**values, **other})


BARE = Story(incident=incident(client="", service="", title="x", runbook=""), client="", alerts=0)


def composed(story: Story, reason: str, language: str, now: datetime = NOW) -> Message:
    return messages.compose(
        story, reason, language, url="https://bridge.test", id="opsbridge-7", responder="li", now=now
    )


EVERY = [
    pytest.param(reason, language, id=f"{reason}-{language}")
    for reason, language in itertools.product(ABOUT, LANGUAGES)
]


@pytest.mark.parametrize(("reason", "language"), EVERY)
def test_every_message_of_a_whole_incident(reason: str, language: str) -> None:
    message = composed(complete(), reason, language)
    assert message.title.startswith("P1")
    assert "安可" in message.title
    assert ("Payment gateway times out" if language == "en" else "支付网关超时") in message.title
    assert len(message.title) <= 200
    assert "\n" not in message.title
    assert all(line.strip() and "\n" not in line for line in message.lines)
    assert "INC-42" in message.lines[0]
    assert message.links[0][1] == "https://bridge.test/incidents/42"
    assert len(message.links) == 2
    assert (message.id, message.reason, message.language, message.incident) == (
        "opsbridge-7",
        reason,
        language,
        "INC-42",
    )


@pytest.mark.parametrize(("reason", "language"), EVERY)
def test_every_message_of_an_incident_about_which_little_is_known(reason: str, language: str) -> None:
    message = composed(BARE, reason, language)
    assert message.title.startswith("P1")
    assert not any(text in message.title for text in (": ·", ":·", "· ·", "None", "  "))
    assert not message.title.endswith(("·", ":", " "))
    assert len(message.links) == 1


@pytest.mark.parametrize(("reason", "language"), EVERY)
@pytest.mark.parametrize("title", ["", " ", "\n"])
def test_without_a_title_there_is_still_something_to_go_by(reason: str, language: str, title: str) -> None:
    bare = Story(incident=incident(title=title, service=""), client="", alerts=1)
    assert "INC-42" in composed(bare, reason, language).title
    assert "payments" in composed(Story(incident(title=title), "", 1), reason, language).title


def test_the_first_line_on_a_lock_screen() -> None:
    story = complete(annotations={}, clocks=[clock("respond", 10)])
    assert composed(story, "page", "zh").title == "P1 支付网关超时 · 安可 · EU · 10 分钟内响应"
    assert composed(story, "page", "en").title == "P1 支付网关超时 · 安可 · EU · respond within 10 min"


@pytest.mark.parametrize("target", ["respond", "restore", "plan", "fix"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", ABOUT)
def test_every_clock_has_words(target: str, language: str, reason: str) -> None:
    for minutes in (5, 0, -5):
        assert composed(complete(clocks=[clock(target, minutes)]), reason, language).title


def test_a_clock_that_ran_out_meanwhile_is_told_as_that() -> None:
    late = complete(clocks=[clock("respond", -3, ClockState.BREACHED)], annotations={})
    assert "overdue by 3 min" in composed(late, "page", "en").title
    assert "已超时 3 分钟" in composed(late, "page", "zh").title
    assert "overdue by 3 min" in composed(late, "at_risk", "en").title
    assert "响应已超时 3 分钟" in composed(late, "at_risk", "zh").title
    assert "late by 3 min" in composed(late, "breached", "en").title
    assert "响应晚了 3 分钟" in composed(late, "breached", "zh").title


def test_stopped_and_paused_clocks_press_nobody() -> None:
    stopped = Clock(
        target="respond",
        started_at=BEGAN,
        due_at=NOW,
        state=ClockState.MET,
        stopped_at=NOW - timedelta(minutes=1),
    )
    paused = clock("fix", 1, ClockState.PAUSED)
    assert (
        "restore within 1 h"
        in composed(complete(clocks=[stopped, paused, clock("restore", 60)]), "page", "en").title
    )
    assert composed(complete(clocks=[stopped, paused]), "at_risk", "en").title.startswith(
        "P1 clock at risk · "
    )


@pytest.mark.parametrize(
    ("minutes", "en", "zh"),
    [
        (0, "0 min", "0 分钟"),
        (7, "7 min", "7 分钟"),
        (60, "1 h", "1 小时"),
        (200, "3 h 20 min", "3 小时 20 分钟"),
        (1440, "1 d", "1 天"),
        (3121, "2 d 4 h", "2 天 4 小时"),
        (20160, "14 d", "14 天"),
    ],
)
def test_lengths_of_time_as_people_say_them(minutes: int, en: str, zh: str) -> None:
    for language, said in (("en", f"lasts for {en}."), ("zh", f"已持续 {zh}。")):
        story = complete(incident=incident(began_at=NOW - timedelta(minutes=minutes)))
        assert said in composed(story, "failover", language).lines[0]


def test_an_incident_that_begins_ahead_of_our_clock_has_just_begun() -> None:
    story = complete(incident=incident(began_at=NOW + timedelta(hours=20)))
    assert "lasts for 0 min." in composed(story, "failover", "en").lines[0]


def test_a_long_outcome_of_a_failover_leaves_room_for_what_it_is_about() -> None:
    long = (
        "pay-standby: not switched, a guard is closed ("
        + "quiet: the last run was 3 minutes ago; " * 20
        + ")"
    )
    message = composed(complete(failovers=["first", long], annotations={}), "failover", "zh")
    assert "支付网关超时 · 安可" in message.title
    assert "not switched, a guard is closed" in message.title
    assert any("3 minutes ago; quiet" in line for line in message.lines)
    assert any("first" in line for line in message.lines)


@pytest.mark.parametrize("text", UGLY, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize(("reason", "language"), EVERY)
def test_ugly_text_stays_text_and_the_message_goes_out(reason: str, language: str, text: str) -> None:
    story = Story(
        incident=incident(title=text, service=text, assignee=text, client=text),
        client=text,
        alerts=3,
        labels={"region": text},
        annotations={"description": text, f"summary_{language}": text},
        clocks=[clock()],
        failovers=[text, text],
        names=[(text, 3), (text, 1)],
    )
    message = composed(story, reason, language)
    everything = "\n".join([message.title, *message.lines])
    everything.encode()
    assert len(message.title) <= 200
    assert all(len(line) <= messages.LONGEST_LINE for line in message.lines)
    assert not set(everything) & set("\x00\x07\x0b\x0c\r\x1b\x85\u2028\u202e\u2066")
    if "<script>" in text:
        assert "@all <@li> <script>alert(1)</script>" in everything
    if "{{" in text:
        assert "{{ 7*7 }}" in everything
        assert "49" not in everything


def test_a_runbook_that_is_no_web_address_is_no_link() -> None:
    for runbook in (
        "javascript:alert(1)",
        "//evil.test",
        "http://x\ny",
        "https://x.test/\u202e",
        "see the wiki",
        "http://[",
        "http://user:password@x.test/",
        "http://x.test\\@bridge.test/",
        "http://\u0430pple.test/",
    ):
        assert len(composed(complete(incident=incident(runbook=runbook)), "page", "en").links) == 1


def test_the_description_in_the_readers_language_goes_first() -> None:
    assert "延迟过高" in composed(complete(), "page", "zh").lines
    assert "p95 above 5 s" in composed(complete(), "page", "en").lines
    assert "p95" in "".join(
        composed(complete(annotations={"description": "p95", "description_zh": " "}), "page", "zh").lines
    )


def test_what_was_missed_and_done_is_told() -> None:
    text = "\n".join(composed(complete(), "page", "en").lines)
    assert "2 earlier steps fell due" in text
    assert "Done already: pay-standby: switched and verified" in text
    assert text.endswith("Next: open it and acknowledge, or hand it on.")


@pytest.mark.parametrize(
    ("fields", "more", "en", "zh"),
    [
        pytest.param(
            {"flapping_at": BEGAN, "reopens": 4},
            {"quiet": timedelta(minutes=10)},
            "Flaps: reopened 4 times; not called restored before it is quiet for 10 min.",
            "反复触发:已重开 4 次,平静满 10 分钟才算恢复。",
            id="flaps",
        ),
        pytest.param(
            {"held": True},
            {"hidden": 37},
            "Its source hides 37 alerts: not called restored before the full list is known.",
            "来源隐藏了 37 条告警:拿到完整列表前不算恢复。",
            id="held",
        ),
        pytest.param({"held": True}, {"hidden": 1}, "hides 1 alert:", "隐藏了 1 条告警", id="one hidden"),
        pytest.param({"held": True}, {}, "hides some alerts:", "隐藏了部分告警", id="who knows how many"),
        pytest.param({"follows": 3}, {}, ", follows INC-3.", ",上一次是 INC-3。", id="follows"),
        pytest.param(
            {},
            {"names": [("NodeDown", 30), ("DiskFull", 5), ("Down", 1), ("A", 1), ("B", 1)]},
            "12 alerts (NodeDown ×30, DiskFull ×5, Down, 2 other names), service payments.",
            "共 12 条告警(NodeDown ×30, DiskFull ×5, Down, 另有 2 种),服务 payments。",
            id="storm",
        ),
    ],
)
def test_a_page_says_what_is_not_plain_about_the_incident(
    fields: dict[str, Any], more: dict[str, Any], en: str, zh: str
) -> None:
    story = complete(incident=incident(**fields), **more)
    for language, said in (("en", en), ("zh", zh)):
        told = "\n".join(composed(story, "page", language).lines)
        assert said in told
        assert said not in "\n".join(composed(complete(), "page", language).lines)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_not_plain_is_told_within_what_the_smallest_channel_takes(language: str) -> None:
    story = complete(
        incident=incident(flapping_at=BEGAN, reopens=1000, held=True, follows=41, title="错" * 300),
        names=[("告警" * 100, 3)] * 5,
        hidden=10_000,
        quiet=timedelta(hours=100),
        annotations={"description": "长" * 10_000},
        failovers=["x" * 1000] * 3,
    )
    shown = wecom.markdown(composed(story, "page", language))
    assert len(shown.encode()) <= wecom.LIMIT
    for said in (
        ["INC-41", "1000 times", "10000 alerts"] if language == "en" else ["INC-41", "1000 次", "10000 条"]
    ):
        assert said in shown
    assert "https://bridge.test/incidents/42" in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_test_message(language: str) -> None:
    message = messages.test_message("opsbridge-1", "li", language, NOW)
    assert (message.reason, message.incident, message.priority) == ("test", "", "P4")
    assert "2026-11-22 08:07:00" in message.lines[0]


def test_every_reason_has_a_template_in_every_language() -> None:
    there = {file.name for file in messages.assets("messages").iterdir()}
    assert there == {f"{reason}.{language}.txt" for reason in REASONS for language in LANGUAGES}


@given(st.text(max_size=300), st.sampled_from(ABOUT), st.sampled_from(LANGUAGES))
def test_any_text(text: str, reason: str, language: str) -> None:
    story = Story(incident(title=text), text, 1, {"region": text}, {"description": text}, [clock()], [text])
    message = composed(story, reason, language)
    assert message.title.startswith("P1")
    assert len(message.title) <= 200
    assert len([message.title, *message.lines]) < 8
