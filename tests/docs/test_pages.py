"""The documents as documents: links, names of files, decision records, changelog, licence."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs import pages

ALL = pages.documents()
ADRS = sorted((pages.DOCS / "adr").glob("*.md"))
_OURS = ("bridge", "health_report", "templates", "alert_rules", "tests", "bench", "deploy", "docs", ".ci")
_TAGS = {"CHANGE", "FEATURE", "ENHANCEMENT", "BUGFIX", "SECURITY"}


@pytest.mark.parametrize("path", ALL, ids=pages.name)
def test_every_relative_link_and_its_anchor_lead_somewhere(path: Path) -> None:
    lost = []
    for link in pages.links(path.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        where, _, anchor = unquote(link).partition("#")
        target = (path.parent / where).resolve() if where else path
        if (
            not target.exists()
            or not target.is_relative_to(pages.ROOT)
            or (anchor and target.suffix == ".md" and anchor not in pages.anchors(target.read_text("utf-8")))
        ):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("path", ALL, ids=pages.name)
def test_every_file_named_in_backticks_exists(path: Path) -> None:
    named = [
        code
        for code in pages.codes(path.read_text("utf-8"))
        if re.fullmatch(rf"({'|'.join(map(re.escape, _OURS))})/[\w./-]*", code)
    ]
    lost = [name for name in named if not (pages.ROOT / name).exists() and not (path.parent / name).exists()]
    assert lost == []


@pytest.mark.parametrize("path", ALL, ids=pages.name)
def test_no_document_leads_outside_the_repository(path: Path) -> None:
    assert (
        re.findall(
            r"/work\b|\.\./shared|/root\b|/home/|CONTRACT\.md|DESIGN\.md|LOOK\.md", path.read_text("utf-8")
        )
        == []
    )


@pytest.mark.parametrize("path", ALL, ids=pages.name)
def test_code_blocks_are_closed_and_headings_are_not_repeated(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(pages.blocks(text))
    found = pages.headings(text)
    twice = {heading for heading in found if found.count(heading) > 1}
    assert twice == set() or path.name == "CHANGELOG.md"


def test_every_page_of_docs_is_reached_from_the_readme_or_the_list_of_decisions() -> None:
    reached = {
        (pages.ROOT / link.partition("#")[0]).resolve() for link in pages.links(pages.read("README.md"))
    }
    adrs = {(pages.DOCS / "adr" / link).resolve() for link in pages.links(pages.read("docs/adr/README.md"))}
    runbooks = {
        (pages.DOCS / "runbooks" / link).resolve()
        for link in pages.links(pages.read("docs/runbooks/README.md"))
    }
    assert [
        pages.name(path) for path in pages.DOCS.rglob("*.md") if path not in reached | adrs | runbooks
    ] == []


def test_decision_records_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in ADRS if path.name != "README.md"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 15


@pytest.mark.parametrize(
    "path", [path for path in ADRS if path.name != "README.md"], ids=lambda path: path.stem
)
def test_a_decision_record_has_its_number_and_the_four_parts(path: Path) -> None:
    first, *parts = pages.headings(path.read_text("utf-8"))
    assert first.startswith(f"{int(path.name[:4])}. ")
    assert parts == ["Context", "Options", "Choice", "Consequences"]
    body = pages.sections(path.read_text("utf-8"))
    assert all(len(body[part].split()) >= 12 for part in parts)
    assert "**Good**" in body["Consequences"]
    assert "**Bad**" in body["Consequences"]


def test_the_code_names_decision_records_that_exist() -> None:
    for path in (*(pages.ROOT / "bridge").rglob("*.py"), *(pages.ROOT / "health_report").rglob("*.py")):
        for number in re.findall(r"docs/adr/(\d{4})", path.read_text("utf-8")):
            assert list((pages.DOCS / "adr").glob(f"{number}-*.md")), pages.name(path)


def test_the_picture_of_the_readme_is_a_png() -> None:
    assert (pages.DOCS / "console.png").read_bytes().startswith(b"\x89PNG")


def test_every_line_of_the_changelog_carries_a_tag() -> None:
    text = pages.read("CHANGELOG.md")
    lines = re.findall(r"^- (.*)$", text, re.MULTILINE)
    assert lines
    assert [line for line in lines if not re.match(rf"\[({'|'.join(_TAGS)})\] ", line)] == []
    version = re.search(r"^version = (\S+)$", pages.read("setup.cfg"), re.MULTILINE)
    assert version is not None
    assert re.search(rf"^## \[({re.escape(version[1])}|Unreleased)\]", text, re.MULTILINE)


def test_the_import_layers_of_architecture_md_are_those_that_are_checked() -> None:
    config = re.search(r"^layers =\n((?:    .*\n)+)", pages.read("setup.cfg"), re.MULTILINE)
    assert config is not None
    wanted = [line.strip() for line in config[1].splitlines()]
    shown = [block.text.splitlines() for block in pages.blocks(pages.read("docs/architecture.md"))]
    assert wanted in shown


def test_the_licence_is_the_one_of_setup_cfg() -> None:
    assert "license = Apache-2.0" in pages.read("setup.cfg")
    assert pages.read("LICENSE").split()[:3] == ["Apache", "License", "Version"]
