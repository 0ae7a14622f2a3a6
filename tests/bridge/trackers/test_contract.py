"""The contract of every tracker, over every registered entry. A new tracker needs no line here."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator

import msgspec
import pytest

import bridge.trackers
from bridge.config.values import decode_value
from bridge.delivery import LONGEST_WAIT, DeliveryError
from bridge.model import Ticket
from bridge.registry import trackers
from bridge.trackers import Mirrored
from tests.bridge.channels.test_contract import HOSTILE
from tests.bridge.trackers.contract import Stage, ticket
from tests.servers.loopback import CANARY, outbound, told

NAMES = list(trackers.entries())
SECONDS = 0.6
MOODS = ("unauthorised", "broken", "limited", "hangs", "redirects", "nonsense")


@pytest.fixture(params=NAMES)
def stage(request: pytest.FixtureRequest) -> Iterator[tuple[str, Stage]]:
    module = importlib.import_module(f"tests.bridge.trackers.test_{request.param}")
    with module.stage() as found:
        yield request.param, found


def mirror(name: str, found: Stage, wanted: Ticket, known: str = "") -> Mirrored:
    return trackers.entries()[name].call(found.settings, wanted, known, outbound(SECONDS))


def failure(name: str, found: Stage, mood: str, known: str = "") -> DeliveryError:
    if mood not in found.moods:
        pytest.skip(f"{name} cannot be made to be: {mood}")
    found.moods[mood]()
    with pytest.raises(DeliveryError) as caught:
        mirror(name, found, ticket(), known)
    assert CANARY not in told(caught.value)
    assert CANARY not in repr(found.settings)
    return caught.value


def test_one_entry_for_each_file() -> None:
    files = [module.name for module in pkgutil.iter_modules(bridge.trackers.__path__)]
    assert sorted(files) == sorted(NAMES)
    assert all(entry.about for entry in trackers.entries().values())


@pytest.mark.parametrize("name", NAMES)
def test_settings_refuse_unknown_keys(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_setting": 1}, trackers.entries()[name].settings, dec_hook=decode_value)


def test_created_once_and_updated_after(stage: tuple[str, Stage]) -> None:
    name, found = stage
    first = mirror(name, found, ticket())
    assert first.key
    again = mirror(name, found, ticket(comments=("acknowledged by 李雷",)), first.key)
    assert again == first
    (said,) = found.tickets()
    assert "支付网关超时" in said
    assert "INC-42" in said


def test_a_lost_answer_does_not_make_a_second_ticket(stage: tuple[str, Stage]) -> None:
    name, found = stage
    assert failure(name, found, "loses").unknown
    assert mirror(name, found, ticket()).key
    assert len(found.tickets()) == 1


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_ugly_text_is_taken(stage: tuple[str, Stage], text: str) -> None:
    name, found = stage
    ugly = ticket(title=f"[P1] {text}", body=text, comments=(text, text))
    key = mirror(name, found, ugly).key
    assert mirror(name, found, ugly, key).key == key
    (said,) = found.tickets()
    said.encode()
    assert not set(said) & set("\x00\x07\x1b\x7f")


@pytest.mark.parametrize(
    ("mood", "retry"),
    [
        ("unauthorised", False),
        ("broken", True),
        ("limited", True),
        ("hangs", True),
        ("redirects", False),
        ("nonsense", True),
    ],
)
@pytest.mark.parametrize("known", ["", "OPS-1"], ids=["new", "known"])
def test_failures(stage: tuple[str, Stage], mood: str, retry: bool, known: str) -> None:  # noqa: FBT001
    if known and mood == "nonsense":
        pytest.skip("for an update any 2xx is enough")
    began = time.monotonic()
    error = failure(*stage, mood, known)
    assert error.retry is retry
    assert error.after in (None, 7.0, LONGEST_WAIT)
    assert time.monotonic() - began < 2 * SECONDS + 0.5
