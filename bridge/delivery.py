"""The one way out of opsbridge: every call to another system goes through here.

No redirects, no proxies or netrc from the environment, TLS verified, time and size bounded, addresses
checked. Nothing raised here carries a URL's path or query, a header or a body: they may hold secrets.
"""

from __future__ import annotations

import contextlib
import email.utils
import logging
import math
import smtplib
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3.exceptions

from bridge import egress
from bridge.egress import CONNECT_SECONDS
from bridge.text import one_line

TOTAL_SECONDS = 10.0
ANSWER_LIMIT = 64 * 1024
LONGEST_WAIT = 300.0

# urllib3 logs whole addresses, with the keys in them.
for _name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").setLevel(logging.CRITICAL)


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
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise DeliveryError(f"the answer is not JSON ({self.status})", retry=True, unknown=True) from None


@dataclass(frozen=True)
class Outbound:
    """Permission to call out: the internal networks that are open, and how long to wait."""

    allow: Sequence[egress.Network] = ()
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    _session: requests.Session = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        session = _Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = egress.CheckedAdapter(self.allow)
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
        outer = sys.exception()
        seconds = seconds or self.total_seconds
        host = _host_of(url)
        sent = {name: value.encode() for name, value in (headers or {}).items()}
        if json is not None:
            data, sent["Content-Type"] = msgspec.json.encode(json), b"application/json"
        try:
            "".join(sent).encode("ascii")
            request = requests.Request(method, url, headers=sent, data=data)
            prepared = self._session.prepare_request(request)
        except (requests.RequestException, ValueError):
            raise DeliveryError(f"{host}: the address or a header cannot be sent", retry=False) from None
        timeout = (min(self.connect_seconds, seconds), seconds)
        try:
            with (
                egress.within(seconds),
                self._session.send(prepared, timeout=timeout, allow_redirects=False, stream=True) as answer,
            ):
                return Answer(answer.status_code, answer.headers, _read(answer, limit))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            _explain(error, host, outer)

    def expect(self, method: str, url: str, **how: Any) -> Answer:
        """Like `call`, but anything other than 2xx is a DeliveryError that says if retrying helps."""
        answer = self.call(method, url, **how)
        if 200 <= answer.status < 300:
            return answer
        raise refused(answer, _host_of(url))

    def mail(self, message: EmailMessage, server: MailServer) -> str:
        """Hand one mail to an SMTP server; returns the server's own words of acceptance."""
        outer = sys.exception()
        handed_over = False
        try:
            # Mail servers greet slowly on purpose; twice the time is still less than a task's lease.
            with egress.within(2 * self.total_seconds), self._mail_session(server) as smtp:
                refused_by = _envelope(smtp, message)
                handed_over = True
                code, said = smtp.data(message.as_bytes(policy=message.policy.clone(linesep="\r\n")))
                if code != 250:
                    raise smtplib.SMTPDataError(code, said)
        except (OSError, ValueError) as error:
            _explain_mail(error, server.host, outer, unknown=handed_over)
        words = [one_line(said.decode("utf-8", "replace"), 200)]
        words += [f"{recipient} refused: {code}" for recipient, (code, _) in refused_by.items()]
        return "; ".join(words)

    @contextlib.contextmanager
    def _mail_session(self, server: MailServer) -> Iterator[smtplib.SMTP]:
        """A connection, encrypted as configured or not at all, and signed in."""
        tls = ssl.create_default_context()
        at_once = tls if server.security == "tls" else None
        smtp = egress.CheckedSMTP(server.host, self.allow, self.total_seconds, at_once)
        try:
            code, said = smtp.connect(server.host, server.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            smtp.ehlo_or_helo_if_needed()
            if server.security == "starttls":
                smtp.starttls(context=tls)
                smtp.ehlo_or_helo_if_needed()
            if server.username:
                smtp.login(server.username, server.password)
            yield smtp
            with contextlib.suppress(OSError):
                smtp.quit()
        finally:
            smtp.close()


class _Session(requests.Session):
    """A session that leaves redirects alone: even unfollowed ones would be read to their end."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        del resp
        return None


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
        except (ValueError, OverflowError):
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT) if not math.isnan(seconds) else None


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise DeliveryError("an address that cannot be read", retry=False) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DeliveryError(f"{parts.scheme or 'no'} scheme: only http and https go out", retry=False)
    return parts.hostname


def _read(answer: requests.Response, limit: int) -> bytes:
    body = bytearray()
    for part in answer.iter_content(16 * 1024):
        body += part
        if len(body) >= limit:
            break
    return bytes(body[:limit])


def _envelope(smtp: smtplib.SMTP, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
    """Name sender and recipients; those that were refused while at least one was taken."""
    code, said = smtp.mail(str(message["From"].addresses[0].addr_spec))
    if code != 250:
        raise smtplib.SMTPSenderRefused(code, said, "")
    recipients = [address.addr_spec for address in message["To"].addresses]
    answers = {recipient: smtp.rcpt(recipient) for recipient in recipients}
    refused_by = {recipient: said for recipient, said in answers.items() if said[0] not in (250, 251)}
    if len(refused_by) == len(answers):
        raise smtplib.SMTPRecipientsRefused(refused_by)
    return refused_by


def _explain_mail(error: Exception, host: str, outer: BaseException | None, *, unknown: bool) -> NoReturn:
    """Turn what a mail server said, or failed to say, into words without addresses or secrets."""
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 400:
        raise DeliveryError(
            f"{host} refused the mail: {error.smtp_code}", retry=error.smtp_code < 500
        ) from None
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({code for code, _ in error.recipients.values()})
        raise DeliveryError(
            f"{host} refused the recipients: {codes}", retry=any(code < 500 for code in codes)
        ) from None
    if isinstance(error, smtplib.SMTPNotSupportedError):
        raise DeliveryError(f"{host} does not offer STARTTLS or AUTH as configured", retry=False) from None
    if isinstance(error, UnicodeError):
        raise DeliveryError(f"{host}: user, password and addresses must be ASCII", retry=False) from None
    _explain(error, host, outer, sent=unknown)


def _explain(error: Exception, host: str, outer: BaseException | None, *, sent: bool = True) -> NoReturn:
    """Turn any transport failure into words without the URL in them. `outer` is none of its causes."""
    chain = _causes(error, outer)
    for cause in chain:
        if isinstance(cause, egress.NotAllowed):
            raise DeliveryError(str(cause), retry=False) from None
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise DeliveryError(
                f"{host}: certificate not trusted ({cause.verify_message})", retry=True
            ) from None
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        raise DeliveryError(f"{host}: no such host", retry=True) from None
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        raise DeliveryError(f"{host}: connection refused", retry=True) from None
    unknown = sent and not any(isinstance(cause, egress.NotReached) for cause in chain)
    slow = any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in chain)
    said = "no answer in time" if slow else "the connection broke" if unknown else "no connection"
    raise DeliveryError(f"{host}: {said}", retry=True, unknown=unknown) from None


def _causes(error: BaseException, outer: BaseException | None) -> list[BaseException]:
    """The error and everything it was made of: causes, contexts and exceptions among its arguments."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        step = waiting.pop(0)
        if isinstance(step, BaseException) and step is not outer and step not in found:
            found.append(step)
            waiting += [step.__cause__, step.__context__, getattr(step, "reason", None), *step.args]
    return found
