"""YAML is read without guessing, and every value knows its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.tree import LARGEST_FILE, MOST_NODES, Tree, path_text, read
from bridge.config.values import Duration, duration_text


def tree(tmp_path: Path, text: str | bytes, **environment: str) -> Tree:
    file = tmp_path / "file.yml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file, environment)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("NO", "NO", id="Norway is not false"),
        pytest.param("yes", "yes", id="yes is a word"),
        pytest.param("12:30", "12:30", id="a time is no number of base 60"),
        pytest.param("2026-01-05", "2026-01-05", id="a date is text"),
        pytest.param("0777", "0777", id="no octal"),
        pytest.param("1_000", "1_000", id="no underscores"),
        pytest.param("0x1F", "0x1F", id="no hexadecimal"),
        pytest.param("1e3", "1e3", id="no exponents"),
        pytest.param(".inf", ".inf", id="no infinity"),
        pytest.param("12345678901234567890", "12345678901234567890", id="too long for a number"),
        pytest.param("42", 42, id="a number"),
        pytest.param("-7", -7, id="negative"),
        pytest.param("99.9", 99.9, id="with a point"),
        pytest.param("'42'", "42", id="quoted is text"),
        pytest.param("true", True, id="true"),
        pytest.param("'true'", "true", id="quoted true is text"),
        pytest.param("null", None, id="null"),
        pytest.param("~", None, id="tilde"),
        pytest.param("", None, id="nothing"),
        pytest.param("<<", "<<", id="no merging"),
        pytest.param("支付", "支付", id="Chinese"),
    ],
)
def test_a_plain_value_is_null_true_false_a_number_or_text(tmp_path: Path, text: str, value: object) -> None:
    assert tree(tmp_path, f"key: {text}").value == {"key": value}


def test_variables_are_put_in_and_stay_text(tmp_path: Path) -> None:
    found = tree(tmp_path, "a: ${N}\nb: 'x${N}${M}'\nc: $N ${ N } $${N}", N="5", M="é")
    assert found.value == {"a": "5", "b": "x5é", "c": "$N ${ N } $5"}
    assert found.problems == []


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    (problem,) = tree(tmp_path, "a: 1\nb: ${N}", N="").problems
    assert (problem.line, problem.path, problem.reason) == (2, "b", "the environment variable N is not set")


def test_a_file_key_becomes_the_key_with_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  secret\n")
    found = tree(tmp_path, f"a:\n  token_file: {tmp_path}/token\n")
    assert found.value == {"a": {"token": "secret"}}
    assert found.line(("a", "token")) == 2


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param('"a\\0b"', "control character U+0000", id="NUL"),
        pytest.param('"\\x1b[2J"', "control character U+001B", id="escape"),
        pytest.param('"\\ud800"', "half a character U+D800", id="half a character"),
        pytest.param('"\\udfff x"', "half a character U+DFFF", id="the other half"),
    ],
)
@pytest.mark.parametrize("where", ["x:\n  a: %s", "x:\n  %s: a"])
def test_what_no_file_may_hold_does_not_come_in_by_an_escape(
    tmp_path: Path, where: str, written: str, said: str
) -> None:
    found = tree(tmp_path, where % written)
    assert [(problem.line, problem.reason) for problem in found.problems] == [(2, said)]
    repr(found.value).encode()
    assert str(found.problems[0]).isprintable()


@pytest.mark.parametrize(
    ("value", "said"), [("\x07", "control character U+0007"), ("\udcff", "half a character U+DCFF")]
)
def test_what_no_file_may_hold_does_not_come_in_by_a_variable(tmp_path: Path, value: str, said: str) -> None:
    found = tree(tmp_path, "a: 1\nb: x${N}", N=f"hunter2{value}")
    assert [(problem.line, problem.path, problem.reason) for problem in found.problems] == [(2, "b", said)]
    found.wrong(("b",), f"{found.value['b']} is wrong")
    assert "hunter2" not in str(found.problems[-1])


def test_a_secret_with_a_control_character_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\0secret")
    found = tree(tmp_path, f"a:\n  token_file: {tmp_path}/token\n")
    assert [str(problem) for problem in found.problems] == [
        f"{found.file}:2: a.token_file: control character U+0000"
    ]
    found.wrong(("a", "token"), f"{found.value['a']['token']} is wrong")
    assert "hunter2" not in str(found.problems[-1])


@pytest.mark.parametrize("text", ['"\\t\\n\\r"', '"\\U0001F600 支付"', '"\\x85\\uFEFF"'])
def test_what_a_file_may_hold_may_be_escaped(tmp_path: Path, text: str) -> None:
    assert tree(tmp_path, f"a: {text}").problems == []


def test_a_block_whose_name_ends_in_file_is_a_block(tmp_path: Path) -> None:
    assert tree(tmp_path, "log_file: {a: 1}").value == {"log_file": {"a": 1}}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param(("a",), 1, id="the key's line, not its block's"),
        pytest.param(("a", "b", 1), 4, id="an element"),
        pytest.param(("a", "b", 1, "c", "d"), 4, id="what is not there: the nearest around it"),
        pytest.param((), 1, id="the whole"),
    ],
)
def test_every_path_has_a_line(tmp_path: Path, path: tuple[str | int, ...], line: int) -> None:
    assert tree(tmp_path, "a:\n  b:\n    - one\n    - two\n").line(path) == line


def test_a_path_reads_as_people_write_it() -> None:
    assert path_text(("policies", "page", "steps", 1, "notify")) == "policies.page.steps[1].notify"
    assert path_text((0, "match", 2)) == "[0].match[2]"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"x" * (LARGEST_FILE + 1), "larger than 1024 KiB", id="large"),
        pytest.param("[" + "1," * MOST_NODES + "]", "not YAML: more than 50000 values", id="many values"),
        pytest.param("[" * 100_000, "nested deeper than 32 levels", id="a hundred thousand brackets"),
        pytest.param("a: &x 1\nb: *x", "not YAML: aliases (*name) are not read", id="an alias"),
        pytest.param("a: !!python/x:str b", "tags such as", id="a tag that ends like text"),
        pytest.param("a: !mine b", "tags such as !mine are not read", id="a tag of one's own"),
    ],
)
def test_what_could_hurt_is_refused_before_it_is_built(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    (problem,) = tree(tmp_path, text).problems
    assert problem.reason.startswith(reason)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert tree(tmp_path, b"\xef\xbb\xbfa: 1").value == {"a": 1}


@given(st.text(st.characters(), max_size=60))
def test_no_text_at_all_makes_reading_fail(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = read(file, {})
    assert isinstance(found.problems, list)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("90s", 90, id="seconds"),
        pytest.param("10m", 600, id="minutes"),
        pytest.param("1h30m", 5400, id="two units"),
        pytest.param("1.5h", 5400, id="a fraction"),
        pytest.param("2w", 1_209_600, id="2 * 7 * 86400"),
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("0m", 0, id="nothing"),
    ],
)
def test_durations_are_read_as_prometheus_writes_them(text: str, seconds: float) -> None:
    assert Duration.parse(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10 m", "-5m", "5M", "1h 30m", "1y", "1e3s", 10, None, "9" * 400 + "w"]
)
def test_other_durations_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like 90s"):
        Duration.parse(text)


@given(st.integers(0, 10**8))
def test_a_duration_is_read_back_from_its_text(seconds: int) -> None:
    length = Duration(seconds=seconds)
    assert Duration.parse(duration_text(length)) == length
