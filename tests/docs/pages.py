"""Reading the documents: headings, tables, code blocks, links."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_HIDDEN = (
    ".venv",
    ".git",
    "build",
    "dist",
    "var",
    "fixtures",
    "node_modules",
    ".hypothesis",
    ".pytest_cache",
)
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>[\w.-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text, and the line it begins at."""

    kind: str
    text: str
    line: int


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    found = (path for path in ROOT.rglob("*.md") if not set(path.relative_to(ROOT).parts) & set(_HIDDEN))
    return sorted(found)


def name(path: Path) -> str:
    """A document's name for a test's report."""
    return path.relative_to(ROOT).as_posix()


def read(document: str) -> str:
    """A document by its name."""
    return (ROOT / document).read_text("utf-8")


def blocks(text: str) -> list[Block]:
    """The code blocks of a document."""
    return [
        Block(found["kind"], textwrap.dedent(found["text"]), text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def prose(text: str) -> str:
    """The document without its code blocks."""
    return _FENCE.sub("", text)


def headings(text: str) -> list[str]:
    """The headings of a document, as written."""
    return re.findall(r"^#{1,6} +(.+?) *#*$", prose(text), re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """What stands under each heading, up to the next heading of any level."""
    parts = re.split(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE)
    return {heading.replace("`", ""): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without header and ruler."""
    found: list[list[str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("|") or re.fullmatch(r"[|\s:-]+", line):
            continue
        if number + 1 < len(lines) and re.fullmatch(r"\|[|\s:-]+", lines[number + 1]):
            continue  # the header
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        found.append([cell.strip().replace("\\|", "|") for cell in cells])
    return found


def table(text: str) -> dict[str, list[str]]:
    """Table rows by the text of their first cell, without its backticks."""
    return {cells[0].strip("`"): cells[1:] for cells in rows(text)}


def codes(text: str) -> list[str]:
    """Everything in single backticks."""
    return _CODE.findall(prose(text))


def links(text: str) -> list[str]:
    """Targets of links and pictures."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(text)))


def anchors(text: str) -> set[str]:
    """The anchors GitHub makes of the headings."""
    found: dict[str, int] = {}
    made: set[str] = set()
    for heading in headings(text):
        kept = "".join(
            char for char in heading.lower() if char in " -_" or unicodedata.category(char)[0] in "LN"
        )
        slug = kept.replace(" ", "-")
        number = found.get(slug, 0)
        found[slug] = number + 1
        made.add(f"{slug}-{number}" if number else slug)
    return made


def command_lines(text: str) -> Iterator[str]:
    """Every `bridge …` command line shown, in code blocks and in backticks."""
    shown = [
        line
        for block in blocks(text)
        if block.kind in ("", "sh", "console", "text")
        for line in block.text.splitlines()
    ]
    before = r"(?:\$ |[\w=/]+=\S+ )*(?:sudo (?:-u \w+ )?)?(?:\S*\.venv/bin/|docker compose exec bridge )?"
    start = re.compile(rf"^{before}bridge ([a-z-].*)$")
    for line in (*shown, *codes(text)):
        found = start.match(line.strip())
        if found:
            yield re.split(r"\s+#|\s*[|<>&;]\s", f"{found[1]} ")[0].strip()
