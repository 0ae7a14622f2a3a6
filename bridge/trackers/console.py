"""Prints tickets to standard output: for development and demos."""

from __future__ import annotations

import sys

from bridge.config.settings import Settings as Block
from bridge.delivery import Outbound
from bridge.model import Ticket
from bridge.registry import trackers
from bridge.text import one_line
from bridge.trackers import Mirrored


class Settings(Block, frozen=True):
    """Nothing to set."""


@trackers.register("console", Settings)
def mirror(settings: Settings, ticket: Ticket, known: str, outbound: Outbound) -> Mirrored:
    """Prints the ticket to standard output."""
    del settings, outbound
    verb = "update" if known else "create"
    sys.stdout.write(one_line(f"ticket {verb}: {ticket.incident} [{ticket.status}] {ticket.title}") + "\n")
    sys.stdout.flush()
    return Mirrored(known or f"CONSOLE-{ticket.incident}")
