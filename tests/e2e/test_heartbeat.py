"""A heartbeat over a real socket: what posts, stops posting, and comes back."""

from __future__ import annotations

import requests

from tests.servers.opsbridge import Opsbridge
from tests.servers.waiting import wait_for

SOURCES = "  backup: {type: heartbeat, every: 10s, grace: 1s, priority: P1, token: the-token-of-the-backup}"
TRIAGE = "- {name: as it says}\n"
HEADERS = {"Authorization": "Bearer the-token-of-the-backup"}


def test_silence_pages_once_and_the_next_beat_ends_it(tmp_path):
    with (
        Opsbridge(tmp_path / "bridge", sources=SOURCES, triage=TRIAGE) as bridge,
        requests.Session() as session,
    ):

        def beat(body: bytes = b"") -> None:
            answer = session.post(f"{bridge.url}/heartbeat/backup", data=body, headers=HEADERS, timeout=30)
            assert (answer.status_code, answer.json()["heartbeat"]) == (200, "backup")

        beat()
        beat(b"the log of the job\n" * 500_000)  # whoever cannot get rid of it would see a broken connection
        assert bridge.incidents() == []
        [late] = wait_for(bridge.incidents, "an incident", 40, bridge.program)
        assert (late["priority"], late["title"].partition(" since")[0]) == ("P1", "Heartbeat backup is late")
        wait_for(lambda: bridge.told(late["number"])["page"], "the page", 20, bridge.program)
        beat()
        assert bridge.incident(late["number"])["status"] == "resolved"
        wait_for(lambda: bridge.told(late["number"])["resolved"], "people to be told", 20, bridge.program)
        assert bridge.told(late["number"]) == {"page": 1, "resolved": 1}
