"""Reload: everything or nothing, told to people, and running incidents keep what they began with."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bridge import paging, reloading
from bridge.config import ConfigError
from bridge.store import database, outbox
from bridge.store.database import Unavailable
from bridge.store.schema import alerts, deliveries, incidents
from bridge.wiring import Bridge, read_config, wire
from tests.stories import alert, episodes, kinds, pages, read, tell

RULES = """
- name: everything of acme
  match: ['client="acme"']
  priority: P2
  policy: calm
- {name: the rest}
"""
CALM = """
  calm: {steps: [{after: 0m, notify: [han]}]}
channels:"""


class Files:
    """The configuration files of a test's bridge, to be edited."""

    def __init__(self, folder: Path) -> None:
        self.main = folder / "bridge.yml"
        self.triage = folder / "triage.yml"

    def change(self, old: str, new: str) -> int:
        """Replace a text; the number of its line."""
        before, found, after = self.main.read_text("utf-8").partition(old)
        assert found, old
        self.main.write_text(before + new + after, "utf-8")
        return before.count("\n") + 1


@pytest.fixture
def files(bridge, tmp_path):
    return Files(tmp_path)


def reload(bridge: Bridge) -> reloading.Reloaded:
    reload.count += 1
    return reloading.reload(bridge, f"reload{reload.count}")


reload.count = 0


def rejected(bridge: Bridge) -> list[str]:
    """Reload files with mistakes; the reasons."""
    with pytest.raises(ConfigError) as caught:
        reload(bridge)
    return [str(problem) for problem in caught.value.problems]


def described(bridge: Bridge) -> str:
    """What the self-incident's only alert says."""
    with bridge.database.reading() as connection:
        return connection.execute(select(alerts.c.annotations)).scalar_one()["description"]


def counted(bridge: Bridge, result: str) -> float:
    return bridge.metrics.registry.get_sample_value("bridge_config_reloads_total", {"result": result})


def test_new_incidents_follow_the_new_rules_and_running_ones_keep_what_they_began_with(bridge, files, clock):
    old = bridge.config.version
    tell(bridge, alert(starts=clock()))
    began = read(bridge)
    files.triage.write_text(RULES)
    files.change("\nchannels:", CALM)
    files.change("respond: 10m", "respond: 5m")
    clock.forward(seconds=30)
    assert reload(bridge) == reloading.Reloaded(bridge.config.version)
    tell(bridge, alert("Another", starts=clock()))
    new = read(bridge, 2)
    version = read_config(files.main).version
    assert bridge.config.version == version != old
    assert (began.rules_version, began.rule, began.policy.name) == (old, "payment path down", "page")
    assert (new.rules_version, new.rule, new.policy.name) == (version, "everything of acme", "calm")
    assert read(bridge) == began
    assert pages(bridge) == [("li", "li-chat"), ("han", "han-chat")]


def test_the_next_step_of_a_running_incident_is_the_one_it_opened_with(bridge, files, clock):
    tell(bridge, alert(starts=clock()))
    before = read(bridge)
    files.change("{after: 5m, notify: [han]}", "{after: 9m, notify: [li]}")
    reload(bridge)
    clock.forward(seconds=10)
    tell(bridge, alert("PaymentGatewaySlow", starts=clock()))
    after = read(bridge)
    assert after.firing == 2
    assert (after.policy, after.terms) == (before.policy, before.terms)
    assert after.rules_version == before.rules_version
    assert [step.after for step in after.policy.steps] == [0, 300]


def test_channels_people_and_networks_follow(bridge, files, clock, capsys):
    files.change("li-chat: {type: console}", "li-radio: {type: console}")
    files.change("[li-chat, li-mail]", "[li-radio, li-mail]")
    files.change("127.0.0.0/8", "127.0.0.0/8, 10.9.0.0/16")
    reload(bridge)
    tell(bridge, alert(starts=clock()))
    assert pages(bridge) == [("li", "li-radio")]
    task = bridge.database.run(lambda c: outbox.claim(c, "me", clock(), ("page",), 9))[0]
    paging.run_page(bridge, task)
    assert "INC-1" in capsys.readouterr().out
    assert kinds(bridge)[-1] == "told"
    assert [str(network) for network in bridge.outbound.allow] == ["127.0.0.0/8", "10.9.0.0/16"]


def test_a_secret_that_is_read_from_a_file_is_read_again(bridge, files, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("first")
    files.change("token: ingest-secret", f"token_file: {secret}")
    first = reload(bridge).version
    secret.write_text("second")
    assert reload(bridge).version == first
    assert bridge.config.sources["main"].settings.token.reveal() == "second"


@pytest.mark.parametrize(
    ("old", "new", "rules", "reasons"),
    [
        ("type: form", "type: from", "", ["bridge.yml:{line}: sources.form.type: "]),
        ("repeat: 1", "repeat: [", "", ["bridge.yml:{line}: not YAML: "]),
        ("[triage.yml]", "[gone.yml]", "", ["bridge.yml:{line}: triage[0]: gone.yml cannot be read"]),
        (
            "notify: [han]",
            "notify: [hen]",
            "- {name: all, priority: P9, polcy: page}\n- {name: all}\n",
            [
                "bridge.yml:{line}: policies.page.steps[1].notify: ",
                "triage.yml:1: [0].polcy: ",
                "triage.yml:1: [0].priority: ",
            ],
        ),
    ],
    ids=["wrong value", "not YAML", "file is gone", "several mistakes in two files"],
)
def test_with_a_mistake_nothing_changes_and_every_mistake_is_told(bridge, files, old, new, rules, reasons):
    before = (bridge.config, bridge.outbound, bridge.arrangements)
    line = files.change(old, new)
    if rules:
        files.triage.write_text(rules)
    told = rejected(bridge)
    for reason in reasons:
        start = f"{files.main.parent}/{reason.format(line=line)}"
        assert [each for each in told if each.startswith(start)], told
    after = (bridge.config, bridge.outbound, bridge.arrangements)
    assert all(now is then for now, then in zip(after, before, strict=True))
    assert all(each in described(bridge) for each in told)


def test_a_rejection_opens_one_incident_that_ends_with_the_next_good_reload(bridge, files, clock):
    good = files.triage.read_text()
    files.triage.write_text("- {nam: x}\n")
    for _ in range(3):
        rejected(bridge)
        clock.forward(minutes=1)
    found = read(bridge)
    assert found.title == "A new configuration was rejected"
    assert (found.priority, found.service, found.firing) == ("P2", "opsbridge", 1)
    assert pages(bridge) == [("li", "li-chat")]
    assert len(episodes(bridge)) == 1
    assert (counted(bridge, "rejected"), counted(bridge, "applied")) == (3, 0)
    opened = {"priority": "P2", "client": "", "service": "other"}
    assert bridge.metrics.registry.get_sample_value("bridge_incidents_opened_total", opened) == 1
    files.triage.write_text(good)
    reload(bridge)
    assert read(bridge).status == "resolved"
    assert [state for state, *_ in episodes(bridge)] == ["resolved"]
    assert (counted(bridge, "rejected"), counted(bridge, "applied")) == (3, 1)
    with bridge.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(incidents)).scalar_one() == 1
    name = "bridge_config_last_reload_success_timestamp_seconds"
    assert bridge.metrics.registry.get_sample_value(name) == clock().timestamp()


def test_a_start_with_good_files_ends_the_rejection_of_an_earlier_process(bridge, files, clock):
    good = files.triage.read_text()
    files.triage.write_text("")
    rejected(bridge)
    files.triage.write_text(good)
    clock.forward(minutes=1)
    next_process = wire(read_config(files.main), now=clock, file=files.main)
    reloading.started(next_process, "start")
    next_process.database.engine.dispose()
    assert read(bridge).status == "resolved"


def test_a_reload_that_ends_nothing_stores_nothing(bridge, files):
    reload(bridge)
    reloading.started(bridge, "start")
    with bridge.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(deliveries)).scalar_one() == 0


def test_many_mistakes_are_listed_whole_to_the_caller_and_short_in_the_incident(bridge, files):
    files.triage.write_text("".join(f"- {{name: rule {n}, priority: P9}}\n" for n in range(30)))
    assert len(rejected(bridge)) == 30
    assert described(bridge).count("triage.yml:") == reloading.MOST_REASONS
    assert "and 10 more" in described(bridge)


def test_another_database_is_refused_without_printing_its_address(bridge, files):
    before = bridge.config
    address = bridge.config.database
    files.change(address, "postgresql+psycopg://me:pass-word@db.test/other")
    reasons = rejected(bridge)
    assert reasons == [f"{files.main}:3: database: has changed: another database needs a restart"]
    assert bridge.config is before
    assert "pass-word" not in described(bridge)


def test_no_admission_sees_half_of_the_old_and_half_of_the_new(bridge, files):
    old = bridge.config.version
    files.triage.write_text("- {name: all}\n")
    reloads = threading.Thread(target=reload, args=[bridge])
    with bridge.database.transaction(serial="intake"):
        reloads.start()
        reloads.join(0.5)
        assert reloads.is_alive()
        assert bridge.config.version == old
    reloads.join(10)
    assert bridge.config.version != old


def test_a_second_reload_reads_its_files_only_after_the_first_is_over(bridge, files):
    files.triage.write_text("- {name: all}\n")
    good = read_config(files.main).version
    first = threading.Thread(target=reload, args=[bridge])
    second = threading.Thread(target=rejected, args=[bridge])
    with bridge.database.transaction(serial="intake"):
        first.start()
        first.join(0.5)
        files.triage.write_text("wrong")
        second.start()
        second.join(0.5)
        assert counted(bridge, "rejected") == 0
    for thread in (first, second):
        thread.join(10)
    assert bridge.config.version == good
    assert counted(bridge, "rejected") == 1


def test_without_the_database_nothing_changes_and_the_caller_may_try_again(bridge, files):
    away = replace(bridge, database=database.connect("postgresql+psycopg://me@127.0.0.1:1/away"))
    before = bridge.config
    files.change("repeat: 1", "repeat: 2")
    with pytest.raises(Unavailable):
        reload(away)
    assert bridge.config is before
    files.change("repeat: 2", "repeat: many")
    assert "policies.page.repeat" in rejected(away)[0]
    assert bridge.config is before
    assert (counted(bridge, "applied"), counted(bridge, "rejected")) == (0, 1)
    reloading.started(away, "start")  # only a line in the log
    away.database.engine.dispose()


def test_a_swap_that_cannot_be_committed_is_taken_back(bridge, files, monkeypatch):
    before = bridge.config
    files.change("repeat: 1", "repeat: 2")

    def breaks(*_: object) -> None:
        assert bridge.config is not before
        raise Unavailable("the connection is lost")

    monkeypatch.setattr(reloading, "_all_clear", breaks)
    with pytest.raises(Unavailable):
        reload(bridge)
    assert bridge.config is before


@pytest.mark.parametrize(
    ("old", "new", "waits"),
    [
        ("url: https://bridge.test", "url: https://other.test", ()),
        ("url: https://bridge.test", "url: http://bridge.test", ("url",)),
        ("url: https://bridge.test", "url: https://bridge.test\nweb: {proxies: 1}", ("web.proxies",)),
    ],
)
def test_what_counts_only_from_the_next_start_is_named(bridge, files, old, new, waits):
    files.change(old, new)
    assert reload(bridge).after_restart == waits


def test_a_bridge_without_a_file_cannot_reload(bridge):
    with pytest.raises(ValueError, match="not made from a file"):
        reload(replace(bridge, file=None))
