"""The proof under a report: everything it was computed from, in one canonical form with one hash."""

from __future__ import annotations

import gzip
import hashlib
import math
from pathlib import Path
from typing import Any

import msgspec

from bridge.text import storable
from health_report.facts import Facts

FORMAT = 1
_LARGEST = 2 * 1024**3


def canonical(facts: Facts) -> bytes:
    """The facts as JSON with sorted keys; the same facts always give the same bytes."""
    plain = msgspec.to_builtins(facts)
    return msgspec.json.encode({"format": FORMAT, "facts": _spelled(plain)}, order="sorted")


def revision(facts: bytes) -> str:
    """The SHA-256 of canonical facts, as hexadecimal text. It stands in the report."""
    return hashlib.sha256(facts).hexdigest()


def packed(facts: bytes) -> bytes:
    """Canonical facts for keeping; no clock goes into the archive, so it is reproducible."""
    return gzip.compress(facts, compresslevel=6, mtime=0)


def verify(file: Path, expected: str) -> bool:
    """Does this evidence file carry this hash? Raises OSError when it cannot be read."""
    with gzip.open(file) as stream:
        data = stream.read(_LARGEST)
    return revision(data) == expected


def _spelled(value: Any) -> Any:
    """JSON has no NaN and no lone surrogate: such numbers are written as Prometheus writes them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(inner) for inner in value]
    return value
