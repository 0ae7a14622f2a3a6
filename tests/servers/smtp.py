"""A real SMTP server (aiosmtpd) with the moods of real ones."""

from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

PASSWORD = "canary-mail-password"
logging.getLogger("mail.log").propagate = False  # the server knows the password, its log is not ours


@dataclass
class Mood:
    """What the server answers where it is asked; empty means it agrees."""

    mail: str = ""
    recipients: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    drop: str = ""


class MailServer:
    """Keeps what it took: the envelope and the bytes of each mail."""

    def __init__(
        self,
        mood: Mood | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        at_once: ssl.SSLContext | None = None,
        users: bool = False,
    ) -> None:
        self.mood = mood or Mood()
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.logins: list[str] = []
        options: dict[str, Any] = {"tls_context": tls} if tls else {}
        if users:
            options |= {"authenticator": self._authenticate, "auth_require_tls": False}
        self._users = users
        self._loop = asyncio.new_event_loop()
        self._at_once = at_once
        self._options = options
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> MailServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(
            lambda: SMTP(self, hostname="mail.test", loop=self._loop, **self._options),
            *("127.0.0.1", 0),
            ssl=self._at_once,
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=policy.default) for _, _, raw in self.taken]

    async def handle_MAIL(  # noqa: N802  # the names aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self._users and not session.authenticated:
            return "530 5.7.0 authentication required"
        if self.mood.drop == "mail":
            server.transport.close()
        if not self.mood.mail:
            envelope.mail_from = address
        return self.mood.mail or "250 fine"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        refusal = self.mood.recipients.get(address, "")
        if not refusal:
            envelope.rcpt_tos.append(address)
        return refusal or "250 fine"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if not self.mood.data:
            self.taken.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        if self.mood.drop == "data":
            server.transport.abort()
        return self.mood.data or "250 queued as 4711"

    def _authenticate(self, server: Any, session: Any, envelope: Any, kind: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself, and a server context that shows it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
