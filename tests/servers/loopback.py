"""Calling out in tests: only to loopback, and never for long. And a look for secrets where none may be."""

from __future__ import annotations

import ipaddress
import traceback

from bridge.delivery import Outbound

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
CANARY = "canary"


def outbound(seconds: float = 1.0) -> Outbound:
    return Outbound(allow=LOOPBACK, connect_seconds=0.5, total_seconds=seconds)


def told(error: BaseException) -> str:
    """Everything a log would show of an exception and its causes, but for the lines of source."""
    shown = [*traceback.format_exception_only(error), repr(error), repr(vars(error))]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join([*shown, told(cause) if cause else ""])
