"""A real Alertmanager against bridges that cannot store anything, for seconds and for minutes.

One bridge on SQLite, whose file somebody else has locked, and one on PostgreSQL, whose server is gone,
hear of the same alerts. The first also asks Alertmanager every minute; the second relies on being told.
tests/faults/refusal.py tells which configuration of Alertmanager the promise needs.
"""

from __future__ import annotations

from functools import partial

import pytest

from bridge.demo.stack import free_port
from tests import postgres
from tests.faults.outages import postgres_stopped, sqlite_locked
from tests.faults.refusal import Plan, alerts_around, answers, check, play
from tests.servers.opsbridge import TOKEN, Opsbridge

TEN_MINUTES = [Plan("TenMinutesBefore", -5, 600), Plan("TenMinutesInside", 10, 600)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("seconds", "keeps_trying", "more"),
    [(10, "30s", []), (60, "150s", []), (300, "7m", TEN_MINUTES)],
    ids=["10s", "60s", "5min"],
)
def test_alerts_of_seconds_and_of_minutes_all_survive_an_outage(tmp_path, seconds, keeps_trying, more):
    port = free_port()
    asking = f'  main: {{type: alertmanager, token: {TOKEN}, api: "http://127.0.0.1:{port}"}}'
    with (
        postgres.server(durable=True) as server,
        Opsbridge(tmp_path / "sqlite", sources=asking) as small,
        Opsbridge(tmp_path / "postgresql", database=postgres.new_database(server, "away")) as large,
    ):
        outages = {
            "sqlite": (small, partial(sqlite_locked, small.database)),
            "postgresql": (large, partial(postgres_stopped, large.database)),
        }
        plans = [*alerts_around(seconds), *more]
        story = play(tmp_path, outages, plans, seconds=seconds, keeps_trying=keeps_trying, port=port)
        for name in outages:
            check(story, name, asks=name == "sqlite")
            # A lock of ten seconds may still be waited for.
            assert set(answers(story, name)) == {"503"} or (name, seconds) == ("sqlite", 10)
            print(f"\n{seconds} s, {name}: refused {dict(answers(story, name))}, alerts {len(plans)}, lost 0")
