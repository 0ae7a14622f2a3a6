"""bridge triage replay: figures then and now, the incidents that make the difference, and an exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.__main__ import main
from bridge.wiring import Bridge, utc_now
from tests.conftest import TRIAGE, Clock
from tests.stories import alert, tell

Run = Callable[..., Result]
LOWER = TRIAGE.replace("priority: P1", "priority: P3")


@pytest.fixture
def bridge(bridge: Bridge, clock: Clock) -> Bridge:
    """A bridge to which two incidents came three hours ago, by the clock that commands look at."""
    clock.moment = utc_now() - timedelta(hours=3)
    tell(bridge, alert(starts=clock.moment), alert(starts=clock.moment, region="eu"))
    tell(bridge, alert("Disk", starts=clock.moment, severity="warning", client="nord"))
    return bridge


@pytest.fixture
def run(bridge: Bridge, tmp_path: Path) -> Run:
    """Run `bridge triage replay …`."""

    def running(*arguments: str, rules: str = "", code: int = 0) -> Result:
        if rules:
            (tmp_path / "new.yml").write_text(rules, "utf-8")
            arguments = ("--rules", str(tmp_path / "new.yml"), *arguments)
        done = CliRunner().invoke(
            main, ["--config", str(tmp_path / "bridge.yml"), "triage", "replay", *arguments]
        )
        assert done.exit_code == code, done.output
        return done

    return running


def test_the_rules_in_force_make_no_difference(run: Run) -> None:
    first, *rest = run().stdout.splitlines()
    assert re.fullmatch(r"3 episodes since 20\d\d-\d\d-\d\d \d\d:\d\d UTC", first)
    assert rest == [
        "           then  now  difference",
        "incidents  2     2    0",
        "  P1       1     1    0",
        "  P2       1     1    0",
        "  P3       0     0    0",
        "  P4       0     0    0",
        "merged     1     1    0",
        "pages      2     2    0",
        "recorded: 2 incidents, of which 2 paged, with all that people did",
    ]


def test_an_incident_that_would_have_been_missed_is_named_and_exit_code_1(run: Run) -> None:
    said = run(rules=LOWER, code=1).stdout
    assert "pages      2     1    -1" in said
    assert (
        "would have been missed: 1\n  INC-1  P1 → P3, pages nobody  PaymentGatewayTimeout on alipay" in said
    )


def test_what_would_wake_somebody_and_what_would_merge_is_named(run: Run) -> None:
    coarse = "- {name: all, priority: P1, incident_by: [service]}"
    said = run(rules=coarse).stdout
    assert "merged into one: 1\n  INC-1  P1, with INC-2  PaymentGatewayTimeout" in said
    assert "newly paging" not in said
    fine = TRIAGE.replace("[client, service, gateway]", "[client, region]")
    assert "split into several: 1\n  INC-1  P1, 2 incidents" in run(rules=fine).stdout


def test_the_answer_for_programs_says_the_same(run: Run) -> None:
    found = json.loads(run("--json", rules=LOWER, code=1).stdout)
    assert found["episodes"] == 3
    ago = utc_now() - datetime.fromisoformat(found["since"])
    assert timedelta(days=29) < ago < timedelta(days=31)
    assert (found["then"]["pages"], found["now"]["pages"]) == (2, 1)
    assert found["now"]["by_priority"] == {"P1": 0, "P2": 1, "P3": 1, "P4": 0}
    assert found["recorded"] == {"incidents": 2, "paged": 2}
    assert found["missed"] == {
        "total": 1,
        "incidents": [
            {
                "incident": "INC-1",
                "title": "PaymentGatewayTimeout on alipay",
                "then": {"priority": "P1", "pages": True},
                "now": {
                    "priority": "P3",
                    "pages": False,
                    "keys": ["client=acme, service=payments, gateway=alipay"],
                },
                "with": [],
            }
        ],
    }


def test_time_and_client_limit_what_is_played(run: Run, bridge: Bridge, clock: Clock) -> None:
    assert run("--client", "nord").stdout.startswith("1 episodes")
    clock.forward(hours=2.5)
    tell(bridge, alert("Late", starts=clock.moment, severity="info"))
    assert run("--since", "1h").stdout.startswith("1 episodes")
    assert run("--since", "4h").stdout.startswith("4 episodes")


def test_wrong_usage_is_exit_code_2_and_never_looks_like_an_answer(run: Run, tmp_path: Path) -> None:
    assert "'soon' is not a duration" in run("--since", "soon", code=2).stderr
    assert "there is no client 'acne'" in run("--client", "acne", code=2).stderr
    assert 'no policy "pgae" (did you mean "page"?)' in run(rules="- {name: x, policy: pgae}", code=2).stderr
    assert "a default rule is mandatory" in run(rules="- {name: x, match: ['a=\"b\"']}", code=2).stderr
    (tmp_path / "triage.yml").write_text("- nonsense")
    assert "expected a block of settings" in run(code=2).stderr
    assert run(rules=TRIAGE).stdout.startswith("3 episodes"), "other rules do not need the old ones"


def test_it_says_when_the_labels_of_routes_are_forgotten(run: Run) -> None:
    assert "as long as deliveries are kept" in run("--since", "100d").stderr
    assert "as long as" not in run("--since", "80d").stderr


def test_a_time_without_alerts_has_nothing_to_play(run: Run) -> None:
    assert run("--since", "1h").stdout.startswith("0 episodes")


def test_hostile_titles_stay_on_their_line(run: Run, bridge: Bridge, clock: Clock) -> None:
    ugly = "a\nb \x1b[31m" + "x" * 500
    tell(bridge, alert("Ugly", starts=clock.moment - timedelta(minutes=1), annotations={"summary": ugly}))
    tell(bridge, alert(starts=clock.moment, gateway="c", annotations={"summary": ugly}))
    said = run(rules=LOWER, code=1).stdout
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) < 140
