from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bridge.channels import webhook
from bridge.config.values import Secret
from bridge.delivery import DeliveryError
from tests.bridge.channels.contract import NOW, Stage, message, over_http
from tests.servers.http import Request, Server, says
from tests.servers.loopback import outbound

SECRET = "canary-webhook-secret"  # looked for in logs


def settings(url: str) -> webhook.Settings:
    return webhook.Settings(url=url, secret=Secret(SECRET), token=Secret("canary-webhook-token"))


def text(request: Request) -> str:
    body = request.json
    return "\n".join(
        [body["title"], *body["lines"], *(link["url"].replace("<", "&lt;") for link in body["links"])]
    )


@contextmanager
def stage() -> Iterator[Stage]:
    def shown(server: Server) -> list[str]:
        # JSON escapes control characters itself: the receiver decides how to show them.
        marks = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
        return [text(request).translate(marks) for request in server.requests]

    with over_http(settings, says(204), shown) as found:
        yield found


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (SECRET, SECRET.encode()),
        ("whsec_" + base64.b64encode(b"\x00raw key\xff").decode(), b"\x00raw key\xff"),
    ],
    ids=["plain", "Standard Webhooks"],
)
def test_the_receiver_can_check_the_signature(secret: str, key: bytes) -> None:
    with Server(says(500), says(200)) as server:
        given = webhook.Settings(url=server.url + "/hook?x=canary", secret=Secret(secret))
        with pytest.raises(DeliveryError, match="answered 500"):
            webhook.send(given, message(), outbound(), NOW)
        webhook.send(given, message(), outbound(), NOW)
    first, second = server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "opsbridge-7"
    stamp = second.headers["webhook-timestamp"]
    assert int(stamp) == NOW.timestamp()
    signed = f"opsbridge-7.{stamp}.".encode() + second.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert second.headers["webhook-signature"] == f"v1,{expected}"
    assert "Authorization" not in second.headers


def test_the_token_is_sent_and_the_body_is_complete() -> None:
    with Server() as server:
        webhook.send(settings(server.url), message(), outbound(), NOW)
    (request,) = server.requests
    assert request.headers["Authorization"] == "Bearer canary-webhook-token"
    assert request.headers["Content-Type"] == "application/json"
    said = json.loads(request.body)
    assert set(said) == {
        *("id", "reason", "priority", "incident", "title", "lines", "links", "responder", "language")
    }


def test_a_secret_that_is_no_base64_is_found_when_the_configuration_is_read() -> None:
    with pytest.raises(ValueError, match="whsec_") as caught:
        webhook.Settings(url="https://x.test", secret=Secret("whsec_canary!"))
    assert "canary" not in str(caught.value)


def test_a_token_that_is_no_header_is_refused_without_showing_it() -> None:
    given = webhook.Settings(url="http://127.0.0.1:9", token=Secret("canary\r\nX-Evil: 1"))
    with pytest.raises(DeliveryError) as caught:
        webhook.send(given, message(), outbound(), NOW)
    assert (caught.value.retry, caught.value.unknown) == (False, False)
    assert "canary" not in str(caught.value)
