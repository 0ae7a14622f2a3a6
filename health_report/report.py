"""`build`: the one way to make a report, for command line, worker and console alike."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bridge.delivery import Outbound
from bridge.registry import sections as family
from health_report import evidence, gather, page, queries
from health_report.facts import Facts, IncidentRecord
from health_report.month import Period, period
from health_report.section import Light, Section, View
from health_report.words import Words

STEP = 300.0
FORMATS = ("html", "pdf")
log = logging.getLogger(__name__)

Incidents = Callable[[datetime, datetime], Sequence[IncidentRecord]]
"""Gives the incidents that were open at any moment of a stretch of time (UTC, end not included)."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One report to be made. `slo` is in per cent by service; `step` are seconds between two points.

    An empty `selector` means the client's own label; `hosts` is the selector for host metrics and means
    the client's when it is None. `settings` and `promql` change sections and queries for this client.
    """

    client: str
    month: str
    time_zone: str
    out_dir: Path
    outbound: Outbound
    incidents: Incidents
    now: datetime
    client_name: str = ""
    language: str = "en"
    slo: Mapping[str, float] = field(default_factory=dict)
    selector: str = ""
    hosts: str | None = None
    prometheus: Sequence[str] = ()
    formats: Sequence[str] = ("html",)
    config_version: str = ""
    step: float = STEP
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    promql: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    progress: gather.Progress | None = None


@dataclass(frozen=True)
class Built:
    """A report that was made. `missing` says in plain words what is not in it; `revision` is its hash."""

    paths: tuple[Path, ...]
    evidence: Path
    revision: str
    light: str
    missing: tuple[str, ...]


def build(request: Request) -> Built:
    """Ask, compute, draw and write one report.

    Raises ValueError for a request that cannot be fulfilled (month, zone, language, format, query) and
    OSError when the folder cannot be written. A Prometheus that is down or a PDF that cannot be made
    raises nothing: the report is still built, and `missing` says so.
    """
    unknown = set(request.formats) - set(FORMATS)
    if unknown:
        raise ValueError(f"unknown format {min(unknown)!r}; there are {', '.join(FORMATS)}")
    words = Words(request.language, request.time_zone)
    span = period(request.month, request.time_zone, request.now)
    settings = _settings(request)
    facts = collect(request, span)
    canonical = evidence.canonical(facts)
    revision = evidence.revision(canonical)
    made = compose(facts, words, request.client_name or request.client, revision, settings)
    missing = _missing(facts, made)
    _tell(request, "pages", 0, len(request.formats))
    document = page.Document(request.client_name or request.client, span, words, revision, made, missing)
    paths, failed = _write(request, document)
    kept = request.out_dir / f"{_stem(request)}.evidence.json.gz"
    page.publish(kept, evidence.packed(canonical))
    light = made["summary"].light.value if "summary" in made else Light.NONE.value
    return Built(paths, kept, revision, light, missing + failed)


def collect(request: Request, span: Period) -> Facts:
    """Everything the report is computed from: answers of Prometheus, and this client's own incidents."""
    before = span.previous
    selector = request.selector or queries.selector_of(request.client)
    hosts = request.hosts if request.hosts is not None else selector
    book = queries.override(queries.read(), request.promql)
    asked = queries.questions(book, span, before, selector, hosts, request.step)
    return Facts(
        client=request.client,
        month=span.month,
        zone=span.zone,
        start=span.start,
        end=span.end,
        until=span.until,
        before=before.start,
        step=request.step,
        slo=dict(request.slo),
        config_version=request.config_version,
        results=gather.results(request.outbound, request.prometheus, asked, request.progress),
        incidents=gather.of_client(request.incidents(span.start, span.until), request.client),
        incidents_before=gather.of_client(request.incidents(before.start, before.end), request.client),
    )


def compose(
    facts: Facts, words: Words, client_name: str, revision: str, settings: Mapping[str, msgspec.Struct]
) -> dict[str, Section]:
    """All sections in printed order. They are made from the last to the first, so that the summary,
    which is printed first, can repeat what the others found.
    """
    made: dict[str, Section] = {}
    for name, entry in reversed(list(family.entries().items())):
        view = View(facts, words, client_name, revision, dict(made))
        try:
            section = entry.call(view, settings.get(name) or entry.settings())
        except Exception:  # a mistake in one section must not cost the client the other fifteen
            log.exception("report section failed", extra={"section": name, "client": facts.client})
            section = Section(name, why=words.say("report.section_failed"))
        made = {name: section, **made}
    return made


def slug(client: str) -> str:
    """A file name's beginning for a client: always inside its folder, never the same for two clients."""
    plain = unicodedata.normalize("NFKD", client).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48]
    if name == client:
        return name
    return f"{name or 'client'}-{hashlib.sha256(client.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _stem(request: Request) -> str:
    return f"{slug(request.client)}-{request.month}-{request.language}"


def _settings(request: Request) -> dict[str, msgspec.Struct]:
    found: dict[str, msgspec.Struct] = {}
    for name, values in request.settings.items():
        entry = family.entries().get(name)
        if entry is None:
            raise ValueError(f"there is no report section {name!r}")
        try:
            found[name] = msgspec.convert(dict(values), entry.settings)
        except msgspec.ValidationError as error:
            raise ValueError(f"report section {name}: {error}") from error
    return found


def _missing(facts: Facts, made: Mapping[str, Section]) -> tuple[str, ...]:
    """What a reader should know is not there: sections without data, then failed queries by their words."""
    told = [f"{section.title}: {section.why}" for section in made.values() if section.why]
    errors: dict[str, list[str]] = {}
    for result in facts.results:
        if result.error:
            errors.setdefault(result.error, []).append(f"{result.question.section}.{result.question.name}")
    return tuple(told + [f"{', '.join(sorted(set(names)))}: {error}" for error, names in errors.items()])


def _write(request: Request, document: page.Document) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    request.out_dir.mkdir(parents=True, exist_ok=True)
    text = page.html(document)
    paths: list[Path] = []
    failed: tuple[str, ...] = ()
    wanted = set(request.formats)
    target = request.out_dir / f"{_stem(request)}.pdf"
    if "pdf" in wanted:
        try:
            page.pdf(text, target)
            paths.append(target)
        except page.PdfError as error:
            log.warning("no PDF: %s", error)
            failed = (str(error),)
            wanted.add("html")
        _tell(request, "pages", 1, len(request.formats))
    if "html" in wanted:
        target = target.with_suffix(".html")
        page.publish(target, text.encode())
        paths.insert(0, target)
        _tell(request, "pages", len(request.formats), len(request.formats))
    return tuple(paths), failed


def _tell(request: Request, stage: str, done: int, of: int) -> None:
    if request.progress:
        request.progress(stage, done, of)
