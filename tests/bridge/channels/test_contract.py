"""The contract of every channel, over every registered entry. A new channel needs no line here."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import time
from collections.abc import Iterator

import msgspec
import pytest

import bridge.channels
from bridge.config.values import decode_value
from bridge.delivery import LONGEST_WAIT, DeliveryError
from bridge.model import Message, Receipt
from bridge.registry import channels
from tests.bridge.channels.contract import MOODS, NOW, Stage, message
from tests.servers.loopback import CANARY, outbound, told

NAMES = list(channels.entries())
SECONDS = 0.6

HOSTILE = {
    "markup": "<script>alert(1)</script><img onerror=a()> **b** [x](http://evil.test) ![i](x) # h `c`",
    "mentions": "@all <@li> <@all> @13800000000 <!channel> @everyone",
    "right to left": "abc\u202edcba\u2066x\u2069",
    "control": "a\x00b\x07c\x1b[31mred\x7f\x85\u2028x",
    "line breaks": "a\r\nBcc: evil@evil.test\r\n\r\nbody\x0bc\x0cd",
    "surrogate": "a\ud800b\udfffc",
    "100 kB": "错误" * 17_000,
    "100 kB ascii": "x" * 100_000,
    "emoji": "👩\u200d👩\u200d👧\u200d👦" * 3_000,
    "zalgo": "e" + "\u0301" * 20_000,
    "Chinese": "支付网关超时,请立即处理",
    "template": "{{ 7*7 }} {% for x in y %} ${7*7} %(password)s {0.__class__}",
}


@pytest.fixture(params=NAMES)
def stage(request: pytest.FixtureRequest) -> Iterator[tuple[str, Stage]]:
    module = importlib.import_module(f"tests.bridge.channels.test_{request.param}")
    with module.stage() as found:
        yield request.param, found


def send(name: str, found: Stage, sent: Message) -> Receipt:
    return channels.entries()[name].call(found.settings, sent, outbound(SECONDS), NOW)


def failure(name: str, found: Stage, mood: str) -> DeliveryError:
    if mood not in found.moods:
        pytest.skip(f"{name} cannot be made to be: {mood}")
    found.moods[mood]()
    with pytest.raises(DeliveryError) as caught:
        send(name, found, message())
    return caught.value


def test_one_entry_for_each_file() -> None:
    files = [module.name for module in pkgutil.iter_modules(bridge.channels.__path__)]
    assert sorted(files) == sorted(NAMES)
    assert all(entry.about for entry in channels.entries().values())


def test_success_gives_a_receipt(stage: tuple[str, Stage]) -> None:
    name, found = stage
    receipt = send(name, found, message())
    assert isinstance(receipt, Receipt)
    assert receipt.id or receipt.said
    (shown,) = found.shown()
    assert "支付网关超时" in shown
    assert "第二行" in shown
    assert "https://bridge.test/incidents/42" in shown


def test_a_refusal_is_not_tried_again(stage: tuple[str, Stage]) -> None:
    error = failure(*stage, "refuses")
    assert (error.retry, error.unknown) == (False, False)


def test_a_broken_provider_is_tried_again_when_it_says(stage: tuple[str, Stage]) -> None:
    error = failure(*stage, "broken")
    assert error.retry
    assert error.after in (None, 7.0)


def test_a_limit_is_honoured_but_not_for_a_day(stage: tuple[str, Stage]) -> None:
    error = failure(*stage, "limited")
    assert error.retry
    assert error.after in (None, LONGEST_WAIT)


def test_a_hanging_provider_is_left_in_time(stage: tuple[str, Stage]) -> None:
    began = time.monotonic()
    error = failure(*stage, "hangs")
    assert error.retry
    assert time.monotonic() - began < 2 * SECONDS + 0.5


def test_a_reset_means_nobody_knows(stage: tuple[str, Stage]) -> None:
    error = failure(*stage, "resets")
    assert (error.retry, error.unknown) == (True, True)


def test_a_redirect_is_a_failure_and_not_followed(stage: tuple[str, Stage]) -> None:
    error = failure(*stage, "redirects")
    assert not error.retry
    assert stage[1].elsewhere() == 0


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_ugly_text_is_delivered_within_the_limit(stage: tuple[str, Stage], text: str) -> None:
    name, found = stage
    assert send(name, found, message(title=f"P1 {text[:2000]}", lines=(text, "the last line")))
    (shown,) = found.shown()
    assert found.limit is None or len(shown.encode()) <= found.limit
    shown.encode()
    assert not set(shown) & set("\x00\x07\x1b\x7f")


@pytest.mark.parametrize(
    "url",
    [
        "https://x.test/" + "a" * 10_000,
        "https://x.test/a)b(c\n\r x",
        "https://x.test/\ud800\x00\u202e",
        "https://x.test/<b>",
    ],
    ids=["10 kB", "breaks out", "unspeakable", "markup"],
)
def test_an_ugly_link_does_not_stop_the_message(stage: tuple[str, Stage], url: str) -> None:
    name, found = stage
    assert send(name, found, message(links=(("Open", "https://bridge.test/incidents/42"), ("手册", url))))
    (shown,) = found.shown()
    assert found.limit is None or len(shown.encode()) <= found.limit
    assert "https://bridge.test/incidents/42" in shown
    assert "<b>" not in shown


@pytest.mark.parametrize("mood", MOODS)
def test_no_secret_is_told(
    stage: tuple[str, Stage], mood: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    name, found = stage
    caplog.set_level(logging.DEBUG)
    error = failure(name, found, mood)
    assert CANARY not in told(error)
    assert CANARY not in repr(found.settings)
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", NAMES)
def test_settings_refuse_unknown_keys(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_setting": 1}, channels.entries()[name].settings, dec_hook=decode_value)
