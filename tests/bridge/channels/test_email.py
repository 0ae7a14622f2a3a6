from __future__ import annotations

import html
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from bridge.channels import email
from bridge.config.values import Secret
from bridge.delivery import DeliveryError
from tests.bridge.channels.contract import NOW, Stage, message
from tests.servers.http import free_port
from tests.servers.loopback import CANARY, outbound, told
from tests.servers.smtp import PASSWORD, MailServer, Mood, certificate


def settings(port: int, **other: object) -> email.Settings:
    values = {"host": "127.0.0.1", "port": port, "to": ["li@acme.test"], "sender": "ops@bridge.test"}
    return email.Settings(**{**values, "security": "none", **other})  # type: ignore[arg-type]


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def markup(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


@contextmanager
def stage() -> Iterator[Stage]:
    with MailServer(users=True) as server, silent() as hanging:
        found = settings(server.port, username="bridge", password=Secret(PASSWORD))

        def mood(**values: object) -> None:
            server.mood = Mood(**values)  # type: ignore[arg-type]

        def hang() -> None:
            staged.settings = settings(hanging, username="bridge", password=Secret(PASSWORD))

        staged = Stage(
            found,
            lambda: [f"{mail['Subject']}\n{plain(mail)}".replace("<b>", "(b)") for mail in server.mails],
            {
                "refuses": lambda: mood(data="550 5.7.1 no"),
                "broken": lambda: mood(data="451 4.3.0 later"),
                "limited": lambda: mood(mail="421 4.7.0 too many"),
                "hangs": hang,
                "resets": lambda: mood(drop="data"),
            },
        )
        yield staged


@contextmanager
def silent(first: bytes = b"", drop: bytes = b"") -> Iterator[int]:
    """A port where somebody takes the call and says `first`, then nothing, or drop after drop."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not over.is_set():
                try:
                    link, _ = listener.accept()
                except TimeoutError:
                    continue
                with link:
                    try:
                        link.sendall(first)
                        while not over.wait(0.05):
                            link.sendall(drop)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join(5)


def send(found: email.Settings, **other: object) -> str:
    return email.send(found, message(**other), outbound(0.6), NOW).said


def refused(found: email.Settings) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        send(found)
    assert CANARY not in told(caught.value)
    return caught.value


def test_the_receipt_is_what_the_server_said() -> None:
    with MailServer() as server:
        assert send(settings(server.port)) == "queued as 4711"
    assert [(sender, to) for sender, to, _ in server.taken] == [("ops@bridge.test", ["li@acme.test"])]


def test_starttls_with_a_certificate_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = certificate(tmp_path)
    with MailServer(tls=context) as server:
        error = refused(settings(server.port, security="starttls"))
        assert "certificate not trusted" in str(error)
        assert not server.taken
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert send(settings(server.port, security="starttls"))
    assert len(server.taken) == 1


def test_tls_from_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with MailServer(at_once=context) as server:
        assert send(settings(server.port, security="tls"))
    assert len(server.taken) == 1


def test_without_starttls_nothing_is_sent_in_the_clear() -> None:
    with MailServer() as server:
        error = refused(settings(server.port, security="starttls", username="b", password=Secret(PASSWORD)))
        assert (error.retry, error.unknown) == (False, False)
        assert "STARTTLS" in str(error)
        assert not server.taken
        assert not server.logins


def test_signing_in() -> None:
    with MailServer(users=True) as server:
        send(settings(server.port, username="bridge", password=Secret(PASSWORD)))
        assert server.logins == ["bridge"]
        error = refused(settings(server.port, username="bridge", password=Secret("canary-wrong")))
        assert (error.retry, error.unknown) == (False, False)
        assert "535" in str(error)
        error = refused(settings(server.port, username="bridge", password=Secret("canary-密码")))
        assert (error.retry, error.unknown) == (False, False)
    assert len(server.taken) == 1


@pytest.mark.parametrize(
    ("mood", "retry"),
    [
        (Mood(mail="451 4.7.1 greylisted"), True),
        (Mood(mail="550 5.1.8 bad sender"), False),
        (Mood(recipients={"li@acme.test": "451 4.7.1 greylisted"}), True),
        (Mood(recipients={"li@acme.test": "550 5.1.1 no such user"}), False),
        (Mood(data="452 4.3.1 full"), True),
        (Mood(data="554 5.7.1 spam"), False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_4xx_passes_and_5xx_stays(mood: Mood, retry: bool) -> None:  # noqa: FBT001
    with MailServer(mood) as server:
        error = refused(settings(server.port))
    assert (error.retry, error.unknown) == (retry, False)
    assert not server.taken


def test_one_of_two_recipients_refused_is_sent_and_told() -> None:
    with MailServer(Mood(recipients={"gone@acme.test": "550 no such user"})) as server:
        said = send(settings(server.port, to=["li@acme.test", "gone@acme.test"]))
    assert server.taken[0][1] == ["li@acme.test"]
    assert said == "queued as 4711; gone@acme.test refused: 550"


def test_all_refused_but_one_only_for_now_is_tried_again() -> None:
    mood = Mood(recipients={"gone@acme.test": "550 no such user", "li@acme.test": "451 greylisted"})
    with MailServer(mood) as server:
        assert refused(settings(server.port, to=["li@acme.test", "gone@acme.test"])).retry


def test_a_connection_lost_after_the_mail_means_nobody_knows_and_before_it_nothing_happened() -> None:
    with MailServer(Mood(drop="data")) as server:
        assert refused(settings(server.port)).unknown
        assert len(server.taken) == 1
        server.mood = Mood(drop="mail")
        error = refused(settings(server.port))
        assert (error.retry, error.unknown) == (True, False)
    error = refused(settings(free_port()))
    assert (error.retry, error.unknown) == (True, False)


@pytest.mark.parametrize(("first", "drop"), [(b"", b""), (b"220-", b"x"), (b"220-a\r\n", b"220-b\r\n")])
def test_a_server_that_never_comes_to_an_end(first: bytes, drop: bytes) -> None:
    began = time.monotonic()
    with silent(first, drop) as port:
        error = refused(settings(port))
    assert (error.retry, error.unknown) == (True, False)
    assert time.monotonic() - began < 2


def test_a_flood_of_replies_is_cut() -> None:
    with silent(b"220-a\r\n" * 200_000) as port:
        assert refused(settings(port)).retry


@pytest.mark.parametrize(
    "title",
    [
        "P1 x\r\nBcc: evil@evil.test\r\n\r\nbody",
        "P1 x\nBcc: evil@evil.test",
        *(f"P1 a{char}Bcc: evil@evil.test" for char in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\ud800"),
        "P1 " + "x" * 2_000,
        "P1 " + "支付" * 1_000,
        "P1 =?utf-8?B?QmNjOiBldmlsQGV2aWwudGVzdA==?=",
        "",
        " ",
    ],
    ids=ascii,
)
def test_no_title_breaks_or_injects_a_header(title: str) -> None:
    with MailServer() as server:
        send(settings(server.port), title=title)
    (mail,) = server.mails
    assert server.taken[0][1] == ["li@acme.test"]
    assert mail["Bcc"] is None
    assert mail["To"] == "li@acme.test"
    assert [name for name, _ in mail.items()] == [
        *("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"),
        *("MIME-Version", "Content-Type"),
    ]
    assert len(str(mail["Subject"])) <= 180
    head = server.taken[0][2].partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 998
    assert head.isascii()


@pytest.mark.parametrize(
    "line",
    [".", "..", ".\r\n.\r\nMAIL FROM:<evil@evil.test>", "\r.\r", "From me to you", "x" * 100_000, "a\nb"],
    ids=lambda line: ascii(line[:20]),
)
def test_no_line_of_the_body_is_lost_or_read_as_smtp(line: str) -> None:
    with MailServer() as server:
        send(settings(server.port), lines=(line, "the last line"))
    (mail,) = server.mails
    text = plain(mail)
    assert "the last line" in text
    assert line.replace("\r", "\u240d") in text
    assert max(map(len, server.taken[0][2].split(b"\r\n"))) <= 998


def test_text_and_html_say_the_same() -> None:
    lines = ("<b>bold</b> & <script>alert(1)</script>", "第二行 \u202e x", '" onmouseover="alert(1)')
    with MailServer() as server:
        send(settings(server.port), lines=lines)
    (mail,) = server.mails
    assert mail.get_content_type() == "multipart/alternative"
    source = markup(mail)
    tags = {tag.split()[0] for tag in re.findall(r"<(/?[a-z][^>]*)>", source)}
    assert tags <= {"html", "body", "h2", "p", "a", "/html", "/body", "/h2", "/p", "/a"}
    assert re.findall(r'<a href="([^"]*)">', source) == [
        "https://bridge.test/incidents/42",
        "https://runbooks.test/pay(1)?a=b",
    ]
    said = html.unescape(re.sub(r"<a href=\"([^\"]*)\">([^<]*)</a>", r"\2: \1", source))
    said = " ".join(re.sub(r"</?(html|body|h2|p)[^>]*>| · (?=手册)", " ", said, flags=re.ASCII).split())
    assert said == " ".join(plain(mail).split())


def test_one_thread_for_each_incident_and_one_id_for_each_message() -> None:
    with MailServer() as server:
        send(settings(server.port))
        send(settings(server.port))
        send(settings(server.port), id="opsbridge-8", reason="resolved")
        send(settings(server.port), id="opsbridge-9", incident="")
    first, again, resolved, alone = server.mails
    assert first["Message-ID"] == again["Message-ID"] == "<opsbridge-7@bridge.test>"
    assert resolved["Message-ID"] == "<opsbridge-8@bridge.test>"
    assert first["References"] == resolved["References"] == resolved["In-Reply-To"] == "<INC-42@bridge.test>"
    assert alone["References"] is None
    assert first["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "@acme.test",
        "li@",
        "li@acme.test\r\nRCPT TO:<evil@evil.test>",
        "li@acme.test, evil@evil.test",
        "a@b>,<c@d",
        "Li <li@acme.test>",
        "李@acme.test",
        "li@例子.test",
        "a" * 320 + "@acme.test",
        "li@acme.test ",
        "li\x00@acme.test",
    ],
    ids=ascii,
)
def test_a_wrong_address_is_found_when_the_configuration_is_read(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        settings(25, to=["li@acme.test", address])
    with pytest.raises(ValueError, match="is not an address"):
        settings(25, sender=address)


def test_nobody_to_write_to_is_found_when_the_configuration_is_read() -> None:
    with pytest.raises(ValueError, match="name an address"):
        settings(25, to=[])


def test_a_quoted_local_part_is_an_address() -> None:
    with MailServer() as server:
        send(settings(server.port, to=["first.last+ops@acme.test", '"a b"@acme.test']))
    assert server.taken[0][1] == ["first.last+ops@acme.test", '"a b"@acme.test']
