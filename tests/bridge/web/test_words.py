"""Every word of the console exists in Chinese, and every name of the program has a word."""

from __future__ import annotations

import ast
from datetime import UTC, datetime

import pytest

from bridge import guards
from bridge.model import ClockState, State, Status
from bridge.paging import _OUTCOMES
from bridge.web import words
from tests.bridge.web import catalogue

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


def _kinds() -> set[str]:
    """Every kind of fact that the program's text writes on a timeline."""
    found = set()
    for file in (catalogue.ROOT / "bridge").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", "")
            kind = next((each.value for each in call.keywords if each.arg == "kind"), None)
            if name == "_changed" and len(call.args) > 1:
                kind = call.args[1]
            if name in ("Fact", "_changed") and isinstance(kind, ast.Constant):
                found.add(str(kind.value))
    return found


def test_every_fact_on_a_timeline_has_a_word():
    written = _kinds() | {"alerts_joined", "alerts_ended"} | {f"alerts_{state}" for state in State}
    written -= {"alerts_resolved"}  # an end is alerts_ended
    assert {"opened", "acknowledged", "muted", "told"} <= written
    assert written == set(words.WORDS["fact"])
