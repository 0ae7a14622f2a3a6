"""A signed JSON webhook to any address, after the Standard Webhooks specification.

Signature: base64 of HMAC-SHA256 over `id.timestamp.body`, header `webhook-signature: v1,…`
(standardwebhooks.com). A secret `whsec_…` is base64, any other is taken
as it is. The id stays the same over retries, so the receiver can drop duplicates.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime

import msgspec

from bridge.config.settings import ChannelSettings
from bridge.config.values import Secret
from bridge.delivery import Outbound
from bridge.model import Message, Receipt
from bridge.registry import channels
from bridge.text import storable


class Settings(ChannelSettings, frozen=True, kw_only=True):
    """Where to post; with a secret the body is signed, with a token it is sent as Bearer."""

    url: str
    secret: Secret | None = None
    token: Secret | None = None

    def __post_init__(self) -> None:
        if self.secret:
            _key(self.secret)


@channels.register("webhook", Settings)
def send(settings: Settings, message: Message, outbound: Outbound, now: datetime) -> Receipt:
    """A signed JSON webhook to any address."""
    body = msgspec.json.encode(
        {
            "id": message.id,
            "reason": message.reason,
            "priority": message.priority,
            "incident": message.incident,
            "title": storable(message.title),
            "lines": [storable(line) for line in message.lines],
            "links": [{"name": storable(name), "url": storable(url)} for name, url in message.links],
            "responder": message.responder,
            "language": message.language,
        }
    )
    stamp = str(int(now.timestamp()))
    headers = {"Content-Type": "application/json", "webhook-id": message.id, "webhook-timestamp": stamp}
    if settings.secret:
        signed = f"{message.id}.{stamp}.".encode() + body
        digest = hmac.new(_key(settings.secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token.reveal()}"
    answer = outbound.expect("POST", settings.url, data=body, headers=headers)
    return Receipt(id=message.id, said=str(answer.status))


def _key(secret: Secret) -> bytes:
    text = secret.reveal()
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError("after whsec_ a secret is base64") from None
