"""Every word of the console exists in Chinese, and every name of the program has a word."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge import guards
from bridge.model import Actor, ClockState, Fact, State, Status
from bridge.paging import _OUTCOMES
from bridge.web import words
from tests.bridge.web import catalogue
from tests.bridge.web.visitors import Site

NOW = datetime(2026, 11, 18, 2, tzinfo=UTC)


def test_no_word_is_missing_or_guessed_in_chinese():
    asked_for = set(catalogue.wanted())
    assert len(asked_for) > 250
    found = {(m.id if isinstance(m.id, str) else m.id[0], m.context): m for m in catalogue.chinese() if m.id}
    missing = [text for text, context in asked_for if (text, context) not in found]
    empty = [m.id for m in found.values() if not (m.string if isinstance(m.string, str) else all(m.string))]
    assert (missing, empty, [m.id for m in found.values() if m.fuzzy]) == ([], [], [])
    assert set(found) == asked_for, "words that nothing asks for any more"


def test_placeholders_are_the_same_in_chinese():
    wrong = [(m.id, list(map(str, m.check()))) for m in catalogue.chinese() if m.id and list(m.check())]
    assert wrong == []


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("status", list(Status)),
        ("alert", list(State)),
        ("clock", list(ClockState)),
        ("mode", list(guards.Mode)),
        ("run", list(_OUTCOMES["en"])),
        (
            "guard",
            [
                v.guard
                for v in guards.judge(
                    guards.Mode.AUTO,
                    guards.Limits(),
                    guards.Situation(False, True, NOW, 0, None, 0, 0),
                    NOW,
                )
            ],
        ),
    ],
)
def test_every_name_has_a_word(family: str, names: list[str]):
    assert set(names) <= set(words.WORDS[family])


def _fact(kind: str, by: str, text: str, via: str = "worker", **data: str) -> Fact:
    return Fact(at=NOW, kind=kind, by=Actor(by, via), text=text, data=data)


@pytest.mark.parametrize(
    ("fact", "english", "chinese"),
    [
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
    ],
)
def test_machines_facts_are_translated_and_peoples_are_not(
    site: Site, fact: Fact, english: str, chinese: str
):
    for language, expected in (("en", english), ("zh", chinese)):
        with site.app.test_request_context(headers={"Accept-Language": language}):
            assert str(words.said(fact)) == expected
