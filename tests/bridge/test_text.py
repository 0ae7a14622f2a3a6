"""Text from outside becomes harmless to show and keeps what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.text import clip_bytes, one_line, storable, visible, web_link

SCOTLAND = "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbsct") + "\U000e007f"


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
        pytest.param("a\U000e0041\U000e007fb", "a‹U+E0041›‹U+E007F›b", id="tags spell what nobody sees"),
        pytest.param("\U000e0000\U000e0fff", "‹U+E0000›‹U+E0FFF›", id="nor is anything seen around them"),
        pytest.param(SCOTLAND, SCOTLAND, id="but they make flags"),
        pytest.param(SCOTLAND[:3], "🏴‹U+E0067›‹U+E0062›", id="half a flag is tags"),
        pytest.param("🏴\U000e0061\U000e007f", "🏴‹U+E0061›‹U+E007F›", id="a text behind a flag is none"),
        pytest.param("🇨🇳🇩🇪", "🇨🇳🇩🇪", id="flags of countries"),
        pytest.param(
            "\u3164\uffa0\u115f\u1160", "‹U+3164›‹U+FFA0›‹U+115F›‹U+1160›", id="letters like nothing"
        ),
        pytest.param("pay\u00adments", "pay‹U+00AD›ments", id="a soft hyphen is not seen"),
        pytest.param("👩\u200d🔧", "👩\u200d🔧", id="the joiner inside an emoji is meant"),
        pytest.param("❤\ufe0f\u200d🔥1\ufe0f\u20e3", "❤\ufe0f\u200d🔥1\ufe0f\u20e3", id="so is a selector"),
        pytest.param("葛\U000e0100", "葛\U000e0100", id="of a letter too"),
        pytest.param("می\u200cخواهم", "می\u200cخواهم", id="Persian needs its non-joiner"),
        pytest.param("pay\u200dm\ufe0fents", "pay‹U+200D›m‹U+FE0F›ents", id="in a Latin word they hide"),
        pytest.param(
            "👍\ufe0f\ufe01\U000e0101", "👍\ufe0f‹U+FE01›‹U+E0101›", id="a run of selectors is data"
        ),
        pytest.param("👍\u200d\u200c\u200d", "👍\u200d‹U+200C›‹U+200D›", id="so is a run of joiners"),
        pytest.param("\ufe0f \u200d", "‹U+FE0F› ‹U+200D›", id="they belong to nothing"),
        pytest.param("一\n二\t三", "一\n二\t三", id="newlines and tabs stay"),
    ],
)
def test_characters_that_hide_or_reorder_are_shown_as_marks(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters() | st.sampled_from("a ❤\u200c\u200d\ufe0e\ufe0f\U000e0041\u200b" + SCOTLAND)))
def test_what_is_visible_stays_as_it_is(text: str) -> None:
    assert visible(visible(text)) == visible(text)


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
        pytest.param(f"ab{SCOTLAND}cd", 10, f"ab{SCOTLAND}…", id="2 and the 7 of a flag and the mark are 10"),
        pytest.param(f"ab{SCOTLAND}cd", 9, "ab…", id="no flag is cut"),
        pytest.param(f"abcdefgh{SCOTLAND}", 12, "abcdefgh…", id="nor is half of one shown as tags"),
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


@pytest.mark.parametrize(
    "address",
    [
        "https://r/a",
        "HTTP://R.test:8443/a?b=c@d#e@f",
        "http://[::1]:9090/x",
        "https://wiki.test/手册/支付 网关",
        "http://xn--pple-43d.com/",
        "http://a_b-c.test",
    ],
)
def test_a_web_address_becomes_a_link(address: str) -> None:
    assert web_link(address) == address


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("see the wiki", id="words"),
        pytest.param("javascript://r/%0aalert(1)", id="a script"),
        pytest.param("//r/x", id="any scheme"),
        pytest.param("https:///x", id="no host"),
        pytest.param("https:r.test", id="no slashes"),
        pytest.param("http://[::1", id="half a host"),
        pytest.param("http://r:99999/", id="no port"),
        pytest.param("http://r:0/", id="nobody listens at 0"),
        pytest.param("http://user:password@r.test/", id="a password"),
        pytest.param("http://bridge.test@r.test/", id="a name that looks like a host"),
        pytest.param("http://r.test\\@bridge.test/", id="browsers go to r.test"),
        pytest.param("http://r.test\\.bridge.test/", id="browsers take a backslash for a slash"),
        pytest.param("http://\u0430pple.test/", id="a Cyrillic letter"),
        pytest.param("http://bridge.test\uff0fr.test", id="a slash that is none"),
        pytest.param("http://ev%69l.test/", id="a host in disguise"),
        pytest.param("http://a b.test/", id="a space in a host"),
        pytest.param("https://r/a\nb", id="a line break"),
        pytest.param("java\tscript:alert(1)", id="browsers drop tabs"),
        pytest.param("\x01https://r/", id="a control character"),
        pytest.param("https://r/\u202egpj.exe", id="a direction"),
        pytest.param("https://r/\U000e0041", id="a tag"),
        pytest.param("https://r/a\ufe0f", id="a selector that selects nothing"),
    ],
)
def test_what_is_no_plain_web_address_becomes_no_link(text: str) -> None:
    assert web_link(text) == ""
