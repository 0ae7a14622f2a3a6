"""Decides every switch order: is it authentic, new, and the latest? And keeps the ledger."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from bridge.demo.traffic import CHANNELS, Channel

HANG_SECONDS: Final = 300.0


class Trouble(StrEnum):
    """How the switch endpoint can misbehave."""

    LOSE_ANSWER = "lose_answer"
    LIE = "lie"
    REFUSE = "refuse"
    HANG = "hang"


class Verdict(StrEnum):
    """What became of an order."""

    SWITCHED = "switched"
    ALREADY = "already"
    REPLAYED = "replayed"
    LIED = "lied"
    REFUSED = "refused"
    HUNG = "hung"
    STALE = "stale"
    UNSIGNED = "unsigned"
    INVALID = "invalid"


FINAL: Final = (Verdict.SWITCHED, Verdict.ALREADY, Verdict.LIED)
"""What is answered again when the same key comes back; anything else may be tried again."""


@dataclass(frozen=True, slots=True)
class SwitchOrder:
    """POST /switch as it came in."""

    body: bytes
    signature: str | None = None
    key: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What happened and what is answered; with `answered` False the caller hears nothing."""

    verdict: Verdict
    status: int
    reply: Mapping[str, object]
    answered: bool = True


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One order, the verdict, and the state after it."""

    at: datetime
    verdict: Verdict
    status: int
    answered: bool
    active: Channel
    switches: int
    body: str
    key: str | None
    token: str | None


class _Wish(msgspec.Struct, frozen=True):
    active: Channel


def sign(secret: bytes, body: bytes) -> str:
    """The value of X-Bridge-Signature for this body."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


class Switchboard:
    """Holds the active channel; `route` is called, under the lock, for every real switch."""

    def __init__(
        self, route: Callable[[Channel], None], secret: bytes | None, ledger_file: Path | None
    ) -> None:
        self._route = route
        self._secret = secret
        self._ledger_file = ledger_file
        self._lock = threading.Lock()
        self._active: Channel = "primary"
        self._token = 0
        self._switches = 0
        self._rulings: dict[str, tuple[bytes, Ruling]] = {}
        self._ledger: list[LedgerEntry] = []
        self._trouble: Trouble | None = None
        self._times_left: int | None = None
        self._calm = threading.Event()

    def state(self) -> dict[str, object]:
        """Give active channel, highest token seen and number of switches."""
        with self._lock:
            return {"active": self._active, "token": self._token, "switches": self._switches}

    @property
    def active(self) -> Channel:
        """The channel that payments really go over."""
        return self._active

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Every order so far."""
        with self._lock:
            return tuple(self._ledger)

    def trouble(self, trouble: Trouble | None, times: int | None = None) -> None:
        """Misbehave for so many authentic orders, or until told otherwise; None ends it."""
        with self._lock:
            self._trouble, self._times_left = trouble, times
            self._calm.set()
            self._calm = threading.Event()

    def order(self, order: SwitchOrder) -> Ruling:
        """Rule on an order, obey it if need be, and write it down."""
        with self._lock:
            ruling = self._rule(order)
            self._record(order, ruling)
            calm = self._calm
        if ruling.verdict is Verdict.HUNG:
            calm.wait(HANG_SECONDS)
        return ruling

    def _rule(self, order: SwitchOrder) -> Ruling:
        if not self._authentic(order):
            return Ruling(Verdict.UNSIGNED, 401, {"error": "wrong signature"})
        trouble = self._next_trouble()
        if trouble is Trouble.REFUSE:
            return Ruling(Verdict.REFUSED, 503, {"error": "refused"})
        if trouble is Trouble.HANG:
            return Ruling(Verdict.HUNG, 504, {"error": "hung"}, answered=False)
        try:
            channel = msgspec.json.decode(order.body, type=_Wish).active
            token = _token(order.token)
        except ValueError as error:
            channels = ", ".join(CHANNELS)
            return Ruling(Verdict.INVALID, 422, {"error": f"{error} (channels: {channels})"})
        ruling = self._earlier(order) or self._switch(channel, token, trouble)
        if order.key is not None and ruling.verdict in FINAL:
            self._rulings[order.key] = (order.body, ruling)
        if trouble is Trouble.LOSE_ANSWER:
            return replace(ruling, answered=False)
        return ruling

    def _authentic(self, order: SwitchOrder) -> bool:
        if self._secret is None:
            return True
        expected = sign(self._secret, order.body)
        return hmac.compare_digest(expected.encode(), (order.signature or "").encode())

    def _next_trouble(self) -> Trouble | None:
        if self._times_left is None:
            return self._trouble
        if self._times_left <= 0:
            return None
        self._times_left -= 1
        return self._trouble

    def _earlier(self, order: SwitchOrder) -> Ruling | None:
        if order.key is None or order.key not in self._rulings:
            return None
        body, ruling = self._rulings[order.key]
        if body != order.body:
            return Ruling(Verdict.INVALID, 422, {"error": "key was used with another body"})
        return replace(ruling, verdict=Verdict.REPLAYED)

    def _switch(self, channel: Channel, token: int | None, trouble: Trouble | None) -> Ruling:
        if token is not None:
            if token <= self._token:
                return Ruling(Verdict.STALE, 409, {"error": "stale token"})
            self._token = token
        changes = channel != self._active
        count = self._switches + changes
        reply = {"active": channel, "token": self._token, "switches": count, "changed": changes}
        if trouble is Trouble.LIE:
            return Ruling(Verdict.LIED, 200, reply)
        if changes:
            self._route(channel)
            self._active, self._switches = channel, count
        return Ruling(Verdict.SWITCHED if changes else Verdict.ALREADY, 200, reply)

    def _record(self, order: SwitchOrder, ruling: Ruling) -> None:
        entry = LedgerEntry(
            at=datetime.now(UTC),
            verdict=ruling.verdict,
            status=ruling.status,
            answered=ruling.answered,
            active=self._active,
            switches=self._switches,
            body=order.body.decode("utf-8", "replace"),
            key=order.key,
            token=order.token,
        )
        self._ledger.append(entry)
        if self._ledger_file is not None:
            with self._ledger_file.open("ab") as ledger:
                ledger.write(msgspec.json.encode(entry) + b"\n")


def _token(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise ValueError("Fencing-Token is not a whole number")
    return int(text)
