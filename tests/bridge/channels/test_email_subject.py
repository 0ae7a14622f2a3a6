"""The subject of a mail is read exactly as it was written, by every way of reading mail."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.channels import email
from bridge.text import one_line
from tests.bridge.channels.contract import NOW, message

SETTINGS = email.Settings(host="mail.test", to=["li@acme.test"], sender="ops@bridge.test", security="none")
WORD = re.compile(r"=\?utf-8\?B\?([A-Za-z0-9+/]+=*)\?=")


def sent(title: str) -> bytes:
    mail = email.compose(SETTINGS, message(title=title), NOW)
    return mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))


def lines_of_the_subject(raw: bytes) -> list[str]:
    head = raw.partition(b"\r\n\r\n")[0].decode("ascii")
    found = re.search(r"^Subject: [^\r]*(?:\r\n[ \t][^\r]*)*", head, re.MULTILINE)
    assert found is not None
    return found[0].replace("\r\n", "\n").split("\n")


def read_back(raw: bytes) -> tuple[str, str]:
    """As Python's newer and its older reader understand the subject."""
    plain = message_from_bytes(raw, policy=policy.compat32)["Subject"]
    return str(message_from_bytes(raw, policy=policy.default)["Subject"]), str(
        make_header(decode_header(plain))
    )


@pytest.mark.parametrize(
    "title",
    [
        "P1 down",
        "P1 支付网关超时 · 安可 · EU · 10 分钟内响应",
        "P1 <b>x</b> · acme · respond within 10 min",
        "P1 =?utf-8?B?QmNjOiBldmlsQGV2aWwudGVzdA==?= · acme",
        "P1 =?utf-8?q?a_b?= c",
        "=?",
        "a, b; c: <d@e.test> (f) \"g\" 'h' \\ i",
        "错" * 180,
        "x" * 180,
        "word " * 35 + "end",
        "👩\u200d👩\u200d👧\u200d👦" * 20,
        "12345678901234567890123456789012345678é9",
    ],
    ids=lambda title: ascii(title)[:40],
)
def test_a_title_arrives_as_it_was_written(title: str) -> None:
    raw = sent(title)
    assert read_back(raw) == (title, title)
    first, *more = lines_of_the_subject(raw)
    if first != f"Subject: {title}":
        assert all(line.startswith(" ") for line in more)
        for line in (first.removeprefix("Subject:"), *more):
            assert WORD.fullmatch(line.strip()), line
            assert len(line.strip()) <= 75
        assert max(map(len, (first, *more))) <= 76
    else:
        assert not more
        assert len(first) <= 78


def test_a_plain_title_stays_readable_on_its_way() -> None:
    assert lines_of_the_subject(sent("P1 payments is down")) == ["Subject: P1 payments is down"]


@pytest.mark.parametrize(
    ("title", "sizes"),
    [
        pytest.param("错" * 14, [13, 1], id="13 characters of 3 bytes are 39"),
        pytest.param("a" + "错" * 13, [13, 1], id="1 + 12 * 3 bytes are 37, and no half a character"),
        pytest.param("🔥" * 10, [9, 1], id="9 characters of 4 bytes are 36"),
    ],
)
def test_no_word_ends_within_a_character(title: str, sizes: list[int]) -> None:
    parts = [
        decode_header(line.removeprefix("Subject:").strip()) for line in lines_of_the_subject(sent(title))
    ]
    assert [len(part[0][0].decode("utf-8")) for part in parts] == sizes


@given(st.text(st.characters() | st.sampled_from('=?utf-8BQ_ \r\n"<>@,·'), max_size=250))
def test_any_title_is_one_subject(title: str) -> None:
    raw = sent(title)
    assert set(read_back(raw)) == {one_line(title, 180)}
    assert raw.partition(b"\r\n\r\n")[0].count(b"\r\nSubject: ") == 1
