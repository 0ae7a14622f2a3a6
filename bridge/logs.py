"""Structured logs: one JSON line an event, with the trace id of the request it belongs to."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import structlog

from bridge.text import clip_bytes, one_line, visible

# Bytes. Docker hands longer lines on in pieces of 16 KiB, and the pieces are no JSON.
LONGEST_LINE = 16_000
LONGEST = 4000  # characters of one text
_HEAD, _TAIL = 6000, 2000  # characters of a traceback: where it began, and what went wrong in the end
_LONGEST_NAME = 40
_DEEPEST = 4
_MOST_VALUES = 50
_CUT = "…"
_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)


def configure(level: int = logging.INFO) -> None:
    """Send everything, ours and the libraries', as JSON lines to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _STAMP,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Lines(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _line],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # These tell every tick and every connection, with addresses that may hold secrets.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that is skipped comes again
    for noisy in ("alembic", "urllib3", "fontTools", "weasyprint", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _Lines(logging.StreamHandler[TextIO]):
    """A record that cannot be formatted is told in one line too, not in a traceback over many."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say which call of which logger was wrong."""
        wrong = {
            "event": "this could not be logged",
            "said": record.msg,
            "error": sys.exception(),
            "where": f"{record.pathname}:{record.lineno}",
            "logger": record.name,
            "level": "error",
        }
        # Where standard error itself is gone there is nobody to tell.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(_line(None, "error", _STAMP(None, "error", wrong)) + self.terminator)
            self.flush()


def _line(logger: object, method: str, event: structlog.typing.EventDict) -> str:
    """One JSON object on one line of at most `LONGEST_LINE` bytes: no control character, no megabyte."""
    del logger, method
    room = iter(range(_MOST_VALUES))
    told = {
        one_line(str(name), _LONGEST_NAME): _traceback(value) if name == "exception" else _plain(value, room)
        for name, value in itertools.islice(event.items(), _MOST_VALUES)
    }
    line = _json(told)
    return line if len(line.encode()) <= LONGEST_LINE else _json(_fitted(told))


def _plain(value: object, room: Iterator[int], depth: int = 0) -> object:
    """The value as JSON knows it, every text in it harmless; `room` ends after the values it has."""
    if not isinstance(value, dict | list | tuple):
        return value if _is_figure(value) else _text(_said(value))
    if depth == _DEEPEST:
        return _CUT
    if isinstance(value, dict):
        named: dict[str, object] = {
            one_line(_said(name), _LONGEST_NAME): _plain(inside, room, depth + 1)
            for (name, inside), _ in zip(value.items(), room, strict=False)
        }
        return named if len(named) == len(value) else {**named, _CUT: len(value)}
    found = [_plain(inside, room, depth + 1) for inside, _ in zip(value, room, strict=False)]
    return found if len(found) == len(value) else [*found, _CUT]


def _is_figure(value: object) -> bool:
    """Is it one of JSON's own? It has no infinity, and Python refuses to write out endless integers."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and value.bit_length() <= 64)


def _said(value: object) -> str:
    """What an object says of itself; not even one that fails to may keep its event out of the log."""
    if isinstance(value, str):
        return value
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # it is anybody's code
        return f"({type(value).__name__})"


def _text(text: str) -> str:
    shown = visible(text[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + _CUT


def _traceback(value: object) -> str:
    text = _said(value)
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{_CUT}\n{text[-_TAIL:]}"
    return visible(text)


def _fitted(told: dict[str, Any]) -> dict[str, Any]:
    """The same fields, the longest cut until all fit: each gets its share of what the shorter ones leave."""
    room = LONGEST_LINE
    short: dict[str, Any] = {}
    written = {name: _size(name, value) for name, value in told.items()}
    for left, name in zip(range(len(told), 0, -1), sorted(told, key=written.__getitem__), strict=True):
        short[name] = told[name] if written[name] <= room // left else _cut(name, told[name], room // left)
        room -= _size(name, short[name])
    return {name: short[name] for name in told}


def _cut(name: str, value: object, share: int) -> str:
    text = value if isinstance(value, str) else _json(value)
    inside = max(share - _size(name, ""), 0)
    cut = clip_bytes(text, inside)
    # Quotes, backslashes and new lines take twice their room.
    return cut if _size(name, cut) <= share else clip_bytes(text, inside // 2)


def _size(name: str, value: object) -> int:
    return len(_json({name: value}).encode())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
