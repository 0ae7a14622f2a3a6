"""The contract of every section, over all that are registered."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lxml import html as lxml_html

from bridge.registry import sections as family
from health_report import gather, page, queries, report
from health_report.facts import Facts
from health_report.month import period
from health_report.section import Light, Section
from health_report.words import Words
from tests.health_report import synthetic

SECTIONS = list(family.entries())
ANSWERS = {"full": synthetic.answers, "nothing": synthetic.nothing, "down": synthetic.failing}
HOSTILE = [
    "<script>alert(1)</script>",
    "$x^$",
    "\u202eevil\u202c مرحبا",
    '"><img src=x>',
    "{{7*7}}{x.__class__}",
    "a\x00b\ud800",
    "支付",
]


def collected(monkeypatch: pytest.MonkeyPatch, answers: str, **changes: Any) -> Facts:
    monkeypatch.setattr(gather, "results", ANSWERS[answers])
    order = synthetic.request(Path("/nowhere"), **changes)
    return report.collect(order, period(order.month, order.time_zone, order.now))


def made(facts: Facts, language: str = "en") -> dict[str, Section]:
    found = report.compose(facts, Words(language, facts.zone), "Acme", "f" * 64, {})
    failed = Words(language, facts.zone).say("report.section_failed")
    assert [name for name, section in found.items() if section.why == failed] == []
    return found


def shown(facts: Facts, language: str = "en", client: str = "Acme") -> str:
    words = Words(language, facts.zone)
    span = period(facts.month, facts.zone, facts.until)
    return page.html(
        page.Document(client, span, words, "f" * 64, made(facts, language), ("x: http://secret/ down",))
    )


def test_every_section_has_its_template_and_every_template_its_section() -> None:
    assert {file.stem for file in (page.templates() / "sections").glob("*.html")} == set(SECTIONS)
    assert set(queries.read()) <= set(SECTIONS)
    assert SECTIONS[0] == "summary"
    assert SECTIONS[-1] == "data_quality"


@pytest.mark.parametrize("name", SECTIONS)
def test_settings_have_defaults_and_refuse_what_they_do_not_know(name: str) -> None:
    settings = family.entries()[name].settings
    assert settings()
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_setting": 1}, settings)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("incidents", ["some", "none"])
def test_every_section_tells_something_or_says_why_not(
    monkeypatch: pytest.MonkeyPatch, language: str, answers: str, incidents: str
) -> None:
    changes = {} if incidents == "some" else {"incidents": lambda *_: []}
    facts = collected(monkeypatch, answers, **changes)
    for section in made(facts, language).values():
        assert bool(section.finding) != bool(section.why)
        assert all(chart.alt and chart.caption for chart in section.charts)
        assert all(len(row) == len(table.columns) for table in section.tables for row in table.rows)
        assert all(len(table.lights) in (0, len(table.rows)) for table in section.tables)


@pytest.mark.parametrize("answers", ["nothing", "down"])
def test_no_data_is_never_green_and_never_100_percent(monkeypatch: pytest.MonkeyPatch, answers: str) -> None:
    facts = collected(monkeypatch, answers, incidents=lambda *_: [])
    found = made(facts)
    for name in ("summary", "availability", "payments", "servers", "data_quality"):
        assert found[name].light is Light.NONE
    for name in ("availability", "payments", "servers"):
        assert found[name].why.startswith("No data")
        assert not found[name].charts
    assert "100.0" not in shown(facts).split("</style>")[1].replace("100 %", "")


def test_a_reason_carries_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = collected(monkeypatch, "down")
    assert "connection refused" in made(facts)["payments"].why
    assert "http://secret" not in shown(facts)


def renamed(facts: Facts, name: str) -> Facts:
    """Every label value and incident text replaced by a hostile one."""

    def labels(known: Any) -> dict[str, str]:
        return {key: f"{value}{name}" for key, value in known.items()}

    results = tuple(
        msgspec.structs.replace(
            r,
            series=tuple(msgspec.structs.replace(s, labels=labels(s.labels)) for s in r.series),
            samples=tuple(msgspec.structs.replace(s, labels=labels(s.labels)) for s in r.samples),
            warnings=(name,),
        )
        for r in facts.results
    )
    changes = {"title": name, "service": name, "cause": name, "priority": f"P1{name}"}
    changed = tuple(msgspec.structs.replace(i, **changes) for i in facts.incidents)
    slo = {f"payments{name}": 99.9, name: 50.0}
    return msgspec.structs.replace(facts, results=results, incidents=changed, slo=slo, config_version=name)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_hostile_names_stay_text(monkeypatch: pytest.MonkeyPatch, name: str, language: str) -> None:
    text = shown(renamed(collected(monkeypatch, "full"), name), language, name)
    tree = lxml_html.fromstring(text)
    assert tree.xpath("//script") == []
    assert tree.xpath("//img") == []
    assert "\x00" not in text
    assert "\u202e" not in text
    text.encode()
    assert "49" not in tree.findtext(".//h1", "")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_chart_has_alternative_text_and_ids_are_unique(
    monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    tree = lxml_html.fromstring(shown(collected(monkeypatch, "full"), language))
    drawings = tree.xpath("//figure/svg")
    assert len(drawings) >= 6
    assert all(drawing.get("role") == "img" and drawing.findtext("title") for drawing in drawings)
    ids = list(tree.xpath("//*[not(ancestor-or-self::svg)]/@id"))
    assert len(ids) == len(set(ids))
    assert tree.get("lang") == {"zh": "zh-CN", "en": "en-GB"}[language]


def test_the_planted_truth_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(collected(monkeypatch, "full"))
    assert "payments missed its promise" in found["availability"].finding
    assert found["summary"].light is Light.RED
    assert "eu-west-1 are overloaded" in found["servers"].finding
    assert "grew by" in found["servers"].finding
    assert "1 agreed time was missed" in found["incidents"].finding
    assert "6 h" in found["data_quality"].finding
    assert len(found["summary"].figures) == 5
    assert len(found["summary"].notes) == 3


def test_what_nobody_promised_is_no_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(collected(monkeypatch, "full", slo={"payments": 50.0}, incidents=lambda *_: []))
    assert found["servers"].light is Light.RED
    assert found["summary"].light is Light.AMBER


def test_a_section_that_fails_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = collected(monkeypatch, "full")

    def broken(*_: Any) -> Section:
        raise ZeroDivisionError

    entries = dict(family.entries())
    entries["payments"] = dataclasses.replace(entries["payments"], call=broken)
    monkeypatch.setattr(family, "entries", lambda: entries)
    found = report.compose(facts, Words("en", facts.zone), "Acme", "f" * 64, {})
    assert found["payments"].why.startswith("This section could not be made")
    assert found["servers"].finding


def test_a_promise_nobody_measured_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(collected(monkeypatch, "full", slo={"orders": 50.0, "ghost": 99.9}))
    assert found["availability"].light is Light.AMBER
    assert "ghost" in found["availability"].notes[0]


def test_an_unfinished_month_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = collected(monkeypatch, "full", now=datetime(2026, 10, 14, 3, 7, tzinfo=UTC))
    assert "This month is not over" in shown(facts)
    assert "figures go up to 14 Oct 2026 11:07" in shown(facts)


def test_first_month_and_empty_month(monkeypatch: pytest.MonkeyPatch) -> None:
    early = collected(monkeypatch, "full", now=datetime(2026, 9, 30, 16, 1, tzinfo=UTC))
    assert made(early)["availability"].why
    monkeypatch.setattr(synthetic, "result", lambda q: synthetic.Result(question=q))
    assert made(collected(monkeypatch, "full"))["availability"].why
