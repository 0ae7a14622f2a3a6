"""The Prometheus rules: correct for Prometheus, and true to the label contract in alert_rules/README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.alert_rules import rule_files
from tests.alert_rules.rule_files import (
    ALERTS,
    EXPECTED,
    RULE_FILES,
    RULES,
    RUNBOOKS,
    TEST_FILES,
    Expected,
    Rule,
    read,
    run,
    seconds,
)

RUNBOOK_BASE = "https://bridge.example/runbooks/"
# The names of what opsbridge says of itself, as its own text has them.
_OWN = {
    name
    for file in (rule_files.ROOT / "bridge").rglob("*.py")
    for name in re.findall(r'"(Bridge[A-Z]\w+)"', file.read_text("utf-8"))
}
ANNOTATIONS = {"summary", "summary_zh", "description", "runbook_url"}
every_rule = pytest.mark.parametrize("rule", ALERTS, ids=str)
every_file = pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)


def exercised(rule: Rule) -> list[Expected]:
    """The promtool expectations that can only come from this rule: same name, and its own labels."""
    return [e for e in EXPECTED if e.name == rule.name and rule.labels.items() <= e.labels.items()]


def test_there_are_rules_to_check() -> None:
    topics = {path.stem for path in RULE_FILES}
    assert topics >= {"payments", "hosts", "certificates", "regions", "watchdog", "bridge"}
    assert len(ALERTS) > 50


@every_file
def test_prometheus_accepts_the_rule_file(path: Path) -> None:
    run("promtool", "check", "rules", path)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_the_rules_do_what_their_promtool_tests_say(path: Path) -> None:
    run("promtool", "test", "rules", path)


@every_file
def test_every_rule_file_has_a_promtool_test_file(path: Path) -> None:
    tests = RULES / "tests" / path.name
    assert tests.exists(), f"write {tests.relative_to(rule_files.ROOT)}"
    assert read(tests)["rule_files"] == [f"../{path.name}"]


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_tests_of_several_groups_fix_their_order(path: Path) -> None:
    """Without it promtool shuffles the groups, and a test passes or fails by chance."""
    tests = read(path)
    groups = [group for file in tests["rule_files"] for group in read(path.parent / file)["groups"]]
    if len(groups) > 1 and any("record" in rule for group in groups for rule in group["rules"]):
        assert tests.get("group_eval_order") == [group["name"] for group in groups]


@every_rule
def test_every_alert_fires_in_a_promtool_test(rule: Rule) -> None:
    assert exercised(rule), f"no test in {rule.file.stem} expects {rule.name} with {rule.labels}"


@every_rule
def test_every_alert_carries_client_service_region_and_severity(rule: Rule) -> None:
    """Judged by what fires in the promtool tests: there a label that aggregation lost is really missing."""
    for alert in exercised(rule):
        for label in ("client", "service", "region", "severity"):
            assert alert.labels.get(label), f"{rule.name} fires without {label}: {alert.labels}"


@every_rule
def test_every_alert_is_about_one_known_severity_and_priority(rule: Rule) -> None:
    assert rule.labels["severity"] in {"critical", "warning", "info"}
    assert rule.labels.get("priority", "P2") in {"P1", "P2", "P3", "P4"}


@every_rule
def test_a_p1_is_always_critical_and_an_info_never_pages(rule: Rule) -> None:
    if rule.labels.get("priority") == "P1":
        assert rule.labels["severity"] == "critical", "the fast lane takes critical alerts only"
    if rule.labels["severity"] == "info":
        assert rule.labels.get("priority", "P3") in {"P3", "P4"}


@every_rule
def test_every_alert_is_explained_in_english_and_chinese(rule: Rule) -> None:
    annotations = rule.alert["annotations"]
    assert set(annotations) == ANNOTATIONS
    assert all(annotations.values())
    assert re.search(r"[\u4e00-\u9fff]", annotations["summary_zh"]), "summary_zh is not Chinese"
    assert not re.search(r"[\u4e00-\u9fff]", annotations["summary"] + annotations["description"])


@every_rule
def test_every_text_renders_without_gaps(rule: Rule) -> None:
    """`{{ $labels.x }}` of a label the expression dropped renders as nothing or as <no value>."""
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.alert["annotations"].values())))
    for alert in exercised(rule):
        text = " ".join(alert.annotations.values())
        assert "<no value>" not in text
        assert "error expanding" not in text
        missing = {label for label in used if not alert.labels.get(label)}
        assert not missing, f"the text of {rule.name} names labels the alert does not have: {missing}"
        assert len(alert.annotations["summary"]) <= 110, "a summary must fit a lock screen"


@every_rule
def test_every_runbook_link_leads_to_a_section_with_checks_and_escalation(rule: Rule) -> None:
    url = rule.alert["annotations"]["runbook_url"]
    assert url.startswith(RUNBOOK_BASE)
    page, _, anchor = url.removeprefix(RUNBOOK_BASE).partition("#")
    assert anchor == rule.name.lower()
    sections = re.split(r"^## ", (RUNBOOKS / f"{page}.md").read_text("utf-8"), flags=re.MULTILINE)
    found = [section for section in sections if section.startswith(f"{rule.name}\n")]
    assert len(found) == 1, f"docs/runbooks/{page}.md needs one section ## {rule.name}"
    for part in ("**Means**", "**Check**", "**Do**", "**Escalate**"):
        assert part in found[0], f"{rule.name} lacks {part}"
    assert re.findall(r"^(\d)\. ", found[0], re.MULTILINE) == ["1", "2", "3"], "three checks"


def test_no_runbook_section_is_left_over() -> None:
    names = {rule.name for rule in ALERTS} | _OWN
    for page in RUNBOOKS.glob("*.md"):
        for title in re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE):
            assert title in names, f"{page.name}: no rule is called {title}"


def test_every_alert_of_opsbridge_itself_has_a_section_with_checks_and_escalation() -> None:
    assert len(_OWN) >= 5
    sections = re.split(r"^## ", (RUNBOOKS / "itself.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert {section.split("\n")[0] for section in sections} == _OWN
    for section in sections:
        assert re.findall(r"\*\*(\w+)\*\*", section)[:4] == ["Means", "Check", "Do", "Escalate"]
        assert re.findall(r"^(\d)\. ", section, re.MULTILINE) == ["1", "2", "3"], "three checks"


def test_links_between_runbooks_lead_somewhere() -> None:
    anchors = {
        (page.name, title.lower())
        for page in RUNBOOKS.glob("*.md")
        for title in re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
    }
    for page in RUNBOOKS.glob("*.md"):
        for target, anchor in re.findall(r"\]\(([\w-]*\.md)?(?:#([\w-]+))?\)", page.read_text("utf-8")):
            file = target or page.name
            assert (RUNBOOKS / file).exists(), f"{page.name} links to {file}"
            assert not anchor or (file, anchor) in anchors, f"{page.name} links to {file}#{anchor}"


def test_a_page_reaches_the_bridge_within_half_of_the_ten_minutes() -> None:
    """Worst case: the alert joins a group that was sent already and waits for the whole group_interval."""
    prometheus = read(rule_files.DEPLOY / "prometheus.example.yml")["global"]
    routes = read(rule_files.DEPLOY / "alertmanager.example.yml")["route"]["routes"]
    fast = next(route for route in routes if route["matchers"] == ['severity="critical"'])
    assert seconds(fast["group_wait"]) <= 10
    assert seconds(fast["group_interval"]) <= 60
    way = seconds(prometheus["scrape_interval"]) + seconds(prometheus["evaluation_interval"])
    way += max(seconds(fast["group_wait"]), seconds(fast["group_interval"]))
    for rule in ALERTS:
        if rule.labels.get("priority") == "P1":
            assert seconds(rule.alert.get("for", "0s")) + way <= 300, f"{rule.name} comes too late for a P1"


@every_file
def test_ratios_have_gaps_and_not_hundred_percent_when_nothing_happens(path: Path) -> None:
    """Every divisor made of rates must drop zero, or 0 / 0 becomes NaN, and a sum of NaN poisons a month."""
    for group in read(path)["groups"]:
        for rule in group["rules"]:
            for divisor in re.findall(r"/\s*(.*(?:rate|increase|sum_over_time)\(.*)", rule["expr"]):
                assert "> 0)" in divisor, f"{rule.get('record') or rule['alert']}: {divisor}"


def test_a_missing_tool_is_a_failure_with_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match=r"promtool is not installed.*apt-get install prometheus"):
        run("promtool", "--version")
