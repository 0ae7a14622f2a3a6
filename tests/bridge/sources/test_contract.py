"""The contract of every source: whatever arrives, a Notification or NotUnderstood, and soon."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import time
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge.sources
from bridge.config.values import Duration, decode_value
from bridge.model import Notification
from bridge.registry import sources
from bridge.sources import Delivery, NotUnderstood

NAMES = list(sources.entries())
# What members share; no members themselves.
SHARED = ["lenient", "webhook"]
# What a type must be told; the others need nothing.
NEEDED = {"heartbeat": {"every": Duration(minutes=1)}}
# A beat is a beat whatever its body says.
READERS = [name for name in NAMES if name != "heartbeat"]
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

NOTHING = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"x"',
    "number": b"42",
    "true": b"true",
    "object": b"{}",
    "deep list": b"[" * 200_000,
    "deep in unknown": b'{"x":' + b"[" * 200_000,
    "deep objects": b'{"alerts":' * 100_000,
    "long number": b"1" * 5_000,
    "NaN": b'{"alerts": NaN, "title": NaN}',
    "no UTF-8": b"\xff\xfe\xfd",
    "half": b'{"version": "4", "alerts": [{"labels": {"a": "b"}',
    "form": b"title=x&alerts=y",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "10 MB": b" " * 10_000_000,
}


def decode(name: str, body: bytes) -> Notification:
    entry = sources.entries()[name]
    return entry.call(entry.settings(**NEEDED.get(name, {})), Delivery(name, body, {}, NOW))


def test_one_entry_and_one_test_for_each_file() -> None:
    files = [module.name for module in pkgutil.iter_modules(bridge.sources.__path__)]
    assert sorted(files) == sorted([*NAMES, *SHARED])
    assert all(entry.about for entry in sources.entries().values())
    for name in files:
        importlib.import_module(f"tests.bridge.sources.test_{name}")


@pytest.mark.parametrize("name", NAMES)
def test_settings_refuse_unknown_keys(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"no_such_setting": 1}, sources.entries()[name].settings, dec_hook=decode_value)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("body", NOTHING.values(), ids=NOTHING)
def test_what_says_nothing_is_not_understood_and_soon(name: str, body: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(NotUnderstood) as caught:
        decode(name, body)
    assert time.monotonic() - began < 2
    assert 0 < len(str(caught.value)) < 1_000


@pytest.mark.parametrize("name", NAMES)
@given(st.binary(max_size=200))
def test_any_bytes(name: str, body: bytes) -> None:
    with contextlib.suppress(NotUnderstood):
        found = decode(name, body)
        assert found.alerts or found.taken or found.beats
        assert found.source == name


@pytest.mark.parametrize("name", NAMES)
def test_the_same_delivery_is_read_the_same_way_again(name: str) -> None:
    payload = {"summary": "s", "source": "h", "severity": "info"}
    body = msgspec.json.encode({"event_action": "trigger", "payload": payload, "title": "t"})
    with contextlib.suppress(NotUnderstood):
        assert decode(name, body) == decode(name, body)
