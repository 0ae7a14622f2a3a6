"""One small file per mistake. Each says at its end which problems it must show: line, path and words."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import ConfigError, Problem, load
from bridge.config.load import Families
from tests.bridge.config.conftest import SMALLEST

BAD = Path(__file__).parent / "bad"
FILES = sorted(BAD.glob("*.yml"))
RULE_FILES = sorted((BAD / "rules").glob("*.yml"))
SECRET = "hunter2-secret"


def expected(file: Path) -> list[str]:
    lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    return [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]


def shown(problem: Problem) -> str:
    return ": ".join(text for text in (str(problem.line), problem.path, problem.reason) if text)


def problems(file: Path, families: Families) -> list[Problem]:
    with pytest.raises(ConfigError) as refused:
        load(file, families, {"TOKEN": SECRET})
    assert SECRET not in str(refused.value)
    return refused.value.problems


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_every_mistake_at_its_line(file: Path, families: Families) -> None:
    found = problems(file, families)
    assert [shown(problem) for problem in found] == expected(file)
    assert {problem.file for problem in found} == {str(file)}


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.stem)
def test_a_bad_rule_file_is_refused_with_every_mistake_at_its_line(
    file: Path, families: Families, tmp_path: Path
) -> None:
    config = tmp_path / "bridge.yml"
    config.write_text(SMALLEST.replace("triage.yml", str(file)), "utf-8")
    found = problems(config, families)
    assert [shown(problem) for problem in found] == expected(file)
    assert {problem.file for problem in found} == {str(file)}


@pytest.mark.parametrize("file", [*FILES, *RULE_FILES], ids=lambda file: file.stem)
def test_every_bad_file_says_what_is_wrong_in_its_first_line_and_expects_something(file: Path) -> None:
    assert file.read_bytes().startswith(b"# ")
    assert expected(file)


def test_there_are_enough_of_them() -> None:
    assert len(FILES) + len(RULE_FILES) >= 60
