"""Reading YAML strictly, with the line of every value.

YAML 1.1 guesses types (`NO` is false, `12:30` a number); here a plain scalar is null, true, false, a
number or text, nothing else. Aliases, tags, duplicate keys and bombs are refused before anything is built.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

LARGEST_FILE = 1024 * 1024
DEEPEST = 32
MOST_NODES = 50_000
_SHORTEST_SECRET = 4
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)?\.[0-9]+|[-+]?(0|[1-9][0-9]*)\.")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PLAIN = {"": None, "~": None, "null": None, "true": True, "false": False}

# What YAML does not allow in a file and its escapes bring in all the same: "\0" and "\ud800".
_NOT_TEXT = yaml.reader.Reader.NON_PRINTABLE

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is and what to do."""

    file: str
    line: int
    path: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.reason}" if self.path else f"{place}: {self.reason}"


@dataclass
class Tree:
    """A YAML file as plain values, with the line of every path in it."""

    file: str
    value: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    raw: bytes = b""
    from_outside: dict[str, str] = field(default_factory=dict)

    def line(self, path: Path_) -> int:
        """The line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def wrong(self, path: Path_, reason: str) -> None:
        """Note a mistake at a path. What came from a variable or a file may be secret and is not repeated."""
        for text, name in self.from_outside.items():
            if len(text) >= _SHORTEST_SECRET:
                reason = reason.replace(text, name).replace(repr(text)[1:-1], name)
        self.problems.append(Problem(self.file, self.line(path), path_text(path), reason))


def path_text(path: Path_) -> str:
    """`("policies", "page", "steps", 1)` as `policies.page.steps[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read(file: Path, environment: Mapping[str, str] | None = os.environ) -> Tree:
    """Read a YAML file; mistakes are in the tree's `problems`, never raised.

    Without an environment every text is only text: no variable is filled in and no file is read.
    """
    tree = Tree(str(file))
    try:
        if file.stat().st_size > LARGEST_FILE:
            tree.wrong((), f"larger than {LARGEST_FILE // 1024} KiB")
            return tree
        tree.raw = file.read_bytes()
        node = _Loader(tree.raw.decode("utf-8")).get_single_node()
    except OSError as error:
        tree.wrong((), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = tree.raw.count(b"\n", 0, error.start) + 1
        tree.problems.append(Problem(tree.file, line, "", "is not UTF-8 text"))
    except RecursionError:
        tree.wrong((), f"nested deeper than {DEEPEST} levels")
    except yaml.reader.ReaderError as error:
        line = tree.raw.decode("utf-8").count("\n", 0, error.position) + 1
        tree.problems.append(Problem(tree.file, line, "", f"control character U+{error.character:04X}"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        tree.problems.append(Problem(tree.file, mark.line + 1 if mark else 0, "", f"not YAML: {reason}"))
    else:
        _Builder(tree, environment).build(node)
    return tree


class _Loader(yaml.SafeLoader):
    """SafeLoader without guessed types and without aliases."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read", problem_mark=mark)
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_NODES} values", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {}


class _Builder:
    """Turns nodes into plain values; holds the tree that collects lines and problems."""

    def __init__(self, tree: Tree, environment: Mapping[str, str] | None) -> None:
        self._tree = tree
        self._environment = environment

    def build(self, node: yaml.Node | None) -> None:
        self._tree.value = None if node is None else self._value(node, ())

    def _value(self, node: yaml.Node, path: Path_) -> Any:
        self._tree.lines[path] = node.start_mark.line + 1
        if len(path) > DEEPEST:
            self._tree.wrong(path, f"nested deeper than {DEEPEST} levels")
            return None
        if node.tag not in _TAGS:
            self._tree.wrong(path, f"tags such as {node.tag} are not read")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(str(node.value), path, plain=getattr(node, "style", None) is None)

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._tree.problems.append(
                    Problem(self._tree.file, line, path_text(path), "a key is not text")
                )
                continue
            key = self._clean(str(key_node.value), path, line)
            where = (*path, key)
            if key in found:
                self._tree.problems.append(Problem(self._tree.file, line, path_text(where), "is given twice"))
                continue
            found[key] = self._value(value_node, where)
            self._tree.lines[where] = line
        return {
            key: value
            for name, raw in found.items()
            for key, value in (self._from_file(name, raw, found, path),)
        }

    def _from_file(self, key: str, value: Any, found: Mapping[str, Any], path: Path_) -> tuple[str, Any]:
        """`token_file: /run/secrets/x` is `token:` with what the file holds."""
        name = key.removesuffix("_file")
        if name == key or not name or not isinstance(value, str) or self._environment is None:
            return key, value
        where = (*path, key)
        self._tree.lines[(*path, name)] = self._tree.lines[where]
        if name in found:
            self._tree.wrong(where, f'both "{name}" and "{key}" are given; one is enough')
            return name, found[name]
        try:
            text = self._clean(Path(value).read_text("utf-8").strip(), where)
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self._tree.wrong(where, f"{value} cannot be read: {said}")
            return name, "unreadable"
        self._tree.from_outside[text] = "***"
        return name, text

    def _scalar(self, text: str, path: Path_, *, plain: bool) -> Any:
        if plain:
            if text in _PLAIN:
                return _PLAIN[text]
            if _INT.fullmatch(text) and len(text) < 19:
                return int(text)
            if _FLOAT.fullmatch(text):
                return float(text)
        text = self._clean(text, path)
        environment = self._environment
        if environment is None:
            return text
        return _VARIABLE.sub(lambda match: self._variable(match[1], environment, path), text)

    def _variable(self, name: str, environment: Mapping[str, str], path: Path_) -> str:
        value = environment.get(name)
        if not value:
            self._tree.wrong(path, f"the environment variable {name} is not set")
            return "unset"
        value = self._clean(value, path)
        self._tree.from_outside[value] = f"${{{name}}}"
        return value

    def _clean(self, text: str, path: Path_, line: int = 0) -> str:
        """The text; what no file may hold is noted as a mistake and marked, so that it can be printed."""
        found = _NOT_TEXT.search(text)
        if found is None:
            return text
        what = "half a character" if "\ud800" <= found[0] <= "\udfff" else "control character"
        place = line or self._tree.line(path)
        reason = f"{what} U+{ord(found[0]):04X}"
        self._tree.problems.append(Problem(self._tree.file, place, path_text(path), reason))
        return _NOT_TEXT.sub("\ufffd", text)
