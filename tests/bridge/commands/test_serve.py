"""The server process: it ends in order, and says when it cannot begin."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import requests
from sqlalchemy import select

from bridge.store import database
from bridge.store.schema import tasks
from tests.faults.test_kill import CONFIG, TRIAGE, Bridge, body
from tests.servers.http import Exchange, Server, says


def slowly(exchange: Exchange) -> None:
    """A provider that takes three seconds to say yes."""
    time.sleep(3)
    says(200)(exchange)


def test_sigterm_lets_a_message_that_is_being_sent_finish_and_be_recorded(tmp_path):
    url = f"sqlite:///{tmp_path}/bridge.db"
    with Server(slowly) as wall:
        (tmp_path / "bridge.yml").write_text(CONFIG.format(database=url, wall=wall.url))
        (tmp_path / "triage.yml").write_text(TRIAGE)
        bridge = Bridge(tmp_path)
        bridge.start()
        try:
            headers = {"Authorization": "Bearer secret"}
            target = f"{bridge.url}/ingest/alertmanager/main"
            assert (
                requests.post(target, data=body(["0" * 16]), headers=headers, timeout=10).status_code == 200
            )
            until = time.monotonic() + 10
            while not wall.requests and time.monotonic() < until:
                time.sleep(0.05)
            os.kill(bridge.process.pid, signal.SIGTERM)
            assert bridge.process.wait(20) == 0
        finally:
            if bridge.process.poll() is None:
                bridge.kill()
        assert len(wall.requests) == 1
    found = database.connect(url)
    with found.reading() as connection:
        assert connection.execute(select(tasks.c.state, tasks.c.attempts)).all() == [("done", 1)]
    found.engine.dispose()


def test_a_port_that_is_taken_is_said_so(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "bridge.yml").write_text(
            CONFIG.format(database=f"sqlite:///{tmp_path}/b.db", wall="http://x.test")
        )
        (tmp_path / "triage.yml").write_text(TRIAGE)
        argv = [sys.executable, "-m", "bridge", "run", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1" in done.stderr
