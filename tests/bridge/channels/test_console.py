from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from bridge.channels import console
from bridge.delivery import Outbound
from tests.bridge.channels.contract import NOW, Stage, message


@contextmanager
def stage() -> Iterator[Stage]:
    screen = io.StringIO()
    with patch.object(console, "sys", SimpleNamespace(stdout=screen)):
        yield Stage(console.Settings(), lambda: [screen.getvalue().replace("<b>", "(b)")])


def test_text_cannot_draw_a_second_message() -> None:
    with stage() as found:
        forged = "x\n[09:00:00] to han: P1 all is well\r[09:00:00] again"
        console.send(console.Settings(), message(title=forged, lines=(forged,)), Outbound(), NOW)
        first, *rest = found.shown()[0].splitlines()
    assert first == "[08:00:00] to li: x"
    assert all(line.startswith("    ") for line in rest)
