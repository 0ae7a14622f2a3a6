"""Plain values to typed settings, collecting every mistake instead of stopping at the first."""

from __future__ import annotations

import copy
import difflib
import enum
import re
from collections.abc import Iterable
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

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
    found = _WHERE.fullmatch(message)
    if found is None:  # cannot be: the pattern takes any text
        raise AssertionError(message)
    now_at = _inner(found["path"] or "", rest, kind)
    inner = _as_written(now_at, pruned)
    reason = found["reason"]
    unknown = re.match(r"Object contains unknown field `(.*)`", reason)
    here = _kind_at(kind, inner)
    missing = re.match(r"Object missing required field `(.*)`", reason)
    if missing:
        for name in (_required(here) - _at(rest, now_at).keys()) | {missing[1]}:
            if (*inner, name) not in pruned:
                tree.wrong((*path, *inner), f'"{name}" is missing')
    elif unknown:
        inner, now_at = (*inner, unknown[1]), (*now_at, unknown[1])
        tree.wrong((*path, *inner), f"there is no such setting{suggestion(unknown[1], _field_names(here))}")
    else:
        tree.wrong((*path, *inner), _plain(reason, here))
    pruned.add(inner)
    return _remove(rest, now_at)


def _as_written(where: Path_, pruned: set[Path_]) -> Path_:
    """The path as it stands in the file: elements already taken out of a list moved the rest up."""
    written: Path_ = ()
    for part in where:
        place = part
        if isinstance(place, int):
            for gone in sorted(p[-1] for p in pruned if p[:-1] == written and isinstance(p[-1], int)):
                place += gone <= place
        written = (*written, place)
    return written


def _inner(text: str, rest: Any, kind: type) -> Path_:
    parts: Path_ = ()
    for name, index, anything in _PART.findall(text):
        if anything:
            return (*parts, *_culprit(_at(rest, parts), _kind_at(kind, parts)))
        parts = (*parts, int(index) if index else name)
    return parts


def _culprit(block: Any, kind: Any) -> Path_:
    """Which key of a free mapping holds the mistake; msgspec does not say."""
    for key, value in block.items() if isinstance(block, dict) else ():
        try:
            msgspec.convert(value, get_args(kind)[-1], dec_hook=decode_value)
        except msgspec.ValidationError:
            return (key,)
    return ()


def _at(value: Any, where: Path_) -> Any:
    for part in where:
        value = value[part]
    return value


def _remove(value: Any, where: Path_) -> bool:
    if not where:
        return False
    del _at(value, where[:-1])[where[-1]]
    return True


def _kind_at(kind: Any, inner: Path_) -> Any:
    """The type that belongs at a place inside a struct, or None where anything goes."""
    for part in inner:
        inside = (_element(option, part) for option in _options(kind))
        kind = next((found for found in inside if found is not None), None)
    return kind


def _element(kind: Any, part: str | int) -> Any:
    if isinstance(part, str) and _is_struct(kind):
        return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}.get(part)
    inside = get_args(kind)
    return inside[-1 if isinstance(part, str) else 0] if inside else None


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _fields(kind: Any) -> list[msgspec.structs.FieldInfo]:
    return [field for one in _options(kind) if _is_struct(one) for field in msgspec.structs.fields(one)]


def _field_names(kind: Any) -> list[str]:
    return [field.encode_name for field in _fields(kind)]


def _required(kind: Any) -> set[str]:
    return {field.encode_name for field in _fields(kind) if field.required}


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _plain(reason: str, kind: Any) -> str:
    expected = re.match(r"Expected `(.*)`, got `(.*)`$", reason)
    if expected:
        wanted = " or ".join(_WORDS.get(word, word) for word in expected[1].split(" | "))
        return f"expected {wanted}, got {_WORDS.get(expected[2], expected[2])}"
    choice = re.match(r"Invalid enum value '(.*)'$", reason, re.DOTALL)
    if choice:
        known = [name for option in _options(kind) for name in _choices(option)]
        return f'"{choice[1]}" is none of: {", ".join(known)}{suggestion(choice[1], known)}'
    return reason


def _choices(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [str(member.value) for member in kind]
    return [str(name) for name in get_args(kind)]
