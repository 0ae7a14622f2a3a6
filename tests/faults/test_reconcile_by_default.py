"""What only asking Alertmanager can tell, by the clock and with the default look every minute."""

from __future__ import annotations

import time

import pytest

from tests.e2e.line import built
from tests.servers.alertmanager import firing

MISSED_FIRING = 120
MISSED_END = 180


@pytest.mark.long
def test_a_missed_start_is_repaired_within_two_minutes_and_a_missed_end_within_three(tmp_path):
    with built(tmp_path) as line:
        forgotten, swallowed = firing("Forgotten"), firing("NeverTold")
        line.alertmanager.tell(forgotten)
        second = line.wait_for_page(forgotten)

        line.balancer.swallows = True
        line.alertmanager.tell(swallowed)
        took(lambda: line.bridge.incidents("NeverTold"), line, "the missed start", MISSED_FIRING)
        first = line.wait_for_page(swallowed)

        line.alertmanager.tell(swallowed.ended())
        took(lambda: line.state(swallowed) == "resolved", line, "the missed end", MISSED_END)
        line.wait_for_end(first)

        line.alertmanager.lose_everything()
        took(lambda: line.state(forgotten) == "resolved", line, "the end nobody knows of", MISSED_END)
        line.wait_for_end(second)


def took(look, line, what, limit):
    began = time.monotonic()
    line.wait(look, what, limit)
    print(f"\n{what}: {time.monotonic() - began:.0f} s")
