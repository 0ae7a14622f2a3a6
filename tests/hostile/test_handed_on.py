"""A hostile text in what other programs read: tickets, spreadsheets, the monthly report and the log."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge import paging, reporting
from bridge.__main__ import main
from bridge.store.outbox import Task
from bridge.trackers import jira
from tests.bridge.trackers.test_jira import settings as jira_settings
from tests.hostile.markup import UNSEEN, Page
from tests.hostile.site import Site
from tests.hostile.stories import Stored, Teller, messages_queued, stored
from tests.hostile.texts import EVERY, TEXTS
from tests.servers.http import Server
from tests.servers.jira import Jira
from tests.servers.loopback import outbound

# What has a meaning in Jira's markup, but for the entity that stands for a backslash.
JIRA_MARKUP = re.compile(r"(?<!\\)(?:[{}\[\]!*_~|^]|(?<!&)#)")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
ROOT = Path(__file__).parents[2]
LONGEST_LINE = 40_000
# Every way in which our code and its libraries write to the log, in a process of its own.
LOGGING = """
import json, logging, sys, structlog
from bridge.logs import configure
configure()
ours, theirs = structlog.get_logger("ours"), logging.getLogger("theirs")
for text in json.loads(sys.stdin.read()):
    ours.info("field", text=text)
    ours.info(text)
    ours.info("nested", texts=[text], named={"inside": {"text": text}})
    ours.info("object", error=ValueError(text), raw=text.encode("utf-8", "replace"))
    theirs.warning("%s", text)
    try:
        raise ValueError(text)
    except ValueError as error:
        ours.exception("broke")
        theirs.exception("broke %s", error)
"""


class Stage:
    """A site where every hostile text was told."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.hostile: dict[str, list[Stored]] = {}
        teller = Teller(site)
        for kind, texts in TEXTS.items():
            cases = teller.cases(texts)
            self.hostile[kind] = stored(site, teller.tell(cases), cases)

    def ticket(self, each: Stored) -> Any:
        """What the worker would have a tracker say."""
        row = messages_queued(self.site, each.incident.number)[0]
        names: Mapping[str, Any] = {name: getattr(row, name) for name in Task.__dataclass_fields__}
        return paging._ticket(self.site.bridge, Task(**names))[0]


@pytest.fixture(scope="module")
def stage(light_calm_site: Site) -> Stage:
    return Stage(light_calm_site)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_ticket_is_made_and_nothing_in_it_is_markup(stage: Stage, kind: str) -> None:
    tracker = Jira()
    with Server(tracker) as server:
        for each in stage.hostile[kind]:
            ticket = stage.ticket(each)
            key = jira.mirror(jira_settings(server.url), ticket, "", outbound(5)).key
            jira.mirror(jira_settings(server.url), ticket, key, outbound(5))
            fields, comments = tracker.issues[key], tracker.comments[key]
            assert fields["labels"] == [f"opsbridge-{each.incident.name}", "opsbridge"]
            assert fields["summary"].startswith("[P1] ")
            for text in (fields["summary"], fields["description"], *comments):
                assert not UNSEEN.search(text), ascii(text)
            for text in (fields["description"], *comments):
                found = JIRA_MARKUP.search(text)
                assert found is None, text[max(found.start() - 40, 0) :][:80]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_query_to_a_tracker_holds_a_hostile_name_as_a_text(kind: str) -> None:
    for text in TEXTS[kind]:
        quoted = jira._quoted(text)
        assert re.fullmatch(r'(?:[^"\\]|\\.)*', quoted, re.DOTALL), "the text ends before its end"
        assert re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) == text


def exported(stage: Stage, kind: str) -> str:
    done = CliRunner().invoke(
        main, ["--config", str(stage.site.file), "export", "incidents", "--format", kind]
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def test_no_cell_of_an_export_is_a_formula(stage: Stage) -> None:
    head, *rows = csv.reader(io.StringIO(exported(stage, "csv"), newline=""))
    assert len(rows) == len(json.loads(exported(stage, "json"))) >= 2 * len(EVERY)
    for row in rows:
        assert len(row) == len(head)
        for cell in row:
            assert not cell.lstrip(" \u00a0\u200b").startswith(FORMULA), cell
            assert not UNSEEN.search(cell), ascii(cell)
            assert "\n" not in cell


def test_no_text_is_markup_in_a_report(stage: Stage, tmp_path: Path) -> None:
    def page(client: str, language: str) -> Page:
        built = reporting.build(
            stage.site.bridge, client, "2026-11", formats=["html"], folder=tmp_path, language=language
        )
        (path,) = built.paths
        return Page(path.read_text("utf-8"))

    for language in ("en", "zh"):
        hostile, plain = page("acme", language), page("nord", language)
        assert hostile.elements.keys() <= plain.elements.keys()
        assert {name for _, name, _ in hostile.attributes} <= {name for _, name, _ in plain.attributes}
        assert not hostile.others
        assert all(address.startswith("#") for _, _, address in hostile.addresses)
        assert not UNSEEN.search(hostile.source)
        assert "alert(1)" in hostile.text


@pytest.fixture(scope="module")
def log() -> list[str]:
    """Every text through every way of logging."""
    done = subprocess.run(
        [sys.executable, "-c", LOGGING],
        cwd=ROOT,
        input=json.dumps(EVERY).encode(),
        capture_output=True,
        check=True,
    )
    return done.stderr.decode("utf-8").split("\n")[:-1]


def test_the_log_is_one_json_object_for_each_event(log: list[str]) -> None:
    assert len(log) == 7 * len(EVERY)
    for line in log:
        assert json.loads(line)["level"] in ("info", "warning", "error")


@pytest.mark.parametrize("event", ["field", "nested", "object", "broke", "broke ", ""])
def test_nothing_in_the_log_moves_a_terminal_or_hides(log: list[str], event: str) -> None:
    known = ("field", "nested", "object", "broke")
    for line in log:
        said = json.loads(line)
        named = next((name for name in known if said["event"] == name), "")
        if said["event"].startswith("broke "):
            named = "broke "
        if named == event:
            found = UNSEEN.search(line)
            assert found is None, ascii(line[max(found.start() - 40, 0) :][:80])


@pytest.mark.parametrize("event", ["field", "nested", "object", "broke", ""])
def test_no_line_of_the_log_is_endless(log: list[str], event: str) -> None:
    for line in log:
        said = json.loads(line)["event"]
        if said == event or (not event and said not in ("field", "nested", "object", "broke")):
            assert len(line) < LONGEST_LINE, line[:80]
