"""The whole line on real programs: Prometheus, Alertmanager, a bridge, a payment gateway, receivers."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime

import pytest
import requests

from bridge.demo.scene import CLIENT, Scene, SceneConfig
from bridge.demo.stack import backfill
from bridge.demo.traffic import Mode
from tests import postgres
from tests.servers.wecom import KEY

CHANNELS = """\
  li-phone: {{type: wecom, key: {key}, url: "{url}"}}
  han-phone:
    type: email
    host: 127.0.0.1
    port: {smtp}
    security: none
    from: bridge@example.test
    to: [han@example.test]
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """An empty database URL means SQLite in the scene's folder."""
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("postgres_server")
    yield postgres.new_database(server, "e2e")
    postgres.drop_database(server, "e2e")


@pytest.fixture
def config(tmp_path, receivers):
    """The scene with real receivers in place of the demo's console channels."""
    channels = CHANNELS.format(url=receivers.url, key=KEY, smtp=receivers.mail.port)
    return lambda **how: SceneConfig(tmp_path, channels=channels, **how)


def flowing(scene):
    scene.wait_for(lambda: (scene.success_ratio() or 0) > 0.98, "payments to flow", 60)


def p1(scene):
    found = scene.incidents(priority="P1")
    return found[0] if found else None


def page(scene, number):
    return scene.api("GET", f"/api/v1/incidents/{number.removeprefix('INC-')}")


def told(scene, number):
    return [fact["kind"] for fact in page(scene, number)["timeline"]]


def test_a_broken_payment_channel_is_paged_switched_restored_closed_and_reported(config, database, receivers):
    scene = Scene(config(database=database))
    now = datetime.now(UTC)
    backfill(scene.stack.data_dir, now.strftime("%Y-%m"), CLIENT, now)
    with scene:
        flowing(scene)
        scene.gateway.break_channel("primary", Mode.TIMEOUT)
        opened = scene.wait_for(lambda: p1(scene), "a P1", 60)
        number = opened["number"]
        assert (opened["client"], opened["service"], opened["priority"]) == ("acme", "payments", "P1")
        assert {clock["target"] for clock in opened["clocks"]} == {"respond", "restore"}

        scene.wait_for(lambda: receivers.chats, "the WeCom page of the person on call", 20)
        assert "10 分钟内响应" in receivers.chats[0]
        assert f"[处理]({scene.url}/incidents/{number.removeprefix('INC-')})" in receivers.chats[0]

        scene.wait_for(lambda: receivers.mail.mails, "the mail of step two", 30)
        assert receivers.mail.mails[0]["To"] == "han@example.test"
        assert receivers.mail.mails[0]["Subject"].startswith("P1 ")

        scene.wait_for(lambda: page(scene, number)["failovers"], "a failover", 20)
        scene.wait_for(
            lambda: page(scene, number)["failovers"][0]["state"] == "done", "a verified failover", 100
        )
        assert (scene.gateway.active, scene.gateway.state()["switches"]) == ("standby", 1)

        scene.wait_for(lambda: page(scene, number)["status"] == "resolved", "the incident to be restored", 60)
        scene.wait_for(
            lambda: len(receivers.mail.mails) >= 2, "everyone paged to be told that it is over", 20
        )
        scene.api(
            "POST", f"/api/v1/incidents/{number.removeprefix('INC-')}/close", text="the provider was down"
        )
        assert page(scene, number)["status"] == "closed"

        made = [
            path
            for language in ("zh", "en")
            for path in scene.command(
                "report", "build", CLIENT, now.strftime("%Y-%m"), "--language", language
            ).split()
        ]
        assert sorted(path.rsplit(".", 1)[1] for path in made) == ["html", "html", "pdf", "pdf"]
        chinese = next(path for path in made if path.endswith("zh.pdf"))
        text = subprocess.run(
            ["pdftotext", "-layout", chinese, "-"], capture_output=True, text=True, check=True
        ).stdout
        assert number in text
        assert "安可科技" in text


def test_a_bridge_that_was_down_while_an_alert_fired_loses_nothing(config, receivers):
    with Scene(config(mode="shadow")) as scene:
        flowing(scene)
        scene.bridge.kill()
        scene.gateway.break_channel("primary", Mode.TIMEOUT)
        time.sleep(20)
        scene.start_bridge()
        number = scene.wait_for(lambda: p1(scene), "the P1 that fired while the bridge was down", 40)[
            "number"
        ]
        scene.wait_for(lambda: receivers.chats, "its page", 20)
        assert page(scene, number)["failovers"][0]["state"] in ("shadow", "intended", "checking")


def test_a_restarted_alertmanager_and_repeated_resolves_open_no_second_incident(config, receivers):
    stack = {"repeat_interval": "5s", "resend_delay": "2s"}
    with Scene(config(mode="off", stack=stack)) as scene:
        flowing(scene)
        scene.gateway.break_channel("primary", Mode.TIMEOUT)
        number = scene.wait_for(lambda: p1(scene), "a P1", 60)["number"]
        scene.stack.restart_alertmanager(crash=True)
        scene.stack.restart_alertmanager()
        time.sleep(8)
        scene.gateway.recover()
        scene.wait_for(lambda: page(scene, number)["status"] == "resolved", "the incident to be restored", 60)
        time.sleep(8)  # Prometheus and Alertmanager tell the end again
        body = {"version": "4", "alerts": [_again(alert) for alert in page(scene, number)["alert_list"]]}
        token = (scene.work / "ingest-token").read_text()
        for _ in range(3):
            answer = requests.post(
                f"{scene.url}/ingest/alertmanager",
                data=json.dumps(body),
                headers={"Authorization": f"Bearer {token}"},
                timeout=10,
            )
            assert (answer.status_code, answer.json()["new"]) == (200, 0)
        assert [incident["number"] for incident in scene.incidents(priority="P1")] == [number]
        assert page(scene, number)["status"] == "resolved"
        first = [chat for chat in receivers.chats if "已恢复" not in chat]
        assert len(first) == 1


def _again(alert):
    """An episode of the API as Alertmanager would send its end once more."""
    return {
        "status": "resolved",
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "startsAt": alert["starts_at"],
        "endsAt": alert["ends_at"],
        "fingerprint": alert["fingerprint"],
    }
