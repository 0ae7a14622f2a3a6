"""One HTTP call to the system that switches.

Each call carries `Idempotency-Key` (the run), `Fencing-Token` (strictly increasing per plan: the target
may refuse older ones) and, with a secret, `X-Bridge-Signature: sha256=<hex HMAC of the body>`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Literal

import msgspec

from bridge.config.settings import Settings as Block
from bridge.config.values import Duration, Secret
from bridge.delivery import DeliveryError, Outbound
from bridge.model import ActionCall, ActionResult
from bridge.registry import actions
from bridge.text import one_line


class Settings(Block, frozen=True):
    """What is called; any 2xx is taken as applied, 4xx as refused, everything else as unknown."""

    url: str
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    body: dict[str, Any] = msgspec.field(default_factory=dict)
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    secret: Secret | None = None
    timeout: Duration = Duration(seconds=5)


@actions.register("http", Settings)
def act(settings: Settings, call: ActionCall, outbound: Outbound) -> ActionResult:
    """One signed HTTP call to the system that switches."""
    if call.dry_run:
        return ActionResult("refused", "dry run: nothing was called")
    body = msgspec.json.encode(settings.body)
    headers = {
        **{name: value.reveal() for name, value in settings.headers.items()},
        "Content-Type": "application/json",
        "Idempotency-Key": call.run,
        "Fencing-Token": str(call.token),
    }
    if settings.secret:
        digest = hmac.new(settings.secret.reveal().encode(), body, hashlib.sha256).hexdigest()
        headers["X-Bridge-Signature"] = f"sha256={digest}"
    seconds = settings.timeout.total_seconds()
    try:
        answer = outbound.call(settings.method, settings.url, data=body, headers=headers, seconds=seconds)
    except DeliveryError as error:
        return ActionResult("unknown" if error.unknown else "refused", str(error))
    said = f"{answer.status} {_told(settings, answer.body)}".strip()
    if 200 <= answer.status < 300:
        return ActionResult("applied", said)
    return ActionResult("refused" if 400 <= answer.status < 500 and answer.status != 408 else "unknown", said)


def _told(settings: Settings, body: bytes) -> str:
    """What the target said, for the timeline; some echo what they were sent, secrets and all."""
    text = body.decode("utf-8", "replace")
    for secret in (*settings.headers.values(), *([settings.secret] if settings.secret else ())):
        text = text.replace(secret.reveal(), "***")
    return one_line(text, 200)
