"""The one way out of opsbridge: every call to another system goes through here.

No redirects, no proxies or netrc from the environment, TLS verified, time and size bounded, addresses
checked. Nothing raised here carries a URL's path or query, a header or a body: they may hold secrets.
"""

from __future__ import annotations

import email.utils
import smtplib
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from bridge import egress

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
ANSWER_LIMIT = 64 * 1024
LONGEST_WAIT = 300.0


class DeliveryError(Exception):
    """A call did not succeed.

    `retry`: whether trying again may help. `after`: seconds the other side asked us to wait.
    `unknown`: the call may have had its effect although we saw no answer.
    """

    def __init__(
        self, reason: str, *, retry: bool, after: float | None = None, unknown: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry = retry
        self.after = after
        self.unknown = unknown


@dataclass(frozen=True)
class Answer:
    """What the other side said; the body is cut at the limit of the call."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises DeliveryError when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise DeliveryError(f"the answer is not JSON ({self.status})", retry=True) from error


@dataclass(frozen=True)
class Outbound:
    """Permission to call out: the internal networks that are open, and how long to wait."""

    allow: Sequence[egress.Network] = ()
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    _session: requests.Session = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        session = requests.Session()
        session.trust_env = False
        adapter = _CheckedAdapter(self.allow)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        object.__setattr__(self, "_session", session)

    def call(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        limit: int = ANSWER_LIMIT,
    ) -> Answer:
        """One HTTP call; any status is an answer, only transport failures raise DeliveryError."""
        seconds = seconds or self.total_seconds
        host = _host_of(url)
        sent = dict(headers or {})
        if json is not None:
            data, sent["Content-Type"] = msgspec.json.encode(json), "application/json"
        until = time.monotonic() + seconds
        try:
            with self._session.request(
                method,
                url,
                data=data,
                headers=sent,
                timeout=(min(self.connect_seconds, seconds), seconds),
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = _read(answer, until, limit, host)
                return Answer(answer.status_code, answer.headers, body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            _explain(error, host)

    def expect(self, method: str, url: str, **how: Any) -> Answer:
        """Like `call`, but anything other than 2xx is a DeliveryError that says if retrying helps."""
        answer = self.call(method, url, **how)
        if 200 <= answer.status < 300:
            return answer
        raise refused(answer, _host_of(url))

    def mail(self, message: EmailMessage, server: MailServer) -> str:
        """Hand one mail to an SMTP server; returns the server's own words of acceptance."""
        try:
            with _CheckedSMTP(server, self.allow, self.total_seconds) as smtp:
                return smtp.hand_over(message)
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(
                f"{server.host} refused the mail: {error.smtp_code}", retry=error.smtp_code < 500
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise DeliveryError(
                f"{server.host} refused the recipients: {codes}", retry=all(c < 500 for c in codes)
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            _explain(error, server.host)


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in."""

    host: str
    port: int = 587
    security: str = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)


def refused(answer: Answer, host: str) -> DeliveryError:
    """What a status that is not success means: 408, 425, 429 and 5xx may pass, the rest will not."""
    retry = answer.status in (408, 425, 429) or answer.status >= 500
    return DeliveryError(
        f"{host} answered {answer.status}",
        retry=retry,
        after=retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)) if retry else None,
    )


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds a Retry-After header asks for, between 0 and five minutes; None when it is unreadable."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            until = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DeliveryError(f"{parts.scheme or 'no'} scheme: only http and https go out", retry=False)
    return parts.hostname


def _read(answer: requests.Response, until: float, limit: int, host: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_content(16 * 1024):
        parts.append(part)
        size += len(part)
        if size >= limit:
            break
        if time.monotonic() > until:
            raise DeliveryError(f"{host} was too slow to finish its answer", retry=True, unknown=True)
    return b"".join(parts)[:limit]


def _explain(error: Exception, host: str) -> NoReturn:
    """Turn any transport failure into words without the URL in them."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        inner = getattr(step, "reason", None) or (step.args[0] if step.args else None)
        step = step.__cause__ or (inner if isinstance(inner, BaseException) else step.__context__)
    for cause in chain:
        if isinstance(cause, DeliveryError):
            raise cause
        if isinstance(cause, egress.NotAllowed):
            raise DeliveryError(str(cause), retry=False) from None
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise DeliveryError(
                f"{host}: certificate not trusted ({cause.verify_message})", retry=True
            ) from None
    names = {type(cause).__name__ for cause in chain}
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        raise DeliveryError(f"{host}: no such host", retry=True) from None
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        raise DeliveryError(f"{host}: connection refused", retry=True) from None
    if "ConnectTimeout" in names or "ConnectTimeoutError" in names:
        raise DeliveryError(f"{host}: nobody answered in time", retry=True) from None
    slow = any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in chain)
    said = "no answer in time" if slow else "the connection broke"
    raise DeliveryError(f"{host}: {said}", retry=True, unknown=True) from None


class _CheckedAdapter(HTTPAdapter):
    """Requests' adapter whose connections are opened by `egress.connect`."""

    def __init__(self, allow: Sequence[egress.Network]) -> None:
        self._allow = allow
        super().__init__(max_retries=0, pool_maxsize=16)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        allow = self._allow

        def opened(connection: urllib3.connection.HTTPConnection) -> socket.socket:
            timeout = connection.timeout
            return egress.connect(
                connection.host,
                connection.port,
                allow,
                timeout if isinstance(timeout, int | float) else CONNECT_SECONDS,
            )

        class Plain(urllib3.connection.HTTPConnection):
            _new_conn = opened

        class Tls(urllib3.connection.HTTPSConnection):
            _new_conn = opened

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Tls

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}


class _CheckedSMTP:
    """An SMTP session over a checked connection, encrypted as configured or not at all."""

    def __init__(self, server: MailServer, allow: Sequence[egress.Network], seconds: float) -> None:
        tls = ssl.create_default_context()

        class Client(smtplib.SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                link = egress.connect(host, port, allow, timeout)
                return tls.wrap_socket(link, server_hostname=host) if server.security == "tls" else link

        self._client = Client(timeout=seconds)
        self._client._host = server.host  # type: ignore[attr-defined]  # starttls names the peer
        self._server = server
        self._tls = tls

    def __enter__(self) -> _CheckedSMTP:
        code, _ = self._client.connect(self._server.host, self._server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, b"")
        self._client.ehlo_or_helo_if_needed()
        if self._server.security == "starttls":
            self._client.starttls(context=self._tls)
        if self._server.username:
            self._client.login(self._server.username, self._server.password)
        return self

    def hand_over(self, message: EmailMessage) -> str:
        self._client.mail(str(message["From"].addresses[0].addr_spec))
        refused_by: dict[str, tuple[int, bytes]] = {}
        recipients = [address.addr_spec for address in message["To"].addresses]
        for recipient in recipients:
            code, said = self._client.rcpt(recipient)
            if code not in (250, 251):
                refused_by[recipient] = (code, said)
        if len(refused_by) == len(recipients):
            raise smtplib.SMTPRecipientsRefused(refused_by)
        code, said = self._client.data(message.as_bytes(policy=message.policy.clone(linesep="\r\n")))
        if code != 250:
            raise smtplib.SMTPDataError(code, said)
        return said.decode("utf-8", "replace")[:200]

    def __exit__(self, *_: object) -> None:
        try:
            self._client.quit()
        except (smtplib.SMTPException, OSError):
            self._client.close()
