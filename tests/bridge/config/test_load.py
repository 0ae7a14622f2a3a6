"""The whole configuration: what is written lands where it should, and nothing secret comes out again."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge import oncall, triage
from bridge.config import Config, ConfigError, Duration, Secret, load
from bridge.config.load import Families
from bridge.guards import Mode
from bridge.matchers import parse
from bridge.model import Policy, Priority, Step, Term
from tests.bridge.config.conftest import GOOD, SMALLEST, Read

SHANGHAI = ZoneInfo("Asia/Shanghai")

CONTRACT = (GOOD / "contract.yml").read_text("utf-8")
RULES = (GOOD / "contract_triage.yml").read_text("utf-8")
SECRETS = {"am": "am-secret", "wecom": "wecom-secret", "jira": "jira-secret", "gw": "gw-secret"}


@pytest.fixture
def contract(read: Read, tmp_path: Path) -> Config:
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(f"{text}\n")
    return read(CONTRACT.replace("SECRETS", str(tmp_path)), RULES, {"LI_KEY": "li-secret"})


# The example of the contract


def test_addresses_and_single_blocks_are_taken_over(contract: Config) -> None:
    assert (contract.url, contract.database) == ("https://bridge.example", "sqlite:///var/bridge.db")
    assert contract.heartbeat_out == "https://hc.example/ping/1"
    assert (contract.reports.cron, contract.reports.folder, contract.allow) == (
        "0 6 1 * *",
        "var/reports",
        (),
    )


def test_a_source_has_its_token_and_addresses(contract: Config) -> None:
    main = contract.sources["main"]
    assert (main.name, main.type) == ("main", "alertmanager")
    assert main.settings.token == Secret("am-secret")
    assert (main.settings.api, main.settings.prometheus) == (
        "http://alertmanager:9093",
        "http://prometheus:9090",
    )


def test_a_client_has_its_report(contract: Config) -> None:
    acme = contract.clients["acme"]
    assert (acme.name, acme.language, acme.time_zone, acme.tier) == (
        "安可科技",
        "zh",
        "Asia/Shanghai",
        "gold",
    )
    assert acme.slo == {"payments": 99.9}
    assert (acme.report.to, acme.report.formats) == (["ops@acme.example"], ("html", "pdf"))
    assert acme.report.selector == 'client="acme"'


def test_priorities_become_terms_in_seconds_of_a_calendar(contract: Config) -> None:
    assert contract.terms == {
        Priority.P1: (
            Term(target="respond", seconds=600, calendar="always"),
            Term(target="restore", seconds=3600, calendar="always"),
        ),
        # 24 * 3600; 14 * 86400
        Priority.P2: (
            Term(target="plan", seconds=86_400, calendar="office"),
            Term(target="fix", seconds=1_209_600, calendar="office"),
        ),
        Priority.P3: (),
    }
    assert contract.known.paging == {Priority.P1, Priority.P2}, "P3 says no, P4 is not there"


def test_calendars_know_hours_days_and_make_up_workdays(contract: Config) -> None:
    office = contract.calendars["office"]
    assert (office.zone, office.opens, office.closes) == (SHANGHAI, time(9), time(18))
    assert office.days == {0, 1, 2, 3, 4}
    assert office.open_on(date(2026, 2, 14)), "a Saturday made up for the Spring Festival"
    assert not office.open_on(date(2026, 2, 17)), "the Spring Festival"
    assert contract.calendars["always"].opens is None


def test_people_schedules_and_policies_can_be_paged(contract: Config) -> None:
    assert contract.directory.responders["li"] == oncall.Responder("li", ("li-wecom", "li-mail"), "zh")
    assert contract.people["li"].name == "李雷"
    assert contract.directory.schedules["payments"] == oncall.Rotation(
        ("li", "han"), timedelta(weeks=1), datetime(2026, 1, 5, 9), SHANGHAI
    )
    assert contract.directory.channels == {"team-wecom", "li-wecom", "li-mail"}
    first = Step(after=0, notify=("schedule:payments", "team-wecom"))
    second = Step(after=300, notify=("lead",))
    assert contract.policies == {"page": Policy(name="page", steps=(first, second), repeat=2)}
    assert contract.known.default_policy == "page"


def test_channels_and_trackers_have_settings_of_their_type(contract: Config) -> None:
    team, mail = contract.channels["team-wecom"].settings, contract.channels["li-mail"].settings
    assert team.key == Secret("wecom-secret")
    assert (team.budget.per_minute, team.budget.per_month, team.budget.reserve_p1) == (18, 5000, 500)
    assert contract.channels["li-wecom"].settings.key == Secret("li-secret")
    assert (mail.host, mail.to, mail.sender) == ("mail.example", ["li@acme.example"], "bridge@bridge.example")
    jira = contract.trackers["jira"].settings
    assert (jira.url, jira.project, jira.token) == (
        "https://acme.atlassian.net",
        "OPS",
        Secret("jira-secret"),
    )


def test_a_failover_plan_is_complete(contract: Config) -> None:
    plan = contract.plans["pay-standby"]
    assert (plan.mode, plan.service) == (Mode.SHADOW, "payments")
    assert [(probe.http, probe.promql) for probe in plan.precheck] == [
        ("https://standby.example/health", ""),
        ("", 'up{job="pay-standby"} == 1'),
    ]
    assert (plan.act.type, plan.act.settings.body) == ("http", {"active": "standby"})
    assert plan.act.settings.secret == Secret("gw-secret")
    assert plan.verify[0].within == Duration(seconds=90)
    assert plan.rollback is not None
    assert plan.rollback.settings.body == {"active": "primary"}
    assert (plan.limits.cooldown, plan.limits.per_day, plan.limits.per_hour_all) == (timedelta(hours=1), 2, 3)


def test_triage_knows_rules_services_clients_and_triggers(contract: Config) -> None:
    known = contract.known
    first, last = known.rules
    assert first.match == (parse('service="payments"'), parse('alertname=~"PaymentGateway.*"'))
    assert (first.priority, first.incident_by) == (Priority.P1, ("client", "service", "gateway"))
    assert (first.policy, first.failover, first.runbook) == (
        "page",
        "pay-standby",
        "https://runbooks.example/gateway",
    )
    assert first.where.endswith("triage.yml:2")
    assert (last.name, last.match) == ("everything else", ())
    assert known.clients == {"acme"}
    assert known.services["payments"] == triage.ServiceFacts(
        "https://runbooks.example/payments", "pay-standby"
    )
    trigger = triage.Trigger(Priority.P1, (parse('alertname="PaymentGatewayTimeout"'),))
    assert known.triggers == {"pay-standby": trigger}


# Defaults


def test_the_smallest_configuration_is_enough(families: Families) -> None:
    config = load(GOOD / "smallest.yml", families, {})
    assert config.calendars.keys() == {"always"}
    assert (config.clients["acme"].language, config.clients["acme"].time_zone) == ("en", "UTC")
    assert config.clients["acme"].report.formats == ("html", "pdf")
    assert (config.intake.largest_body, config.intake.reopen_within) == (67_108_864, timedelta(minutes=30))
    assert config.channels["mail"].settings.budget.per_minute == 0
    assert config.policies["page"].repeat == 0


def test_a_plan_is_in_shadow_mode_with_limits_unless_told_otherwise(read: Read) -> None:
    plan = """
services: {pay: }
failover: {standby: {service: pay, on: {priority: P1}, act: {type: console}, verify: [{http: "https://p.test"}]}}
"""
    found = read(SMALLEST + plan).plans["standby"]
    assert (found.mode, found.limits.cooldown, found.limits.per_day) == (Mode.SHADOW, timedelta(hours=1), 2)
    assert found.verify[0].within == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param("mon-fri", {0, 1, 2, 3, 4}, id="a span"),
        pytest.param("mon, wed,fri", {0, 2, 4}, id="a list"),
        pytest.param("fri-mon", {4, 5, 6, 0}, id="over the weekend"),
        pytest.param("sun-sun", {6}, id="one day as a span"),
        pytest.param("mon-wed,sat", {0, 1, 2, 5}, id="both"),
    ],
)
def test_days_of_a_calendar(read: Read, days: str, expected: set[int]) -> None:
    calendar = f'calendars: {{c: {{days: "{days}", hours: "09:00-18:00"}}}}\n'
    assert read(SMALLEST + calendar).calendars["c"].days == expected


# Version


def test_the_version_names_exactly_this_text_of_configuration_and_rules(read: Read) -> None:
    version = read(SMALLEST).version
    assert len(version) == 12
    assert read(SMALLEST).version == version
    assert read(SMALLEST + "# changed\n").version != version
    assert read(SMALLEST, "- name: other\n").version != version


# Secrets


def anything_inside(value: Any, seen: set[int] | None = None) -> Iterator[str]:
    """The text of everything that hangs on a value, as a log line or a page would show it."""
    yield repr(value)
    yield f"{value}"
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from anything_inside(entry)


def test_no_secret_shows_in_what_the_configuration_prints(contract: Config) -> None:
    told = "".join(anything_inside(vars(contract)))
    for secret in (*SECRETS.values(), "li-secret"):
        assert secret not in told


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("url: ${S}", id="address"),
        pytest.param("database: ${S}", id="database"),
        pytest.param("heartbeat_out: ${S}", id="heartbeat"),
        pytest.param("sources: {main: {type: '${S}'}}", id="type"),
        pytest.param("sources: {main: {type: alertmanager, api: '${S}'}}", id="source address"),
        pytest.param(
            "sources: {main: {type: alertmanager, token_file: '${S}'}}", id="secret where its file belongs"
        ),
        pytest.param("sources: {main: {type: alertmanager, api: [1], token: '${S}'}}", id="beside a mistake"),
        pytest.param("clients: {acme: {name: A, language: '${S}'}}", id="language"),
        pytest.param("clients: {acme: {name: A, time_zone: '${S}'}}", id="time zone"),
        pytest.param("priorities: {P1: {respond: '${S}'}}", id="duration"),
        pytest.param("priorities: {P1: {respond_file: FILE}}", id="duration from a file"),
        pytest.param("priorities: {P1: {calendar: '${S}'}}", id="calendar"),
        pytest.param("policies: {page: {steps: [{after: 0m, notify: ['x${S}y']}]}}", id="target"),
        pytest.param("policies: {page: {steps: [{after: 0m, notify: ['schedule:${S}']}]}}", id="schedule"),
        pytest.param("egress: {allow: ['${S}']}", id="network"),
        pytest.param("calendars: {c: {hours: '${S}'}}", id="hours"),
        pytest.param("calendars: {c: {hours: '09:00-18:00', holidays: '${S}'}}", id="holidays"),
        pytest.param("triage: ['${S}']", id="rule file"),
        pytest.param("reports: {cron: '${S}'}", id="cron"),
    ],
)
@pytest.mark.parametrize("secret", ["s3cr3t-t0ken", 'it\'s "quoted" \\ text'], ids=["plain", "with quotes"])
def test_a_secret_in_the_wrong_place_is_not_repeated(
    read: Read, tmp_path: Path, text: str, secret: str
) -> None:
    (tmp_path / "file").write_text(secret)
    key = text.partition(":")[0]
    rest = "".join(line for line in SMALLEST.splitlines(keepends=True) if not line.startswith(f"{key}:"))
    with pytest.raises(ConfigError) as refused:
        read(rest + text.replace("FILE", str(tmp_path / "file")), environment={"S": secret})
    said = "\n".join(map(repr, refused.value.problems)) + str(refused.value)
    assert secret not in said
    assert repr(secret)[1:-1] not in said


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {secret:>20}".count("hunter2") == 0
    assert secret.reveal() == "hunter2"
    assert (secret == Secret("hunter2"), secret == "hunter2", secret == Secret("other")) == (
        True,
        False,
        False,
    )


def test_mistakes_are_told_in_the_same_order_every_time(read: Read) -> None:
    said = set()
    for _ in range(3):
        with pytest.raises(ConfigError) as refused:
            read("a: 1\nb: 2\nc: 3\n")
        said.add(pickle.dumps(refused.value.problems))
    assert len(said) == 1


def test_a_configuration_that_is_not_there_says_so(tmp_path: Path, families: Families) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "bridge.yml", families, {})
    assert str(refused.value) == f"{tmp_path}/bridge.yml: cannot be read: No such file or directory"


def test_time_in_a_rotation_is_read_without_a_zone(contract: Config) -> None:
    at = datetime(2026, 1, 12, 9, tzinfo=SHANGHAI).astimezone(UTC)
    rotation = contract.directory.schedules["payments"]
    assert [oncall.on_call(rotation, at + timedelta(seconds=s)) for s in (-1, 0)] == ["li", "han"]
