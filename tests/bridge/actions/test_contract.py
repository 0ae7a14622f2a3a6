"""The contract of every failover action: exactly one of applied, refused, unknown, and never an exception."""

from __future__ import annotations

import importlib
import pkgutil

import msgspec
import pytest

import bridge.actions
from bridge.config.values import decode_value
from bridge.model import ActionCall
from bridge.registry import actions

NAMES = list(actions.entries())
CALL = ActionCall(run="pay-standby-7", plan="pay-standby", token=7)


def test_one_entry_and_one_test_for_each_file() -> None:
    files = [module.name for module in pkgutil.iter_modules(bridge.actions.__path__)]
    assert sorted(files) == sorted(NAMES)
    assert all(entry.about for entry in actions.entries().values())
    for name in NAMES:
        importlib.import_module(f"tests.bridge.actions.test_{name}")


@pytest.mark.parametrize("name", NAMES)
def test_settings_refuse_unknown_keys(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_setting": 1}, actions.entries()[name].settings, dec_hook=decode_value)
