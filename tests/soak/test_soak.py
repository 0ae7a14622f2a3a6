"""The long run: a steady mix of alerts, nothing lost, nothing that grows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.test_kill import CONFIG, TRIAGE, Bridge, send, settle, stored
from tests.servers.http import Server, says

SECONDS = int(os.environ.get("SOAK_SECONDS", "300"))
# Megabytes an hour that resident memory may grow once caches are warm, with room for noise in short runs.
GROWTH = 40.0


@pytest.mark.long
def test_memory_and_files_stay_flat_and_nothing_is_lost(tmp_path: Path) -> None:
    with Server(says(200)) as wall:
        url = f"sqlite:///{tmp_path}/bridge.db"
        (tmp_path / "bridge.yml").write_text(CONFIG.format(database=url, wall=wall.url))
        (tmp_path / "triage.yml").write_text(TRIAGE)
        bridge = Bridge(tmp_path)
        bridge.start()
        answered, stop = send(bridge, senders=1, pause=0.25)
        time.sleep(min(60, SECONDS / 3))
        before = look(bridge)
        time.sleep(SECONDS)
        after = look(bridge)
        stop()
        settle(url)
        bridge.kill()
    kept = stored(url)
    hours = SECONDS / 3600
    print(f"\n{SECONDS} s: {len(answered)} alerts, files {before[1]} -> {after[1]}")
    print(f"resident {before[0]:.0f} -> {after[0]:.0f} MB")
    assert set(answered) <= kept
    assert after[1] <= before[1] + 10
    assert (after[0] - before[0]) / hours < GROWTH or after[0] - before[0] < 8


def look(bridge: Bridge) -> tuple[float, int]:
    """Resident megabytes and open files of the bridge's processes."""
    root = psutil.Process(bridge.process.pid)
    family = [root, *root.children(recursive=True)]
    return sum(p.memory_info().rss for p in family) / 1e6, sum(p.num_fds() for p in family)
