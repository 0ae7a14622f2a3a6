"""The console's Chinese words, compiled where Flask-Babel looks for them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bridge.messages import assets

ROOT = Path(__file__).parents[3]
WORDS = assets("console", "translations", "zh", "LC_MESSAGES", "messages.po")


@functools.cache
def chinese() -> Catalog:
    """The Chinese catalogue."""
    with WORDS.open("rb") as file:
        return read_po(file, locale="zh")


@functools.cache
def compile_words() -> None:
    """Make the .mo file, which is not kept in the repository; whole or not at all."""
    fresh = WORDS.with_suffix(".mo.new")
    with fresh.open("wb") as file:
        write_mo(file, chinese())
    fresh.replace(WORDS.with_suffix(".mo"))


def wanted() -> Iterator[tuple[str, str | None]]:
    """Every string that pages or their Python ask for, with its context."""
    for folder, kind in (
        (ROOT / "bridge/web", ("**.py", "python")),
        (assets("console"), ("**.html", "jinja2")),
    ):
        for _, _, message, _, context in extract_from_dir(folder, [kind]):
            yield (message if isinstance(message, str) else message[0]), context
