from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.sources import lenient


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"a\nb"', "a\nb"),
        (rb'"\ud800"', "\ud800"),
        ('"名"'.encode("utf-16"), "名"),
        ('"名"'.encode("utf-8-sig"), "名"),
        (b'"\xff"', "\ufffd"),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
    ids=["line break", "half a pair", "UTF-16", "byte order mark", "no UTF-8", "twice"],
)
def test_what_a_strict_reader_refuses_is_read(body: bytes, value: Any) -> None:
    assert lenient.read(body) == value


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[-Infinity]", b"1" * 5_000, b"\xff\xfe\xfd"])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        lenient.read(body)


@pytest.mark.parametrize(
    ("value", "text"),
    [("名", "名"), (None, ""), (1.5, "1.5"), (True, "true"), (["名"], '["名"]'), ({}, "{}")],
)
def test_a_value_is_written_as_people_read_it(value: Any, text: str) -> None:
    assert lenient.written(value) == text


@pytest.mark.parametrize("value", ["\ud800", "a\0b", {"\ud800": ["名\0"]}, None, [[]], 10**300], ids=ascii)
def test_json_of_anything_can_be_stored_and_read_again(value: Any) -> None:
    text = lenient.as_json(value)
    text.encode()
    assert "\0" not in text
    assert json.loads(text) == value


def test_what_is_nested_too_deeply_says_so() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    assert lenient.as_json(deep) == "(nested too deeply to be written out)"
    while isinstance(deep, list):  # taken apart by hand: freeing it whole would recurse as well
        deep = deep.pop()
