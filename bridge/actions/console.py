"""Prints what would be switched: for development, and for plans a person carries out."""

from __future__ import annotations

import sys

from bridge.config.settings import Settings as Block
from bridge.delivery import Outbound
from bridge.model import ActionCall, ActionResult
from bridge.registry import actions


class Settings(Block, frozen=True):
    """What the line says."""

    text: str = "switch to the standby"


@actions.register("console", Settings)
def act(settings: Settings, call: ActionCall, outbound: Outbound) -> ActionResult:
    """Prints what would be switched."""
    del outbound
    sys.stdout.write(f"failover {call.plan} (token {call.token}): {settings.text}\n")
    sys.stdout.flush()
    return ActionResult("applied", "printed")
