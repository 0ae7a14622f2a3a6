"""What machines watch and drive: who may reload, and what the answer says."""

from __future__ import annotations

import re

import pytest

from bridge.wiring import read_config
from tests.bridge.web.visitors import Site


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        (("api:write",), 200),
        (("api:read",), 403),
        (("ingest:main",), 403),
        (("api:write", "client:acme"), 403),
        ((), 401),
    ],
)
def test_only_a_token_that_may_change_everything_reloads(bridge, client, token, tmp_path, scopes, status):
    before = bridge.config
    answer = client.post("/-/reload", headers=token(*scopes) if scopes else {})
    assert answer.status_code == status
    assert (bridge.config is before) == (status != 200)


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("responder", 403), ("viewer", 403)])
def test_only_an_admin_who_is_signed_in_reloads_and_not_without_the_csrf_token(site: Site, role, status):
    visitor = site.person(role=role)
    before = site.bridge.config
    assert visitor.client.post("/-/reload").status_code == 400
    assert site.bridge.config is before
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', visitor.page("/report-problem"))[1]
    answer = visitor.client.post("/-/reload", headers={"X-CSRFToken": csrf})
    assert answer.status_code == status
    assert (site.bridge.config is before) == (status != 200)


def test_looking_at_the_address_reloads_nothing(bridge, client, token):
    before = bridge.config
    assert client.get("/-/reload", headers=token("api:write")).status_code == 405
    assert bridge.config is before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/-/reload", 401), ("GET", "/-/reload", 405), ("GET", "/-/no", 404)],
)
def test_machines_are_refused_in_their_own_language(client, method, path, status):
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert (answer.json["status"], bool(answer.json["title"]), bool(answer.json["trace"])) == (
        status,
        True,
        True,
    )


def test_a_reload_answers_with_the_version_in_force_and_what_waits_for_a_restart(
    bridge, client, token, tmp_path
):
    file = tmp_path / "bridge.yml"
    file.write_text(file.read_text("utf-8") + "web: {proxies: 1}\n", "utf-8")
    answer = client.post("/-/reload", headers=token("api:write"))
    assert answer.json == {"version": read_config(file).version, "after_restart": ["web.proxies"]}
    assert bridge.config.version == answer.json["version"]


def test_wrong_files_answer_422_with_every_mistake_and_the_old_version(bridge, client, token, tmp_path):
    before = bridge.config
    (tmp_path / "triage.yml").write_text("- {nam: x}\n- {name: y, priority: P7}\n")
    answer = client.post("/-/reload", headers=token("api:write"))
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert set(answer.json) == {"title", "status", "detail", "reasons", "version", "trace"}
    assert answer.json["version"] == before.version
    reasons = [reason.removeprefix(f"{tmp_path}/") for reason in answer.json["reasons"]]
    assert [reason.partition(": ")[0] for reason in reasons] == [
        "triage.yml:1",
        "triage.yml:1",
        "triage.yml:2",
    ]
    assert reasons[2].startswith("triage.yml:2: [1].priority: ")
    delivered = client.get("/api/v1/deliveries", headers=token("api:read")).json["items"]
    assert [(each["trace"], each["source"]) for each in delivered] == [(answer.json["trace"], "opsbridge")]


def test_the_metrics_count_reloads_from_the_start(client, token, tmp_path, clock):
    assert 'bridge_config_reloads_total{result="rejected"} 0.0' in client.get("/metrics").text
    (tmp_path / "triage.yml").write_text("")
    client.post("/-/reload", headers=token("api:write"))
    text = client.get("/metrics").text
    assert 'bridge_config_reloads_total{result="rejected"} 1.0' in text
    seconds = re.search(r"^bridge_config_last_reload_success_timestamp_seconds (\S+)$", text, re.MULTILINE)[1]
    assert float(seconds) == clock().timestamp()
