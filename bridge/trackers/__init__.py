"""Where tickets live.

The contract of an entry: `mirror(settings, ticket, known, outbound) -> Mirrored`. It makes the tracker say
what `ticket` says, creating once: `known` is the ticket's key when we have it, else the entry looks the
incident up by our own mark before it creates, because the answer to an earlier creation may have been lost.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mirrored:
    """The ticket's key in the tracker and where a person can open it."""

    key: str
    url: str = ""
