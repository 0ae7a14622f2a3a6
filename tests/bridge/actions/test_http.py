from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import msgspec
import pytest

from bridge.actions import http
from bridge.config.values import Duration, Secret, decode_value
from bridge.delivery import Outbound
from bridge.model import ActionResult
from tests.bridge.actions.test_contract import CALL
from tests.servers.http import (
    Behaviour,
    Exchange,
    Server,
    drips,
    floods,
    free_port,
    gzip_bomb,
    hangs,
    resets,
    says,
    speaks,
)
from tests.servers.loopback import outbound

SECRET = "canary-gateway-secret"  # looked for in what is told
SECONDS = 0.4


def settings(url: str, **other: Any) -> http.Settings:
    values = {
        "url": url,
        "body": {"active": "standby"},
        "secret": Secret(SECRET),
        "timeout": Duration(seconds=SECONDS),
    }
    return http.Settings(**{**values, **other})


def act(*behaviours: Behaviour, **other: Any) -> tuple[ActionResult, Server]:
    with Server(*behaviours) as server:
        result = http.act(settings(server.url + "/switch", **other), CALL, outbound(5))
    return result, server


class Gateway:
    """A target that trusts only signed calls, does each run once and refuses tokens it has outgrown."""

    def __init__(self) -> None:
        self.active = "primary"
        self.runs: set[str] = set()
        self.token = 0

    def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        expected = "sha256=" + hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
        if request.headers.get("X-Bridge-Signature") != expected:
            says(401, b"bad signature")(exchange)
        elif int(request.headers["Fencing-Token"]) < self.token:
            says(409, b"an older call")(exchange)
        else:
            self.token = int(request.headers["Fencing-Token"])
            self.runs.add(request.headers["Idempotency-Key"])
            self.active = json.loads(request.body)["active"]
            says(200, {"active": self.active})(exchange)


def test_the_target_can_check_the_call() -> None:
    gateway = Gateway()
    result, server = act(gateway)
    assert result == ActionResult("applied", '200 {"active": "standby"}')
    assert (gateway.active, gateway.runs, gateway.token) == ("standby", {"pay-standby-7"}, 7)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/switch")
    assert request.headers["Content-Type"] == "application/json"


def test_a_wrong_signature_and_an_old_token_are_refused_by_it() -> None:
    gateway = Gateway()
    gateway.token = 8
    assert act(gateway)[0].outcome == "refused"
    assert act(gateway, secret=Secret("another"))[0] == ActionResult("refused", "401 bad signature")
    assert act(gateway, secret=None)[0].outcome == "refused"
    assert gateway.active == "primary"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_headers_of_the_configuration_cannot_replace_ours(method: str) -> None:
    mine = {"x-extra": "1", "IDEMPOTENCY-KEY": "forged", "fencing-token": "99", "content-type": "text/plain"}
    result, server = act(
        says(204), method=method, headers={name: Secret(value) for name, value in mine.items()}
    )
    assert result.outcome == "applied"
    (request,) = server.requests
    names = [name.lower() for name in request.headers]
    assert len(names) == len(set(names))
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert (sent["x-extra"], sent["idempotency-key"], sent["fencing-token"]) == ("1", "pay-standby-7", "7")
    assert sent["content-type"] == "application/json"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_applied(status: int) -> None:
    assert act(says(status))[0].outcome == "applied"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 425, 429, 451])
def test_4xx_is_refused(status: int) -> None:
    assert act(says(status, b"no"))[0] == ActionResult("refused", f"{status} no")


@pytest.mark.parametrize(
    "behaviour",
    [
        *(
            says(500),
            says(502),
            says(503),
            says(504),
            says(408),
            says(302, b"", {"Location": "/x"}),
            says(307),
        ),
        *(
            hangs(),
            resets(),
            resets(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            speaks(b""),
            speaks(b"garbage\r\n\r\n"),
        ),
        *(
            drips(b""),
            drips(b"HTTP/1.1 200 OK\r\n"),
            drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        ),
        speaks(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"),
        speaks(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ],
)
def test_no_clear_answer_is_unknown_and_called_once(behaviour: Behaviour) -> None:
    began = time.monotonic()
    result, server = act(behaviour)
    assert result.outcome == "unknown"
    assert len(server.requests) == 1
    assert time.monotonic() - began < SECONDS + 1


@pytest.mark.parametrize("behaviour", [floods(1_000_000_000), gzip_bomb(100_000_000)])
def test_a_huge_yes_is_a_yes(behaviour: Behaviour) -> None:
    result, _ = act(behaviour, timeout=Duration(seconds=3))
    assert result.outcome == "applied"
    assert len(result.said) < 300


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "127.0.0.1",
            "http://",
            "http://[::1",
            "http://127.0.0.1:99999/",
        ),
        "http://" + "a" * 64 + ".test/",
        "http://no-such-host.invalid/",
    ],
)
def test_what_cannot_be_reached_was_refused(url: str) -> None:
    assert http.act(settings(url), CALL, outbound()).outcome == "refused"


def test_nobody_there_was_refused_and_a_closed_network_too() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    assert http.act(settings(url), CALL, outbound()) == ActionResult(
        "refused", "127.0.0.1: connection refused"
    )
    with Server() as server:
        assert http.act(settings(server.url), CALL, Outbound()).outcome == "refused"
    assert server.connections == 0


def test_a_dry_run_calls_nobody() -> None:
    with Server() as server:
        result = http.act(settings(server.url), msgspec.structs.replace(CALL, dry_run=True), outbound())
    assert result.outcome != "applied"
    assert server.requests == []


def test_no_secret_is_told_even_when_the_target_repeats_it() -> None:
    headers = {"Authorization": Secret("Bearer canary-header-token")}

    def echo(exchange: Exchange) -> None:
        says(400, f"{dict(exchange.request.headers)} {SECRET}".encode())(exchange)

    result, _ = act(echo, headers=headers)
    assert result.outcome == "refused"
    assert "canary" not in result.said
    assert "canary" not in repr(settings("x", headers=headers))


def test_hostile_words_of_the_target_become_one_line() -> None:
    result, _ = act(says(200, b"\x1b[31mok\r\n\x00\xff" + b"x" * 5_000))
    assert result.said.isprintable()
    assert len(result.said) <= 210


def test_headers_are_read_from_the_configuration_as_secrets() -> None:
    given = {"url": "https://x.test", "headers": {"Authorization": "Bearer canary"}}
    found = msgspec.convert(given, http.Settings, dec_hook=decode_value)
    assert found.headers["Authorization"].reveal() == "Bearer canary"
