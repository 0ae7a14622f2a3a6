"""The server process: it ends in order, and says when it cannot begin."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import select

from bridge.store import database, people
from bridge.store.schema import tasks
from bridge.wiring import read_config, utc_now
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


class Deployed:
    """Configuration as Kubernetes lays it out: files are links into a folder that is changed for another."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self._versions = 0
        for name in ("bridge.yml", "triage.yml"):
            (folder / name).symlink_to(Path("data") / name)

    def put(self, triage: str) -> str:
        """Replace all files at once; their version, empty when they are wrong."""
        self._versions += 1
        version = self.folder / f"version-{self._versions}"
        version.mkdir()
        (version / "bridge.yml").write_text(CONFIG.format(database=self.url, wall="http://127.0.0.1:1"))
        (version / "triage.yml").write_text(triage)
        (self.folder / "next").symlink_to(version)
        (self.folder / "next").rename(self.folder / "data")
        return "" if "priorityy" in triage else read_config(self.folder / "bridge.yml").version


WRONG = TRIAGE.replace("priority", "priorityy")


def api_token(url: str) -> dict[str, str]:
    """A token that may read and write."""
    found = database.connect(url)
    secret = found.run(lambda c: people.new_token(c, "test", ["api:read", "api:write"], utc_now()))
    found.engine.dispose()
    return {"Authorization": f"Bearer {secret}"}


def wait_until_counted(address: str, result: str, times: int) -> None:
    line = f'bridge_config_reloads_total{{result="{result}"}} {times}.0'
    until = time.monotonic() + 15
    while line not in requests.get(f"{address}/metrics", timeout=5).text:
        assert time.monotonic() < until, f"never {line}"
        time.sleep(0.05)


@pytest.fixture
def deployed(tmp_path):
    files = Deployed(tmp_path, f"sqlite:///{tmp_path}/bridge.db")
    files.put(TRIAGE)
    return files


def test_sighup_changes_the_rules_of_a_running_bridge_and_a_broken_file_changes_nothing(tmp_path, deployed):
    bridge = Bridge(tmp_path)
    bridge.start()
    try:
        story_of_reloads(bridge, deployed)
    finally:
        bridge.kill()


def story_of_reloads(bridge: Bridge, deployed: Deployed) -> None:
    supervisor = psutil.Process(bridge.process.pid)
    (serving,) = supervisor.children()
    api = api_token(deployed.url)

    def open_one(number: int) -> str:
        """The rules' version that a new incident carries."""
        target, sender = f"{bridge.url}/ingest/alertmanager/main", {"Authorization": "Bearer secret"}
        answer = requests.post(target, data=body([f"{number:016x}"]), headers=sender, timeout=10)
        assert answer.status_code == 200
        return incident(answer.json()["incidents"][0])["rules_version"]

    def incident(number: str) -> dict:
        address = f"{bridge.url}/api/v1/incidents/{number.removeprefix('INC-')}"
        return requests.get(address, headers=api, timeout=10).json()

    def rejections() -> list[dict]:
        address = f"{bridge.url}/api/v1/incidents?q=configuration+was+rejected"
        return requests.get(address, headers=api, timeout=10).json()["items"]

    first = read_config(deployed.folder / "bridge.yml").version
    assert open_one(1) == first
    second = deployed.put(TRIAGE.replace("name: all", "name: second"))
    assert open_one(2) == first, "nothing changes by itself"
    supervisor.send_signal(signal.SIGHUP)
    wait_until_counted(bridge.url, "applied", 1)
    assert open_one(3) == second != first
    assert incident("INC-1")["rules_version"] == first

    deployed.put(WRONG)
    supervisor.send_signal(signal.SIGHUP)
    wait_until_counted(bridge.url, "rejected", 1)
    serving.send_signal(signal.SIGHUP)  # as a terminal that is closed does
    wait_until_counted(bridge.url, "rejected", 2)
    assert open_one(4) == second
    answer = requests.post(f"{bridge.url}/-/reload", headers=api, timeout=10)
    assert (answer.status_code, answer.json()["version"]) == (422, second)
    assert "no such setting" in answer.json()["reasons"][0]
    (told,) = rejections()
    assert told["status"] == "triggered"

    third = deployed.put(TRIAGE.replace("name: all", "name: third"))
    assert requests.post(f"{bridge.url}/-/reload", headers=api, timeout=10).json()["version"] == third
    assert open_one(5) == third
    assert [each["status"] for each in rejections()] == ["resolved"]
    assert supervisor.children() == [serving], "nobody was replaced"


def test_sighup_makes_a_worker_alone_read_its_files_again(tmp_path, deployed):
    port = Bridge(tmp_path).port  # it makes the database and is not started
    argv = [sys.executable, "-m", "bridge", "worker", "--metrics-port", str(port)]
    with subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as worker:
        try:
            version = story_of_a_worker(worker, f"http://127.0.0.1:{port}", deployed)
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=20)
        finally:
            worker.kill()
    assert worker.returncode == 0
    assert f'"version": "{version}"' in said


def story_of_a_worker(worker: subprocess.Popen[str], address: str, deployed: Deployed) -> str:
    """Wrong files, then good ones; their version."""
    while "worker started" not in worker.stderr.readline():
        assert worker.poll() is None
    deployed.put(WRONG)
    worker.send_signal(signal.SIGHUP)
    wait_until_counted(address, "rejected", 1)
    version = deployed.put(TRIAGE.replace("name: all", "name: second"))
    worker.send_signal(signal.SIGHUP)
    wait_until_counted(address, "applied", 1)
    return version
