"""Text from outside becomes harmless to show and keeps what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.text import clip_bytes, one_line, storable, visible


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        pytest.param("支付网关", "支付网关", id="Chinese stays"),
        pytest.param("a\x00b", "a\u2400b", id="PostgreSQL refuses NUL"),
        pytest.param("a\ud83db", "a\ufffdb", id="half a surrogate pair is no UTF-8"),
        pytest.param("line\nline\tend", "line\nline\tend", id="newlines and tabs are text"),
    ],
)
def test_stored_text_is_what_both_databases_can_hold(text: str, stored: str) -> None:
    assert storable(text) == stored


@given(st.text(st.characters(), max_size=50))
def test_any_text_at_all_is_valid_utf8_once_storable(text: str) -> None:
    assert "\x00" not in storable(text)
    assert storable(text).encode().decode() == storable(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain", "plain", id="nothing to mark"),
        pytest.param("a\x1b[31mred", "a␛[31mred", id="terminal colours"),
        pytest.param("a\x7fb", "a␡b", id="delete"),
        pytest.param("a\rb", "a␍b", id="carriage return overwrites a line"),
        pytest.param("a\x85b", "a‹U+0085›b", id="C1 control: next line"),
        pytest.param("txt\u202egpj.exe", "txt‹U+202E›gpj.exe", id="right-to-left override"),
        pytest.param("a\u2066b", "a‹U+2066›b", id="isolate"),
        pytest.param("a\u061cb", "a‹U+061C›b", id="Arabic letter mark changes direction too"),
        pytest.param("a\u200bb", "a‹U+200B›b", id="zero-width space"),
        pytest.param("a\u2028b", "a‹U+2028›b", id="line separator"),
        pytest.param("👩\u200d🔧", "👩\u200d🔧", id="the joiner inside an emoji is meant"),
        pytest.param("一\n二\t三", "一\n二\t三", id="newlines and tabs stay"),
    ],
)
def test_characters_that_hide_or_reorder_are_shown_as_marks(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        pytest.param("two\nlines", 200, "two lines", id="newlines become spaces"),
        pytest.param("  a \t b\r\n", 200, "a b", id="runs of spaces become one"),
        pytest.param("Subject\r\nBcc: x", 200, "Subject Bcc: x", id="no header injection"),
        pytest.param("12345", 5, "12345", id="exactly the limit stays whole"),
        pytest.param("123456", 5, "1234…", id="4 characters and the mark are 5"),
        pytest.param("123 456", 5, "123…", id="no space before the mark"),
        pytest.param(" \n\t ", 5, "", id="only space is nothing"),
    ],
)
def test_one_line_is_one_line_within_its_limit(text: str, limit: int, line: str) -> None:
    assert one_line(text, limit) == line


@given(st.text(st.characters(), max_size=300), st.integers(1, 100))
def test_one_line_never_breaks_and_never_exceeds_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "limit", "clipped"),
    [
        pytest.param("abc", 3, "abc", id="fits"),
        pytest.param("abcdef", 5, "ab…", id="the mark is three bytes: 5 - 3 = 2"),
        pytest.param("支付网关", 10, "支付…", id="three bytes each: (10 - 3) // 3 = 2"),
        pytest.param("支付网关", 12, "支付网关", id="4 * 3 = 12 bytes fit"),
        pytest.param("ae\u0301bcd", 6, "a…", id="no accent is taken off its letter"),
        pytest.param("ab👩\u200d🔧", 12, "ab👩…", id="no joiner is left that joins nothing"),
        pytest.param("abcdef", 2, "", id="not even the mark fits"),
    ],
)
def test_clipping_counts_bytes_and_keeps_characters_whole(text: str, limit: int, clipped: str) -> None:
    assert clip_bytes(text, limit) == clipped


@given(st.text(st.characters(), max_size=100), st.integers(0, 120))
def test_clipped_text_never_exceeds_its_bytes(text: str, limit: int) -> None:
    assert len(clip_bytes(text, limit).encode("utf-8", "replace")) <= limit
