"""bridge triage test: one line for each case that fails, and an exit code for the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.__main__ import main

CASES = """
- name: a broken gateway wakes somebody
  labels: {alertname: Timeout, client: acme, service: payments, severity: critical, gateway: alipay}
  expect: {rule: payment path down, priority: P1, page: true}
- name: a warning does not
  labels: {alertname: Slow, client: nobody, severity: warning}
  expect: {priority: P3, page: false}
"""


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """These commands open no database."""
    return f"sqlite:///{tmp_path}/nowhere/bridge.db"


@pytest.fixture
def run(make_bridge: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run `bridge triage test …` beside a file of cases."""
    make_bridge()

    def running(*arguments: str, cases: str = CASES, code: int = 0) -> Any:
        (tmp_path / "triage.test.yml").write_text(cases, "utf-8")
        done = CliRunner().invoke(
            main, ["--config", str(tmp_path / "bridge.yml"), "triage", "test", *arguments]
        )
        assert done.exit_code == code, done.output
        return done

    return running


def test_cases_that_hold_are_one_line_which_names_the_rules_without_a_case(run: Callable[..., Any]) -> None:
    first = CASES.partition("- name: a warning")[0]
    assert run(cases=first).output == "1 cases, 0 failed; not covered: warning, default\n"


def test_a_failing_case_is_told_with_its_line_the_difference_and_why(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    assert run(code=1).output.splitlines() == [
        f"{tmp_path}/triage.test.yml:5: a warning does not: "
        "priority: expected P3, got P2; page: expected false, got true",
        "  rule warning",
        "  client 'nobody' is not in the configuration",
        "2 cases, 1 failed; not covered: default",
    ]


def test_the_answer_for_programs_says_the_same(run: Callable[..., Any], tmp_path: Path) -> None:
    found = json.loads(run("--json", code=1).output)
    assert (found["cases"], found["not_covered"]) == (2, ["default"])
    [failed] = found["failed"]
    assert (failed["case"], failed["where"]) == ("a warning does not", f"{tmp_path}/triage.test.yml:5")
    assert failed["differences"][0] == {"field": "priority", "expected": "P3", "got": "P2"}
    assert failed["why"][0] == "rule warning"


def test_other_files_can_be_named(run: Callable[..., Any], tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text(CASES.replace("P3, page: false", "P2"), "utf-8")
    assert run(str(other)).output.startswith("2 cases, 0 failed")


def test_what_cannot_be_used_is_exit_code_2_with_every_mistake(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    said = run(cases="- {name: x, labels: {}, expect: {pages: true}}", code=2).stderr
    assert (
        f'{tmp_path}/triage.test.yml:1: [0].expect.pages: there is no such setting (did you mean "page"?)'
        in said
    )
    (tmp_path / "triage.yml").write_text("- name: x\n  match: [nonsense]\n")
    assert "is not a matcher" in run(code=2).stderr


def test_without_cases_it_says_where_to_write_them(run: Callable[..., Any], tmp_path: Path) -> None:
    run("--help")
    (tmp_path / "triage.test.yml").unlink()
    done = CliRunner().invoke(main, ["--config", str(tmp_path / "bridge.yml"), "triage", "test"])
    assert done.exit_code == 2
    assert f"write them into {tmp_path}/triage.test.yml" in done.output
