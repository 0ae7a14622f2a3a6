"""E-mail by SMTP: text and HTML, one thread for each incident, headers that no label can break."""

from __future__ import annotations

import base64
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from typing import Literal

from markupsafe import Markup

from bridge.config.settings import ChannelSettings
from bridge.config.values import Secret
from bridge.delivery import MailServer, Outbound
from bridge.model import Message, Receipt
from bridge.registry import channels
from bridge.text import one_line, visible

LONGEST_ADDRESS = 254
# RFC 2047: a line with encoded words has at most 76 characters. `Subject: `, 12 of markup and 52 of base64,
# which say 39 bytes, are 73.
_BYTES_IN_A_WORD = 39
_LONGEST_PLAIN_LINE = 78  # RFC 5322


class Settings(ChannelSettings, frozen=True, kw_only=True, rename={"sender": "from"}):
    """The server mail is handed to, and who gets it."""

    host: str
    to: list[str]
    sender: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: Secret | None = None

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("nobody would get the mail: name an address")
        for address in (self.sender, *self.to):
            _check(address)


@channels.register("email", Settings)
def send(settings: Settings, message: Message, outbound: Outbound, now: datetime) -> Receipt:
    """E-mail by SMTP."""
    server = MailServer(
        settings.host,
        settings.port,
        settings.security,
        settings.username,
        settings.password.reveal() if settings.password else "",
    )
    said = outbound.mail(compose(settings, message, now), server)
    return Receipt(id=message.id, said=said)


def _check(address: str) -> None:
    """Refuse what could not be sent, or would be read as more than one address."""
    try:
        parsed = Address(addr_spec=address)
    except (ValueError, IndexError, HeaderParseError):
        parsed = Address()
    plain = address.isascii() and address.isprintable() and len(address) <= LONGEST_ADDRESS
    if not (plain and parsed.addr_spec == address and parsed.username and parsed.domain):
        raise ValueError(f"{one_line(address, 60)!r} is not an address such as ops@acme.example")


def compose(settings: Settings, message: Message, now: datetime) -> EmailMessage:
    """The mail. `EmailMessage` refuses line breaks in headers, so they are cleaned before."""
    domain = settings.sender.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(display_name="opsbridge", addr_spec=settings.sender)
    mail["To"] = [Address(addr_spec=address) for address in settings.to]
    mail["Subject"] = _Subject(one_line(message.title, 180))
    mail["Date"] = now
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    if message.incident:
        thread = f"<{message.incident}@{domain}>"
        mail["In-Reply-To"] = thread
        mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    lines = [visible(line) for line in (message.title, "", *message.lines)]
    links = [visible(f"{name}: {url}") for name, url in message.links]
    mail.set_content("\n".join([*lines, "", *links]) + "\n", cte="base64")
    mail.add_alternative(str(_html(message)), subtype="html", cte="base64")
    return mail


class _Subject(str):
    """A subject that is read exactly as it was written.

    The parser of the standard library decodes what only looks like an encoded word, and Python 3.11
    leaves pieces of encoded words readable where it folds. It asks a header with a name to fold itself.
    """

    name = "Subject"
    __slots__ = ()

    def fold(self, *, policy: EmailPolicy) -> str:
        """The header as it travels."""
        return policy.linesep.join(_folded(self)) + policy.linesep


def _folded(subject: str) -> list[str]:
    """The lines of the header: as it is where that cannot be misread, else words of base64."""
    line = f"Subject: {subject}"
    if subject.isascii() and "=?" not in subject and len(line) <= _LONGEST_PLAIN_LINE:
        return [line]
    words = [b""]
    for char in subject:
        if len(words[-1]) + len(char.encode()) > _BYTES_IN_A_WORD:
            words.append(b"")
        words[-1] += char.encode()
    encoded = [f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in words]
    return [f"Subject: {encoded[0]}", *(f" {word}" for word in encoded[1:])]


def _html(message: Message) -> Markup:
    body = Markup("").join(Markup("<p>{}</p>").format(visible(line)) for line in message.lines if line)
    links = Markup(" · ").join(
        Markup('<a href="{}">{}</a>').format(visible(url), name) for name, url in message.links
    )
    page = Markup(
        '<html lang="{}"><body style="font-family:sans-serif"><h2 style="font-size:18px">{}</h2>'
        "{}<p>{}</p></body></html>"
    )
    return page.format(message.language, visible(message.title), body, links)
