"""JSON of strangers: what only a lenient reader takes is taken too, because it may be a P1.

Lone surrogates, line breaks in texts, a byte order mark, UTF-16, bytes that are no UTF-8: not what real
programs send, but hand-made senders and custom payloads do.
"""

from __future__ import annotations

import json
from typing import Any

from bridge.text import storable


def read(body: bytes) -> Any:
    """The value of a body that is no strict JSON; raises ValueError or RecursionError."""
    try:
        return json.loads(body, strict=False, parse_constant=_refuse)
    except UnicodeDecodeError:
        return json.loads(body.decode("utf-8", "replace"), strict=False, parse_constant=_refuse)


def written(value: Any) -> str:
    """A value as text: itself, nothing for null, else its JSON."""
    if isinstance(value, str) or value is None:
        return value or ""
    return as_json(value)


def as_json(value: Any) -> str:
    """A value as JSON that people can read; what cannot be stored is escaped."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        return text if storable(text) == text else json.dumps(value)
    except (RecursionError, ValueError):
        return "(nested too deeply to be written out)"


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
