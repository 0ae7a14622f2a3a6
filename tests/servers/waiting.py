"""Waiting for something to happen outside, with a limit and a reason that can be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from bridge.demo.program import Program

T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str, seconds: float, *programs: Program) -> T:
    """Look again and again until the answer is true; the programs must live on meanwhile."""
    until = time.monotonic() + seconds
    while True:
        for program in programs:
            program.check()
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            logs = "\n".join(f"{program.name}'s log ends:\n{program.log_tail()}" for program in programs)
            raise AssertionError(f"waited {seconds:g} s for {what}; the last look: {found!r}\n{logs}")
        time.sleep(0.1)
