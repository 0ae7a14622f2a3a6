"""Whatever is logged, by us or by a library, is one harmless JSON line of bounded length."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from contextvars import Context
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridge import logs
from bridge.logs import LONGEST, LONGEST_LINE

UGLY = 'x\x1b[2J\u202e\x85"\n{"level": "critical"}'
SHOWN = 'x␛[2J‹U+202E›‹U+0085›"\n{"level": "critical"}'


@contextmanager
def logging_configured() -> Iterator[io.StringIO]:
    """Without pytest's own handlers, which refuse what cannot be formatted."""
    names = ("", "apscheduler", "alembic", "urllib3", "fontTools", "weasyprint", "matplotlib")
    levels = {name: logging.getLogger(name).level for name in names}
    root, before = logging.getLogger(), structlog.get_config()
    handlers = root.handlers
    with redirect_stderr(io.StringIO()) as stream:
        logs.configure()
    try:
        yield stream
    finally:
        root.handlers = handlers
        structlog.configure(**before)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def logged(*calls: Callable[[], object]) -> list[dict[str, Any]]:
    """What these calls log, every line checked and read."""
    with logging_configured() as stream:
        for call in calls:
            Context().run(call)  # what other tests bound is not told
    written = stream.getvalue()
    assert written.endswith("\n")
    lines = written[:-1].split("\n")
    assert all(len(line.encode()) <= LONGEST_LINE for line in lines)
    return [json.loads(line) for line in lines]


def told(**values: object) -> dict[str, Any]:
    """The one line of an event with these values."""
    (line,) = logged(lambda: structlog.get_logger("ours").info("told", **values))
    return line


def test_an_event_of_ours_and_one_of_a_library() -> None:
    values = {"alerts": 3, "ratio": 0.5, "held": None, "late": True}

    def traced() -> None:
        structlog.contextvars.bind_contextvars(trace="4f2a")
        structlog.get_logger("ours").info("told", **values)

    ours, theirs = logged(traced, lambda: logging.getLogger("theirs").warning("%s of %d", "one", 2))
    for line in (ours, theirs):
        at = datetime.fromisoformat(line.pop("timestamp"))
        assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert ours == {"event": "told", "level": "info", "logger": "ours", "trace": "4f2a", **values}
    assert theirs == {"event": "one of 2", "level": "warning", "logger": "theirs"}


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(UGLY, SHOWN, id="text"),
        pytest.param([UGLY, (UGLY,)], [SHOWN, [SHOWN]], id="in a list"),
        pytest.param({"a": {"b": UGLY}}, {"a": {"b": SHOWN}}, id="in a mapping"),
        pytest.param({"a\x1b\nb": 1, (2, 3): 4}, {"a␛ b": 1, "(2, 3)": 4}, id="as a name"),
        pytest.param(ValueError("\u202e \U0001f525"), "ValueError('\\u202e 🔥')", id="an error"),
        pytest.param(b"\x1b", "b'\\x1b'", id="bytes"),
        pytest.param(Silent(), "(Silent)", id="what cannot say what it is"),
        pytest.param(float("nan"), "nan", id="JSON has no such number"),
        pytest.param(1 << 20_000, "(int)", id="Python writes no such number"),
        pytest.param("x" * LONGEST, "x" * LONGEST, id="exactly the limit"),
        pytest.param("x" * LONGEST + "y", "x" * (LONGEST - 1) + "…", id="one more"),
        pytest.param([[[[[[1]]]]]], [[[["…"]]]], id="too deep"),
        pytest.param(list(range(51)), [*range(50), "…"], id="too many"),
        pytest.param(
            {n: n for n in range(51)}, {**{str(n): n for n in range(50)}, "…": 51}, id="too many named"
        ),
        pytest.param(
            [[1] * 30, [2] * 30], [[1] * 30, [2] * 18 + ["…"]], id="two lists and 48 figures are 50"
        ),
    ],
)
def test_every_value_is_harmless_however_deep(value: object, shown: object) -> None:
    assert told(value=value)["value"] == shown


def test_a_circle_comes_to_an_end() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert told(value=circle)["value"] == [[[["…"]]]]


def broken(text: str) -> None:
    """Told by us and by a library."""
    try:
        int(text)
    except ValueError as error:
        error.args = (text,)
        structlog.get_logger("ours").exception("broke")
        logging.getLogger("theirs").exception("broke: %s", text)


def test_a_traceback_is_harmless_and_keeps_its_beginning_and_its_end() -> None:
    lines = logged(lambda: broken(UGLY), lambda: broken("l" * 100_000 + UGLY))
    assert len(lines) == 4
    for line in lines:
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith(SHOWN)
    assert all("\n…\n" in line["exception"] for line in lines[2:])


def test_a_line_that_would_be_too_long_keeps_what_is_short() -> None:
    long = {f"long{number}": '"错\n' * 2_000 for number in range(8)}
    line = told(**long, nested=["错" * 4_000], last="short")
    assert (line["event"], line["last"], line["logger"]) == ("told", "short", "ours")
    assert line.keys() == {"event", "level", "logger", "timestamp", "nested", "last", *long}
    for name in long:
        assert line[name].startswith('"错\n"错')
        assert line[name].endswith("…")
    assert line["nested"].startswith('["错错')


def test_a_line_uses_the_room_there_is() -> None:
    line = told(one="错" * 4_000, other="错" * 4_000, short="x")
    assert len(line["one"]) == len(line["other"]) > 2_600, "16,000 bytes / 2 texts / 3 bytes"


def test_a_call_with_the_wrong_number_of_arguments_is_one_line_too() -> None:
    (line,) = logged(lambda: logging.getLogger("theirs").warning("%s and %s", UGLY))  # noqa: PLE1206
    assert line["event"] == "this could not be logged"
    assert (line["said"], line["logger"], line["level"]) == ("%s and %s", "theirs", "error")
    assert "not enough arguments" in line["error"]
    assert "test_logs.py:" in line["where"]
    assert line["timestamp"]


def test_quotes_take_twice_their_room() -> None:
    line = told(**{f"long{number}": '"' * LONGEST for number in range(3)})
    assert [len(line[f"long{number}"]) > 2_000 for number in range(3)] == [True, True, True]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(st.dictionaries(st.text(st.characters()), JSON, max_size=60), st.integers(1, 5_000))
def test_anything_at_all_is_one_line_within_its_length(event: dict[str, Any], times: int) -> None:
    grown = {name: value * times if isinstance(value, str) else value for name, value in event.items()}
    line = logs._line(None, "info", grown)
    assert len(line.encode()) <= LONGEST_LINE
    assert len(line.splitlines()) == 1
    assert isinstance(json.loads(line), dict)
