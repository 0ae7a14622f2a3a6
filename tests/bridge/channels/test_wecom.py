from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bridge.channels import wecom
from bridge.config.values import Secret
from bridge.delivery import DeliveryError
from bridge.model import Message
from tests.bridge.channels.contract import NOW, Stage, message, over_http
from tests.servers.http import Server, says
from tests.servers.loopback import outbound
from tests.servers.wecom import KEY, LIMIT, PER_MINUTE, Robot

HTML = b"<!doctype html><title>Sign in to the proxy</title>"


def settings(url: str) -> wecom.Settings:
    return wecom.Settings(key=Secret(KEY), url=url)


@contextmanager
def stage() -> Iterator[Stage]:
    robot = Robot()
    with over_http(settings, robot, lambda _: robot.shown, LIMIT) as found:
        yield found


def shown(sent: Message) -> str:
    """What the real robot's rules let through of a message."""
    robot = Robot()
    with Server(robot) as server:
        wecom.send(settings(server.url), sent, outbound(), NOW)
    return robot.shown[0]


def answered(body: Any, status: int = 200) -> DeliveryError:
    with Server(says(status, body)) as server, pytest.raises(DeliveryError) as caught:
        wecom.send(settings(server.url), message(), outbound(), NOW)
    return caught.value


def test_only_errcode_0_is_success() -> None:
    with Server(says(200, {"errcode": 0, "errmsg": "ok"})) as server:
        assert wecom.send(settings(server.url), message(), outbound(), NOW).said == "errcode 0"


@pytest.mark.parametrize(
    ("body", "retry", "unknown"),
    [
        ({"errcode": -1, "errmsg": "system busy"}, True, False),
        ({"errcode": 45009}, True, False),
        ({"errcode": 45033}, True, False),
        ({"errcode": 93000, "errmsg": "invalid webhook url, canary-robot-key"}, False, False),
        ({"errcode": 40058}, False, False),
        ({"errmsg": "ok"}, True, True),
        ({"errcode": None}, True, True),
        ({"errcode": "0"}, True, True),
        ({"errcode": False}, True, True),
        ([], True, True),
        (b"", True, True),
        (b"null", True, True),
        (b"not json", True, True),
        (b"\xff\xfe\x00", True, True),
        (b'"\xff"', True, True),
        (b"[" * 60_000, True, True),
        (HTML, True, True),
    ],
)
def test_every_other_answer_is_a_failure(body: Any, retry: bool, unknown: bool) -> None:  # noqa: FBT001
    error = answered(body)
    assert (error.retry, error.unknown) == (retry, unknown)
    assert "canary" not in str(error)


def test_the_twenty_first_message_of_a_minute_is_refused_and_told_as_passing() -> None:
    with Server(Robot()) as server:
        for _ in range(PER_MINUTE):
            wecom.send(settings(server.url), message(), outbound(), NOW)
        with pytest.raises(DeliveryError, match="45009") as caught:
            wecom.send(settings(server.url), message(), outbound(), NOW)
    assert caught.value.retry
    assert settings("x").budget.per_minute < PER_MINUTE


@pytest.mark.parametrize("size", range(LIMIT - 40, LIMIT + 40))
def test_at_the_limit_no_byte_too_many(size: int) -> None:
    head = len(wecom.markdown(message(lines=("",))).encode())
    text = wecom.markdown(message(lines=("支" * ((size - head) // 3) + "x" * ((size - head) % 3),)))
    assert len(text.encode()) <= LIMIT
    assert text.endswith(")")
    assert ("…" in text) == (size > LIMIT)


def test_nothing_in_a_label_is_markup_or_a_mention() -> None:
    text = shown(
        message(title="P1 <@li> **x**", lines=("@all <@all> [click](http://evil.test) ![i](x) `c` # h",))
    )
    ours = re.sub(r"</?font[^>]*>|\*\*.*?\*\*|\[(Open|手册)\]\(https://[^)\s]*\)", "", text)
    assert not set(ours) & set("<>[]`*#@")
    assert text.count("**") == 2
    assert text.count("](") == 2


def test_links_stay_whole_and_our_own_survives_a_long_text() -> None:
    text = shown(message(lines=("错" * 50_000,)))
    assert text.endswith(
        "\n[Open](https://bridge.test/incidents/42)\n[手册](https://runbooks.test/pay%281%29?a=b)"
    )


def test_a_message_without_links_and_lines() -> None:
    assert shown(message(lines=(), links=())).startswith('<font color="warning">**P1')
