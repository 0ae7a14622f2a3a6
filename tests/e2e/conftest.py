"""The people at the other end: a WeCom robot that judges as the real one, and an SMTP server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.servers.http import Server
from tests.servers.smtp import MailServer
from tests.servers.wecom import Robot


@dataclass(frozen=True)
class Receivers:
    """What arrived where."""

    robot: Robot
    mail: MailServer
    url: str

    @property
    def chats(self) -> list[str]:
        """What the WeCom group was shown."""
        return list(self.robot.shown)


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Both receivers on loopback."""
    robot = Robot()
    with Server(robot) as http, MailServer() as mail:
        yield Receivers(robot, mail, http.url)
