"""A hostile text in the messages of every channel: it is delivered, whole and harmless, in each language."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select

from bridge import messages, paging
from bridge.channels import console, email, webhook, wecom
from bridge.model import Message
from bridge.store.outbox import Task
from bridge.store.schema import tasks
from bridge.text import one_line, storable
from bridge.worker import Worker
from tests.hostile.markup import UNSEEN, Page
from tests.hostile.site import Site
from tests.hostile.stories import Stored, Teller, messages_queued, stored
from tests.hostile.texts import TEXTS
from tests.servers.http import Server
from tests.servers.loopback import outbound
from tests.servers.smtp import MailServer

REASONS = tuple(reason for reason in messages.REASONS if reason != "test")
SENDER, RECIPIENT = "ops@bridge.test", "li@acme.test"
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"]
HEADERS += ["MIME-Version", "Content-Type"]
# Everything with a meaning in the robot's markdown, once our own is taken away.
WECOM_OURS = re.compile(r"</?font[^>]*>|\*\*.*?\*\*|\n\[[^\]]*\]\([^)\s]*\)", re.DOTALL)
WECOM_MARKUP = set("<>[]`*#@")


def mailbox(port: int = 1) -> email.Settings:
    return email.Settings(host="127.0.0.1", port=port, to=[RECIPIENT], sender=SENDER, security="none")


@dataclass
class Stage:
    """A site where every hostile text was told, and what people are told of it."""

    site: Site
    hostile: dict[str, list[Stored]] = field(default_factory=dict)
    _composed: dict[int, list[Message]] = field(default_factory=dict)

    def messages(self, each: Stored, reasons: Sequence[str] = REASONS) -> list[Message]:
        """The messages there are about an incident, as the worker composes them."""
        number = each.incident.number
        if number not in self._composed:
            self._composed[number] = list(self._compose(each))
        return [message for message in self._composed[number] if message.reason in reasons]

    def _compose(self, each: Stored) -> Iterator[Message]:
        task = next(row for row in messages_queued(self.site, each.incident.number) if row.kind == "page")
        names = {name: getattr(task, name) for name in Task.__dataclass_fields__}
        for language in ("en", "zh"):
            data = {**task.data, "language": language}
            story = paging._story(self.site.bridge, Task(**{**names, "data": data}))
            for reason in REASONS:
                yield messages.compose(
                    replace(story, failovers=[f"standby: {each.case.text}", *story.failovers]),
                    reason,
                    language,
                    url="https://bridge.test",
                    id=f"opsbridge-{task.id}",
                    responder="li",
                    now=self.site.clock(),
                )


@pytest.fixture(scope="module")
def stage(light_calm_site: Site) -> Stage:
    teller = Teller(light_calm_site)
    found = Stage(light_calm_site)
    for kind, texts in TEXTS.items():
        cases = teller.cases(texts)
        found.hostile[kind] = stored(light_calm_site, teller.tell(cases), cases)
    return found


@pytest.mark.parametrize("kind", TEXTS)
def test_a_message_is_one_line_of_title_and_only_web_addresses(stage: Stage, kind: str) -> None:
    for each in stage.hostile[kind]:
        for message in stage.messages(each):
            assert message.title.startswith("P1")
            assert "\n" not in message.title
            for line in (message.title, *message.lines):
                assert not UNSEEN.search(line), ascii(line)
            assert message.links[0][1] == f"https://bridge.test/incidents/{each.incident.number}"
            for _, url in message.links[1:]:
                parts = urlsplit(url)
                assert parts.scheme in ("http", "https")
                assert "@" not in parts.netloc, "a password, or a host in disguise"
                assert "\\" not in parts.netloc
                assert parts.netloc.isascii(), "a host that looks like another"


@pytest.mark.parametrize("kind", TEXTS)
def test_a_mail_has_its_headers_and_one_recipient_and_says_the_same_twice(stage: Stage, kind: str) -> None:
    for each in stage.hostile[kind]:
        for message in stage.messages(each, ("page", "failover")):
            raw = email.compose(mailbox(), message, stage.site.clock()).as_bytes()
            mail = message_from_bytes(raw, policy=policy.default)
            assert [name for name, _ in mail.items()] == HEADERS
            assert (str(mail["To"]), str(mail["From"])) == (RECIPIENT, f"opsbridge <{SENDER}>")
            subject = "".join(str(mail["Subject"]).split())
            assert subject == "".join(one_line(message.title, 180).split()), "garbled on its way"
            assert max(map(len, raw.split(b"\n"))) <= 998
            assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
            must_be_inert(mail, message)


def must_be_inert(mail: EmailMessage, message: Message) -> None:
    """The HTML part is our own five elements, our own links, and what the plain part says."""
    parts = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
    texts = {kind: str(part.get_content()).replace("\r\n", "\n") for kind, part in parts.items() if part}
    page = Page(texts["html"])
    assert page.elements.keys() <= {"html", "body", "h2", "p", "a"}
    assert page.elements["a"] == len(message.links)
    assert {name for _, name, _ in page.attributes} <= {"lang", "style", "href"}
    assert len([1 for _, name, _ in page.attributes if name == "style"]) == 2
    assert [address for _, _, address in page.addresses] == [url for _, url in message.links]
    assert not page.others
    for text in texts.values():
        assert not UNSEEN.search(text), ascii(text)
    said = " ".join(texts["plain"].split())
    for line in (message.title, *message.lines):
        shown = " ".join(line.split())
        assert shown in said
        assert html.unescape(shown) in " ".join(page.text.split()) or shown in " ".join(page.text.split())


@pytest.mark.parametrize("kind", ["H-25 mail headers", "H-26 mail bodies"])
def test_a_real_mail_server_takes_every_mail_for_one_recipient(stage: Stage, kind: str) -> None:
    sent = 0
    with MailServer() as server:
        for each in stage.hostile[kind]:
            message = stage.messages(each)[0]
            email.send(mailbox(server.port), message, outbound(5), stage.site.clock())
            sent += 1
        assert [(sender, to) for sender, to, _ in server.taken] == [(SENDER, [RECIPIENT])] * sent
        for mail in server.mails:
            assert "acknowledge" in str(mail.get_body(("plain",)).get_content()), "cut off in the middle"  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_chat_message_has_only_our_markup_and_fits(stage: Stage, kind: str) -> None:
    for each in stage.hostile[kind]:
        for message in stage.messages(each):
            text = wecom.markdown(message)
            assert len(text.encode()) <= wecom.LIMIT
            assert text.startswith('<font color="warning">**P1')
            assert not UNSEEN.search(text), ascii(text)
            assert not set(WECOM_OURS.sub("", text)) & WECOM_MARKUP
            assert (text.count("**"), text.count("![")) == (2, 0)
            assert text.count("](") == sum(1 for _, url in message.links if len(url) < 1_000)
            assert f"](https://bridge.test/incidents/{each.incident.number})" in text


@pytest.mark.parametrize("kind", TEXTS)
def test_a_webhook_says_everything_as_json_and_nothing_in_its_headers(stage: Stage, kind: str) -> None:
    with Server() as server:
        settings = webhook.Settings(url=server.url)
        for each in stage.hostile[kind]:
            message = stage.messages(each)[0]
            server.requests.clear()
            webhook.send(settings, message, outbound(5), stage.site.clock())
            (request,) = server.requests
            said = json.loads(request.body)
            assert said["title"] == storable(message.title)
            assert said["lines"] == [storable(line) for line in message.lines]
            assert [link["url"] for link in said["links"]] == [storable(url) for _, url in message.links]
            assert request.headers.keys() <= {
                *("Host", "User-Agent", "Accept", "Accept-Encoding", "Connection", "Content-Type"),
                *("Content-Length", "webhook-id", "webhook-timestamp"),
            }


@pytest.mark.parametrize("kind", TEXTS)
def test_a_terminal_gets_lines_that_cannot_be_taken_for_others(
    stage: Stage, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in stage.hostile[kind]:
        for message in stage.messages(each):
            console.send(console.Settings(), message, outbound(), stage.site.clock())
            first, *rest = capsys.readouterr().out.rstrip("\n").split("\n")
            assert re.match(r"\[\d\d:\d\d:\d\d\] to li: P1", first)
            assert all(line.startswith("    ") for line in rest)
            assert not UNSEEN.search("".join((first, *rest)))


def still_to_go(site: Site) -> int:
    """How many pages nobody has sent yet."""
    waiting = select(func.count()).where(tasks.c.kind == "page", tasks.c.state == "pending")
    return int(site.read(lambda connection: connection.execute(waiting).scalar_one()))


def test_every_page_about_a_hostile_text_goes_out(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    worker = Worker(stage.site.bridge)
    wanted = {each.incident.number for found in stage.hostile.values() for each in found}
    until = time.monotonic() + 30
    while (worker.run_tasks() or still_to_go(stage.site)) and time.monotonic() < until:
        time.sleep(0.01)
    worker._pool.shutdown()
    shown = capsys.readouterr().out
    for number in wanted:
        tasks = [task for task in messages_queued(stage.site, number) if task.kind == "page"]
        assert [(task.state, task.error) for task in tasks] == [("done", "")]
        assert f"/incidents/{number}\n" in shown
