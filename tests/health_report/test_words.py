"""How the report speaks."""

from __future__ import annotations

import math
import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest

from health_report.words import Words, catalogue, languages, shown

SOURCES = Path(__file__).parents[2]
ZH, EN = Words("zh", "Asia/Shanghai"), Words("en", "Asia/Shanghai")


def holes(text: object) -> set[str]:
    texts = [text] if isinstance(text, str) else list(text.values())  # type: ignore[attr-defined]
    return {name for one in texts for _, name, _, _ in string.Formatter().parse(one) if name and name != "n"}


def test_every_language_has_every_text_with_the_same_holes() -> None:
    assert {"en", "zh"} <= set(languages())
    expected = catalogue("en")
    for language in languages():
        texts = catalogue(language)
        assert set(texts) == set(expected)
        for key, text in texts.items():
            assert holes(text) == holes(expected[key]), key
            assert "other" in text or isinstance(text, str), key


def test_every_text_the_code_names_exists() -> None:
    files = [*SOURCES.glob("health_report/**/*.py"), *SOURCES.glob("templates/report/**/*.html")]
    named = {
        key
        for file in files
        for key in re.findall(r'say\(\s*"([a-z_]+\.[a-z0-9_]+)"', file.read_text("utf-8"))
    }
    assert len(named) > 60
    assert named <= set(catalogue("en"))


def test_plural_forms() -> None:
    assert EN.say("data_quality.failed", n=1) == " 1 query failed and is listed below."
    assert EN.say("data_quality.failed", n=2).startswith(" 2 queries")
    assert ZH.say("data_quality.failed", n=2) == "有 2 个查询失败，详见下表。"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.99954, "99.95%"),
        (0.999999, "99.99%"),
        (1.0, "100.00%"),
        (0.0, "0.00%"),
        (None, "–"),
        (math.nan, "–"),
        (1.74, "174.00%"),
        (0.12346, "12.35%"),
    ],
)
def test_what_is_below_100_percent_is_never_shown_as_100(share: float | None, text: str) -> None:
    assert EN.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (0, "0 s", "0 秒"),
        (59, "59 s", "59 秒"),
        (90, "1 min 30 s", "1 分钟 30 秒"),
        (11_400, "3 h 10 min", "3 小时 10 分钟"),
        (3_599.7, "1 h", "1 小时"),
        (86_400 * 2 + 3_700, "2 d 1 h", "2 天 1 小时"),
        (None, "–", "–"),
    ],
)
def test_lengths(seconds: float | None, en: str, zh: str) -> None:
    assert (EN.length(seconds), ZH.length(seconds)) == (en, zh)


def test_moments_are_the_clients() -> None:
    at = datetime(2026, 10, 4, 18, 5, tzinfo=UTC)
    assert ZH.moment(at) == "10月5日 02:05"
    assert EN.moment(at, year=True) == "5 Oct 2026 02:05"
    assert EN.moment(None) == "–"


def test_numbers() -> None:
    assert EN.number(1234567.5) == "1,234,568"
    assert EN.number(math.inf) == "∞"
    assert EN.seconds(0.42) == "420 ms"
    assert ZH.seconds(1.8) == "1.80 秒"


def test_a_language_without_texts() -> None:
    with pytest.raises(ValueError, match="no report texts"):
        Words("../zh", "UTC")


def test_strangers_text_is_made_visible() -> None:
    assert "\x00" not in shown("a\x00b")
    assert "\u202e" not in shown("abc\u202edef")
    assert shown("a\nb\tc") == "a b c"
    assert len(shown("x" * 9_999)) == 2_000
