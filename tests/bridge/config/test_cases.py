"""Files of triage cases are read as strictly as the configuration, and nothing is put into labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import ConfigError
from bridge.config.cases import beside, read_cases
from bridge.model import Priority

GOOD = """
- name: payments are down
  labels: {alertname: Down, log_file: /etc/hostname, text: "${HOME}"}
  annotations: {summary: it is down}
  route_labels: {team: pay}
  expect: {priority: P1, page: true, failover: ""}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "triage.test.yml"
    file.write_text(text, "utf-8")
    return file


def test_a_case_is_read_with_its_line_and_labels_stay_as_they_are_written(tmp_path: Path) -> None:
    [case] = read_cases([written(tmp_path, GOOD)])
    assert (case.name, case.where) == ("payments are down", f"{tmp_path}/triage.test.yml:2")
    assert case.alert.labels == {"alertname": "Down", "log_file": "/etc/hostname", "text": "${HOME}"}
    assert (case.alert.annotations, case.route_labels) == ({"summary": "it is down"}, {"team": "pay"})
    assert case.expect == {"priority": Priority.P1, "page": True, "failover": ""}


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["expected a list of cases, each with name, labels and expect"]),
        ("name: x", ["expected a list of cases, each with name, labels and expect"]),
        ("- {name: x, labels: {}}", ['1: [0]: "expect" is missing']),
        ("- {name: x, labels: {}, expect: {}}", ["1: [0].expect: nothing would be checked"]),
        ("- {name: x, labels: {code: 200}, expect: {page: true}}", ["1: [0].labels.code: expected text"]),
        ("- {name: x, labels: {}, expect: {page: yes}}", ["1: [0].expect.page: expected true or false"]),
        ("- {name: x, labels: {}, expect: {policy: null}}", ["1: [0].expect.policy: expected text"]),
        ("- {name: x, labels: {}, expect: {rul: y}}", ['there is no such setting (did you mean "rule"?)']),
        ("- {name: x, labels: {}, expect: {priority: P5}}", ['"P5" is none of: P1, P2, P3, P4']),
        (
            "- {name: x, labels: {}, expect: {page: true}}\n- {name: x, labels: {}, expect: {page: true}}",
            ['2: [1].name: a second case named "x"'],
        ),
        ("- {name: x, labels: {}, expect: [}", ["not YAML"]),
    ],
)
def test_a_mistake_is_told_at_its_line(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        read_cases([written(tmp_path, text)])
    assert len(refused.value.problems) == len(mistakes)
    for problem, words in zip(refused.value.problems, mistakes, strict=True):
        assert words in str(problem)
        assert str(problem).startswith(f"{tmp_path}/triage.test.yml")


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read_cases([written(tmp_path, "x: y"), tmp_path / "nowhere.yml"])
    assert [Path(problem.file).name for problem in refused.value.problems] == [
        "triage.test.yml",
        "nowhere.yml",
    ]


def test_cases_lie_beside_their_rules() -> None:
    assert beside(Path("rules/triage.yml")) == Path("rules/triage.test.yml")
