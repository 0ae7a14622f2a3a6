"""Plain values to typed settings, collecting every mistake instead of stopping at the first."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from bridge.config.tree import Path_, Tree
from bridge.config.values import decode_value

T = TypeVar("T")

_WHERE = re.compile(r"^(?P<reason>.*?)(?: - at `\$?(?P<path>[^`]*)`)?$", re.DOTALL)
_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a block of settings",
    "array": "a list",
    "null": "nothing",
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` when something known is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


def convert(tree: Tree, path: Path_, value: Any, kind: type[T]) -> T | None:
    """Read `value` as `kind`; every mistake in it is noted in the tree, then None is returned."""
    rest = copy.deepcopy(value)
    pruned: set[Path_] = set()
    clean = True
    while True:
        try:
            result = msgspec.convert(rest, kind, dec_hook=decode_value)
        except msgspec.ValidationError as error:
            clean = False
            if not _note(tree, path, rest, str(error), kind, pruned):
                return None
        else:
            return result if clean else None


def _note(tree: Tree, path: Path_, rest: Any, message: str, kind: type, pruned: set[Path_]) -> bool:
    """Record one mistake and take it out of `rest`; False when there is nothing left to look at."""
    found = _WHERE.match(message)
    assert found is not None
    now_at = _inner(found["path"] or "")
    inner = _as_written(now_at, pruned)
    reason = found["reason"]
    unknown = re.match(r"Object contains unknown field `(.*)`", reason)
    missing = re.match(r"Object missing required field `(.*)`", reason)
    if missing:
        if (*inner, missing[1]) not in pruned:
            tree.wrong((*path, *inner), f'"{missing[1]}" is missing')
        return False
    if unknown:
        names = _field_names(kind, inner)
        inner, now_at = (*inner, unknown[1]), (*now_at, unknown[1])
        tree.wrong((*path, *inner), f"there is no such setting{suggestion(unknown[1], names)}")
    else:
        tree.wrong((*path, *inner), _plain(reason))
    pruned.add(inner)
    return _remove(rest, now_at)


def _as_written(where: Path_, pruned: set[Path_]) -> Path_:
    """The path as it stands in the file: elements already taken out of a list moved the rest up."""
    written: Path_ = ()
    for part in where:
        if isinstance(part, int):
            for gone in sorted(p[-1] for p in pruned if p[:-1] == written and isinstance(p[-1], int)):
                part += int(gone) <= part
        written = (*written, part)
    return written


def _inner(text: str) -> Path_:
    parts: list[str | int] = []
    for name, index, anything in _PART.findall(text):
        if anything:
            break
        parts.append(int(index) if index else name)
    return tuple(parts)


def _remove(value: Any, where: Path_) -> bool:
    if not where:
        return False
    *outer, last = where
    for part in outer:
        value = value[part]
    del value[last]
    return True


def _field_names(kind: type, inner: Path_) -> list[str]:
    """Keys that would have been right at this place; only needed to suggest a spelling."""
    fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind)} if _is_struct(kind) else {}
    for part in inner:
        inside = fields.get(str(part))
        structs = [c for c in (inside, *getattr(inside, "__args__", ())) if _is_struct(c)]
        if isinstance(part, str) and not structs:
            return []
        if structs:
            fields = {f.encode_name: f.type for f in msgspec.structs.fields(structs[0])}
    return list(fields)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _plain(reason: str) -> str:
    expected = re.match(r"Expected `(.*)`, got `(.*)`$", reason)
    if not expected:
        return reason
    wanted = " or ".join(_WORDS.get(word, word) for word in expected[1].split(" | "))
    return f"expected {wanted}, got {_WORDS.get(expected[2], expected[2])}"
