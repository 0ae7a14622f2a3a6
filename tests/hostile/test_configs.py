"""A hostile configuration is refused at its line, in time, without a guess and without a secret."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from bridge.__main__ import main
from bridge.config import Config, ConfigError, Problem, load
from bridge.store import people
from bridge.store.schema import incidents
from bridge.wiring import FAMILIES
from tests.hostile.bodies import one, webhook
from tests.hostile.configs import DEFAULT, KEYS, SMALLEST, TIMES, YAML, Odd
from tests.hostile.routes import ROUTES
from tests.hostile.rules import EVERYTHING, PLAN, SELECTORS
from tests.hostile.site import SLOWEST, Site

ALL = [*YAML, *KEYS, *TIMES]


def read(folder: Path, text: str, rules: str = DEFAULT) -> Config:
    (folder / "bridge.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    (folder / "triage.yml").write_text(rules, "utf-8")
    return load(folder / "bridge.yml", {family.name: family.settings() for family in FAMILIES}, {})


def problems(folder: Path, text: str, rules: str = DEFAULT) -> list[Problem]:
    with pytest.raises(ConfigError) as refused:
        read(folder, text, rules)
    assert "canary" not in str(refused.value)
    return refused.value.problems


@pytest.mark.parametrize("odd", ALL, ids=lambda odd: ascii(str(odd))[:70])
def test_a_hostile_configuration_is_refused_at_its_line_in_time(odd: Odd, tmp_path: Path) -> None:
    began = time.thread_time()
    found = problems(tmp_path, odd.text, odd.rules)
    assert time.thread_time() - began < SLOWEST
    fitting = [problem for problem in found if odd.says in str(problem)]
    assert fitting, [str(problem)[:300] for problem in found]
    if odd.line:
        assert odd.line in [problem.line for problem in fitting]
    for problem in found:
        assert len(str(problem)) < 2_000, "a mistake that buries the others"
        assert str(problem).isprintable()


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", SMALLEST.encode("utf-16"), b"\x00" * 100, b"\x80abc"])
def test_a_configuration_that_is_no_text_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "bridge.yml").write_bytes(raw)
    with pytest.raises(ConfigError):
        load(tmp_path / "bridge.yml", {family.name: family.settings() for family in FAMILIES}, {})


@pytest.mark.parametrize(
    "name", ["NO", "yes", "1e3", "0o17", "12:30", "017", "2026-11-25", "=", "~x", ".nan"]
)
def test_a_name_that_other_readers_guess_at_stays_what_is_written(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, SMALLEST.replace("Acme", name)).clients["acme"].name == name


@pytest.mark.parametrize("text", EVERYTHING)
def test_a_failover_plan_for_every_alert_is_refused(text: str, tmp_path: Path) -> None:
    more = PLAN % f"'{text}'"
    found = problems(tmp_path, SMALLEST + more)
    assert [problem.path for problem in found if problem.path.startswith("failover.standby.on")]


def test_a_failover_plan_for_some_alerts_is_taken(tmp_path: Path) -> None:
    config = read(tmp_path, SMALLEST + PLAN % "'alertname=~\"Payment.*\"'")
    assert list(config.plans) == ["standby"]


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_that_is_more_than_one_is_refused(selector: str, tmp_path: Path) -> None:
    written = "".join(f"\\x{ord(char):02x}" if not char.isalnum() else char for char in selector)
    text = SMALLEST.replace("{name: Acme}", f'{{name: Acme, report: {{selector: "{written}"}}}}')
    found = problems(tmp_path, text)
    assert [problem.path for problem in found] == ["clients.acme.report.selector"]


def check(folder: Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["--config", str(folder / "bridge.yml"), "check"])
    return done.exit_code, done.output


def test_check_exits_1_for_every_hostile_file_and_0_for_a_good_one(tmp_path: Path) -> None:
    for odd in ALL[::7]:
        (tmp_path / "bridge.yml").write_text(odd.text)
        (tmp_path / "triage.yml").write_text(odd.rules)
        code, said = check(tmp_path)
        assert code == 1, odd
        assert "Traceback" not in said, odd
    (tmp_path / "bridge.yml").write_text(SMALLEST)
    (tmp_path / "triage.yml").write_text(DEFAULT)
    assert check(tmp_path)[0] == 0


def test_check_warns_when_every_alert_wakes_somebody(tmp_path: Path) -> None:
    read(tmp_path, SMALLEST, "- {name: all, priority: P1}\n")
    code, said = check(tmp_path)
    assert code == 0
    assert "warning" in said.lower()
    assert "P1" in said
    read(tmp_path, SMALLEST, "- {name: pay, match: ['service=pay'], priority: P1}\n- name: all\n")
    assert "warning" not in check(tmp_path)[1].lower()


def test_a_hostile_file_is_not_put_in_force_and_alerts_go_on(light_site: Site) -> None:
    site, route = light_site, ROUTES["alertmanager"]
    good = {file: file.read_text() for file in (site.file, site.folder / "triage.yml")}
    version = site.bridge.config.version
    secret = site.bridge.database.run(
        lambda c: people.new_token(c, "reloader", ["api:write"], site.bridge.now())
    )
    writer = {"Authorization": f"Bearer {secret}"}
    for number, odd in enumerate(ALL[::6]):
        site.file.write_text(odd.text.replace("sqlite:///bridge.db", site.url))
        (site.folder / "triage.yml").write_text(odd.rules)
        began = time.monotonic()
        answer = site.client().post("/-/reload", headers=writer)
        assert answer.status_code == 422, (odd, answer.text)
        assert time.monotonic() - began < SLOWEST, odd
        assert "canary" not in answer.text
        assert site.bridge.config.version == version
        left = site.send("POST", route.path, webhook(one(f"during {number}")), route.headers)
        assert len(left.stored) == 1, odd
    (told,) = site.read(
        lambda c: c.execute(select(incidents).where(incidents.c.key.contains("Config"))).all()
    )
    assert told.status == "triggered"
    for file, text in good.items():
        file.write_text(text)
    assert site.client().post("/-/reload", headers=writer).status_code == 200
