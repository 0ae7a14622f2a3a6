from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.values import Duration, decode_value
from bridge.model import Notification
from bridge.sources import Delivery, heartbeat
from tests.bridge.sources.test_contract import NOW


def settings(**given: Any) -> heartbeat.Settings:
    return msgspec.convert({"every": "1m", **given}, heartbeat.Settings, dec_hook=decode_value)


@given(st.binary(max_size=50))
def test_whatever_is_posted_is_a_beat_and_nothing_else(body: bytes) -> None:
    found = heartbeat.decode(settings(), Delivery("backup", body, {}, NOW))
    assert found == Notification(source="backup", alerts=(), beats=("backup",))


def test_the_next_beat_is_due_after_the_interval_and_its_grace() -> None:
    assert settings().due(NOW) == NOW + timedelta(minutes=2)
    assert settings(every="1d", grace="2h").due(NOW) == NOW + timedelta(hours=26)


def test_an_interval_is_needed_and_silence_pages_somebody() -> None:
    with pytest.raises(msgspec.ValidationError, match="every"):
        msgspec.convert({}, heartbeat.Settings, dec_hook=decode_value)
    assert (settings().priority, settings().grace) == ("P2", Duration(minutes=1))
