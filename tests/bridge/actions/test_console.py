from __future__ import annotations

import pytest

from bridge.actions import console
from bridge.delivery import Outbound
from bridge.model import ActionResult
from tests.bridge.actions.test_contract import CALL


def test_it_says_what_would_be_switched(capsys: pytest.CaptureFixture[str]) -> None:
    said = console.act(console.Settings(text="切换到备用通道"), CALL, Outbound())
    assert said == ActionResult("applied", "printed")
    assert capsys.readouterr().out == "failover pay-standby (token 7): 切换到备用通道\n"
