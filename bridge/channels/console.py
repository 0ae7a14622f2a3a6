"""Prints messages to standard output: for development, demos and the first five minutes."""

from __future__ import annotations

import sys
from datetime import datetime

from bridge.config.settings import ChannelSettings
from bridge.delivery import Outbound
from bridge.model import Message, Receipt
from bridge.registry import channels
from bridge.text import visible


class Settings(ChannelSettings, frozen=True, kw_only=True):
    """Nothing to set."""


@channels.register("console", Settings)
def send(settings: Settings, message: Message, outbound: Outbound, now: datetime) -> Receipt:
    """Prints the message to standard output."""
    del settings, outbound
    lines = [f"[{now:%H:%M:%S}] to {message.responder}: {message.title}", *message.lines]
    lines += [f"{name}: {url}" for name, url in message.links]
    lines = [part for line in lines for part in visible(line).split("\n")]
    sys.stdout.write("\n    ".join(lines) + "\n")
    sys.stdout.flush()
    return Receipt(id=message.id, said="printed")
