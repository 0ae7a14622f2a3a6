"""bridge quarantine: what waits, another try, and a dismissal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge import quarantine
from bridge.__main__ import main
from bridge.sources import Delivery
from bridge.wiring import Bridge
from tests.conftest import payload

Run = Callable[..., Result]


@pytest.fixture
def run(bridge: Bridge, tmp_path: Path) -> Run:
    """Run `bridge quarantine …` where 1 and 3 cannot be read and 2 can."""
    for number, raw in enumerate((b"\xff\x00\nnonsense", payload("firing_single"), b"{}"), start=1):
        delivery = Delivery("main", raw, {}, bridge.now())
        quarantine.keep(bridge, f"trace{number}", "alertmanager", delivery, "an old reader")

    def running(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(main, ["--config", str(tmp_path / "bridge.yml"), "quarantine", *arguments])
        assert done.exit_code == code, done.output
        return done

    return running


def test_what_waits_is_listed_newest_first(run: Run) -> None:
    head, *rows = run("list").stdout.splitlines()
    assert head.split() == ["id", "received_at", "source", "kind", "size", "trace", "reason"]
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    found = json.loads(run("list", "--json").stdout)
    assert [(row["id"], row["size"], row["reason"]) for row in found][-1] == (1, 11, "an old reader")
    assert "body" not in found[0]


def test_a_body_is_shown_as_it_came(run: Run) -> None:
    assert run("show", "1").stdout_bytes == b"\xff\x00\nnonsense"
    assert "nothing in quarantine under number 9" in run("show", "9", code=1).stderr


def test_one_that_can_be_read_is_taken_and_another_is_exit_code_1(run: Run) -> None:
    [row] = json.loads(run("retry", "2", "--json").stdout)
    assert (row["id"], row["taken"], row["reason"]) == (2, True, None)
    assert row["incidents"] == ["INC-2"]
    assert "not the JSON of a webhook" in run("retry", "1", code=1).stdout
    assert "number 2 is settled: taken by trace" in run("retry", "2", code=1).stderr


def test_everything_that_waits_is_tried(run: Run) -> None:
    found = json.loads(run("retry", "--all", "--json", code=1).stdout)
    assert [(row["id"], row["taken"]) for row in found] == [(1, False), (2, True), (3, False)]
    run("dismiss", "1", "3", "--reason", "tests of ours")
    assert run("retry", "--all").stdout == ""
    assert run("list").stdout == ""
    assert [row["outcome"][:9] for row in json.loads(run("list", "--all", "--json").stdout)] == [
        "dismissed",
        "taken by ",
        "dismissed",
    ]


@pytest.mark.parametrize("arguments", [["retry"], ["retry", "1", "--all"], ["dismiss", "1"], ["show", "x"]])
def test_wrong_usage_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    run(*arguments, code=2)


def test_a_dismissal_needs_words(run: Run) -> None:
    assert "say why" in run("dismiss", "1", "--reason", " ", code=1).stderr
