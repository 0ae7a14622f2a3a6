"""The command line: answers, exit codes, and errors that say what to do."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from bridge.__main__ import main
from bridge.store import people
from bridge.store.database import connect, schema_problem
from tests.conftest import FIXTURES, START
from tests.stories import alert, tell


@pytest.fixture
def bridge_with_file(make_bridge, tmp_path):
    """A bridge and a function that runs `bridge …` with the same configuration."""
    bridge = make_bridge(
        more="""
failover:
  pay-standby:
    service: payments
    on: {priority: P1}
    act: {type: console, text: switch}
    rollback: {type: console, text: back}
    verify: [{http: "http://127.0.0.1:9/"}]
"""
    )

    def run(*arguments, code=0, **how):
        done = CliRunner().invoke(main, ["--config", str(tmp_path / "bridge.yml"), *arguments], **how)
        assert done.exit_code == code, done.output
        return done

    return bridge, run


def test_check_is_quiet_when_all_is_well_and_names_every_mistake(bridge_with_file, tmp_path):
    _, run = bridge_with_file
    assert "fine (3 rules, 2 clients" in run("check").output
    text = (tmp_path / "bridge.yml").read_text()
    (tmp_path / "bridge.yml").write_text(
        text.replace("after: 5m, notify: [han]", "after: 5x, notify: [hann]")
    )
    said = run("check", code=1).stderr
    assert "policies.page.steps[1].after: '5x' is not a duration" in said
    assert said.count("\n") >= 1


def test_check_warns_on_standard_error_and_is_content_all_the_same(bridge_with_file, tmp_path):
    _, run = bridge_with_file
    assert run("check").stderr == ""
    (tmp_path / "triage.yml").write_text("- {name: any, match: ['alertname!=\"\"']}\n- {name: all}\n")
    done = run("check", code=0)
    assert done.stderr.startswith(f'warning: {tmp_path}/triage.yml:1: rule "any" matches every alert with')
    assert "fine (2 rules" in done.stdout


def test_explain_tells_the_rule_and_what_nearly_matched(bridge_with_file):
    _, run = bridge_with_file
    body = str(FIXTURES / "alertmanager" / "firing_single.json")
    said = run("triage", "explain", body).output
    assert "P2" in said or "P3" in said or "P1" in said
    [row] = json.loads(run("triage", "explain", body, "--json").output)
    assert {"rule", "where", "priority", "key", "nearly"} <= set(row)
    assert "not a webhook body" in run("triage", "explain", "-", code=1, input="nonsense").stderr


def test_on_call_is_told_for_any_moment(bridge_with_file):
    _, run = bridge_with_file
    said = run("oncall", "show", "--at", "2026-11-25T02:00:00Z", "--json").output
    assert json.loads(said) == [{"schedule": "payments", "responder": "li", "name": "李雷"}]


def test_a_token_is_printed_alone_on_the_last_line_and_works_until_it_is_revoked(bridge_with_file):
    bridge, run = bridge_with_file
    secret = run("token", "add", "ci", "--scope", "ingest:main", "--scope", "api:read").output.splitlines()[
        -1
    ]
    with bridge.database.reading() as connection:
        assert people.token_scopes(connection, secret) == ("ci", ["ingest:main", "api:read"])
    listed = run("token", "list", "--json").output
    assert secret not in listed
    run("token", "revoke", "ci")
    with bridge.database.reading() as connection:
        assert people.token_scopes(connection, secret) is None
    assert "no active token" in run("token", "revoke", "ci", code=1).stderr
    assert "no scope" in run("token", "add", "x", "--scope", "ingest:nobody", code=2).stderr


def test_accounts_are_made_and_reset_with_one_time_links(bridge_with_file):
    _, run = bridge_with_file
    link = run("user", "add", "mei", "--role", "viewer", "--language", "zh").output.strip()
    assert link.startswith("https://bridge.test/sign-in/")
    assert run("user", "reset", "mei").output.strip() != link
    assert [user["name"] for user in json.loads(run("user", "list", "--json").output)] == ["mei"]
    assert "there is no user" in run("user", "reset", "nobody", code=1).stderr
    run("user", "add", "x", "--role", "client", code=2)


def test_incidents_are_exported_as_json_and_as_csv_without_formulas(bridge_with_file):
    bridge, run = bridge_with_file
    tell(bridge, alert(starts=START, annotations={"summary": '=HYPERLINK("http://evil")'}))
    tell(bridge, alert(starts=START, client="nord", annotations={"summary": "-1+2"}))
    assert [row["number"] for row in json.loads(run("export", "incidents").output)] == ["INC-2", "INC-1"]
    rows = list(csv.DictReader(io.StringIO(run("export", "incidents", "--format", "csv").output)))
    assert [row["title"] for row in rows] == ["'-1+2", '\'=HYPERLINK("http://evil")']


def test_a_test_message_goes_to_every_channel_of_a_person(bridge_with_file):
    _, run = bridge_with_file
    said = run("send-test", "li").output
    assert "li-chat: accepted" in said
    assert "li-mail: accepted" in said
    assert "no channel or responder" in run("send-test", "nobody", code=1).stderr


def test_failovers_are_listed_dry_run_stopped_and_run_by_hand(bridge_with_file):
    _, run = bridge_with_file
    assert json.loads(run("failover", "list", "--json").output)[0]["mode"] == "shadow"
    assert "kill_switch" in run("failover", "dry-run", "pay-standby").output
    run("failover", "stop", "--reason", "sale")
    assert "kill_switch" in run("failover", "run", "pay-standby", code=1).output
    run("failover", "dry-run", "pay-standby", code=1)
    run("failover", "resume")
    assert "no failover plan" in run("failover", "run", "other", code=1).stderr


def test_a_report_prints_the_paths_of_its_files(bridge_with_file, tmp_path):
    _, run = bridge_with_file
    done = run("report", "build", "acme", "2026-10", "--format", "html", "--out", str(tmp_path / "out"))
    assert done.stdout.splitlines() == [str(tmp_path / "out" / "acme-2026-10-zh.html")]
    assert "there is no client" in run("report", "build", "nobody", "2026-10", code=1).stderr
    run("report", "build", "acme", "October", code=1)


def test_the_database_is_checked_and_the_doctor_looks_at_everything(bridge_with_file):
    _, run = bridge_with_file
    run("db", "upgrade")
    assert run("db", "check").output == "intact\n"
    assert "database: fine" in run("doctor").output


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_is_restored_beside_the_old_file(make_bridge, tmp_path):
    bridge = make_bridge()
    tell(bridge, alert(starts=START))
    bridge.database.engine.dispose()
    config = ["--config", str(tmp_path / "bridge.yml")]
    runner = CliRunner()
    assert runner.invoke(main, [*config, "db", "backup", str(tmp_path / "copy.db")]).exit_code == 0
    (tmp_path / "bridge.db").write_bytes(b"broken")
    assert runner.invoke(main, [*config, "db", "restore", str(tmp_path / "copy.db")]).exit_code == 0
    assert len(json.loads(runner.invoke(main, [*config, "export", "incidents"]).output)) == 1
    assert (tmp_path / "bridge.db.before-restore").read_bytes() == b"broken"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_backup_and_restore_of_postgresql_name_its_own_tools(make_bridge, tmp_path):
    make_bridge()
    done = CliRunner().invoke(
        main, ["--config", str(tmp_path / "bridge.yml"), "db", "backup", str(tmp_path / "x")]
    )
    assert (done.exit_code, "pg_dump" in done.output) == (1, True)


def test_an_old_schema_is_said_so_and_nothing_runs_on_it(tmp_path):
    from tests.conftest import CONFIG, TRIAGE

    (tmp_path / "triage.yml").write_text(TRIAGE)
    url = f"sqlite:///{tmp_path}/new.db"
    (tmp_path / "bridge.yml").write_text(CONFIG.format(database=url, more=""))
    done = CliRunner().invoke(main, ["--config", str(tmp_path / "bridge.yml"), "token", "list"])
    assert done.exit_code == 1
    assert "run `bridge db upgrade`" in done.output
    found = connect(url)
    assert schema_problem(found) != ""
    found.engine.dispose()


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("opsbridge, version")
