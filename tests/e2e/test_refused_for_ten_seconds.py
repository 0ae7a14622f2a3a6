"""Bridges that cannot store anything for ten seconds, as a real Alertmanager sees them.

The longer outages are in tests/faults/test_refused.py, and tests/faults/refusal.py tells which
configuration of Alertmanager the promise needs.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests import postgres
from tests.faults.outages import postgres_stopped, sqlite_locked
from tests.faults.refusal import alerts_around, answers, check, play
from tests.servers.opsbridge import Opsbridge


@pytest.mark.long
def test_no_alert_is_lost_and_none_paged_twice_when_the_database_is_away_for_ten_seconds(tmp_path):
    with (
        postgres.server() as server,
        Opsbridge(tmp_path / "sqlite") as small,
        Opsbridge(tmp_path / "postgresql", database=postgres.new_database(server, "away")) as large,
    ):
        outages = {
            "sqlite": (small, partial(sqlite_locked, small.database)),
            "postgresql": (large, partial(postgres_stopped, large.database)),
        }
        story = play(tmp_path, outages, alerts_around(10), seconds=10, keeps_trying="30s")
        for name in outages:
            check(story, name)
        # A lock is waited for, ten seconds or less; a server that is away is told at once.
        assert set(answers(story, "sqlite")) <= {"503"}
        assert set(answers(story, "postgresql")) == {"503"}
