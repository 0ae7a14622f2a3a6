"""From sections to files: one self-contained HTML page, and the same page as PDF made in a child process."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import bridge
from health_report.month import Period
from health_report.section import Section, reason
from health_report.words import Words, shown

PDF_SECONDS = 60.0
# CJK text may be broken at every character; a run of this length of anything else would leave the page.
_ENDLESS = re.compile(r"[^\s\u2e80-\uffef]{25}")
_MISSING = 3  # exit code of health_report.pdf when WeasyPrint or its libraries are not there
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "FONTCONFIG_FILE")


class PdfError(Exception):
    """The PDF could not be made; the HTML is not touched by that. The text says why."""


class PdfUnavailable(PdfError):
    """WeasyPrint or a system library it needs is not installed here."""


@dataclass(frozen=True)
class Document:
    """All that the page template is given."""

    client_name: str
    period: Period
    words: Words
    revision: str
    sections: Mapping[str, Section]
    missing: tuple[str, ...] = ()


def templates() -> Path:
    """Where the report's templates are: inside an installed package, or at the top of the repository."""
    package = Path(bridge.__file__).parent
    installed = package / "assets" / "report"
    return installed if installed.is_dir() else package.parent / "templates" / "report"


def environment(folder: Path | None = None) -> Environment:
    """The template environment: everything escaped, unknown names are errors, strangers' text cleaned."""
    made = Environment(
        loader=FileSystemLoader(folder or templates()),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["without_addresses"] = reason
    made.filters["fold"] = _fold
    return made


def html(document: Document) -> str:
    """The whole report as one HTML page that needs nothing else: no script, no file, no network."""
    return (
        environment()
        .get_template("report.html")
        .render(doc=document, words=document.words, say=document.words.say)
    )


def pdf(page: str, target: Path, seconds: float = PDF_SECONDS) -> None:
    """Make a PDF of a page. Raises PdfUnavailable without WeasyPrint, PdfError for anything else.

    The child has limits on time and memory, sees no secret of ours, and its fetcher refuses every URL.
    """
    with _temporary(target) as draft:
        command = [sys.executable, "-m", "health_report.pdf", str(draft)]
        root = Path(bridge.__file__).parent.parent
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            done = subprocess.run(
                command,
                input=page.encode(),
                capture_output=True,
                timeout=seconds,
                check=False,
                env=passed | {"PYTHONPATH": str(root)},
            )
        except subprocess.TimeoutExpired:
            raise PdfError(f"the PDF was not ready after {seconds:.0f} seconds") from None
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        last = shown(said[-1], 300) if said else f"exit code {done.returncode}"
        if done.returncode == _MISSING:
            raise PdfUnavailable(f"PDF needs WeasyPrint and its libraries: {last}")
        if done.returncode != 0 or draft.stat().st_size == 0:
            raise PdfError(f"the PDF could not be made: {last}")
        _settle(draft, target)


def publish(target: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it: temporary name, fsync, rename."""
    with _temporary(target) as draft:
        draft.write_bytes(data)
        _settle(draft, target)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _settle(draft: Path, target: Path) -> None:
    draft.chmod(0o640)
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    draft.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fold(cell: str) -> str:
    """How a cell may be broken into lines: short ones never, one with an endless word anywhere."""
    if len(cell) <= 14:
        return "whole"
    return "endless" if _ENDLESS.search(cell) else ""


def _fit(value: Any) -> Any:
    """Jinja hands every value it prints through here."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
