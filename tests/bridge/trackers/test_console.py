from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from bridge.delivery import Outbound
from bridge.trackers import console
from tests.bridge.trackers.contract import Stage, ticket


@contextmanager
def stage() -> Iterator[Stage]:
    screen = io.StringIO()
    with patch.object(console, "sys", SimpleNamespace(stdout=screen)):
        yield Stage(console.Settings(), lambda: [screen.getvalue()])


def test_one_line_for_each_change() -> None:
    with stage() as found:
        key = console.mirror(console.Settings(), ticket(title="a\nb"), "", Outbound()).key
        console.mirror(console.Settings(), ticket(status="resolved"), key, Outbound())
        lines = found.tickets()[0].splitlines()
    assert lines == [
        "ticket create: INC-42 [triggered] a b",
        "ticket update: INC-42 [resolved] [P1] 支付网关超时",
    ]
