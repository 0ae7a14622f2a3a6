"""Hostile bodies of the other senders: PagerDuty's events, Grafana's webhook, and reports by people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.hostile import contents
from tests.hostile.bodies import FORM_TYPE, MEGABYTE, SHAPES, Body, kept, taken

KEY = "pager-secret"


def event(**other: Any) -> bytes:
    """A trigger as PagerDuty's clients send it; None leaves a field out."""
    payload = {"summary": "It is down", "source": "host-1", "severity": "critical"}
    told = {"routing_key": KEY, "event_action": "trigger", "payload": payload, **other}
    return json.dumps({name: value for name, value in told.items() if value is not ...}).encode()


def payload(**other: Any) -> bytes:
    told = {"summary": "It is down", "source": "host-1", "severity": "critical", **other}
    return event(payload={name: value for name, value in told.items() if value is not ...})


def accepted(what: str, raw: bytes, stored: int = 1, **other: Any) -> Body:
    return taken("H-12", what, raw, stored, status=202, **other)


def refused(what: str, raw: bytes) -> Body:
    """PagerDuty would refuse it, so it is refused; its sender is known, so it is kept."""
    return kept("H-12", what, raw, status=400)


def stranger(what: str, raw: bytes) -> Body:
    """Nobody's event: refused, and no trace of it."""
    return Body("H-12", what, raw, status=400)


_MANY = {f"d{i}": f"mark{i}" for i in range(5_000)}
_DEEP = b'{"a":' * 900 + b"1" + b"}" * 900
_DEEPER = b"[" * 100_000 + b"]" * 100_000

EVENTS = [
    accepted("as it should be", event()),
    accepted("a key of its own", event(dedup_key="k" * 255)),
    refused("a key of 256 characters", event(dedup_key="k" * 256)),
    accepted("a key with what cannot be stored", event(dedup_key="a\0b\ud800"), flawed=True),
    accepted("a key that is a number", event(dedup_key=7), flawed=True),
    accepted("a key that is a list", event(dedup_key=["x"]), flawed=True),
    refused("no action", event(event_action=...)),
    refused("an action nobody knows", event(event_action="snooze")),
    refused("an action that is a list", event(event_action=["trigger"])),
    accepted("an action in capitals", event(event_action="TRIGGER"), flawed=True),
    refused("no payload", event(payload=...)),
    refused("payload null", event(payload=None)),
    refused("payload a list", event(payload=[1])),
    refused("payload a text", event(payload="down")),
    refused("no summary", payload(summary=...)),
    refused("a blank summary", payload(summary="  \n")),
    accepted("a summary that is an object", payload(summary={"a": "lost"}), words=("lost",), flawed=True),
    accepted("a summary of 500 kB", payload(summary="s" * 500_000), words=("s" * 500_000,), flawed=True),
    accepted("NUL in a summary", payload(summary="a\0b"), words=("a\\u2400b",)),
    accepted("half a surrogate pair in a summary", payload(summary="a\ud800b"), words=("a\\ufffdb",)),
    refused("no source", payload(source=...)),
    refused("a severity nobody knows", payload(severity="P1")),
    accepted("a severity in capitals", payload(severity="CRITICAL"), flawed=True),
    accepted("a time that is none", payload(timestamp="yesterday"), words=("yesterday",)),
    accepted("a time of the year 10000", payload(timestamp="10000-01-01T00:00:00Z")),
    accepted("details a list", payload(custom_details=["lost list"]), words=("lost list",), flawed=True),
    accepted("details a text", payload(custom_details="lost text"), words=("lost text",), flawed=True),
    accepted("5,000 details", payload(custom_details=_MANY), words=("mark4999",)),
    accepted("a detail of 500 kB", payload(custom_details={"d": "d" * 500_000}), words=("d" * 500_000,)),
    accepted("details of 900 levels", payload(custom_details={"d": "@@"}).replace(b'"@@"', _DEEP)),
    stranger("details of 100,000 levels", payload(custom_details={"d": "@@"}).replace(b'"@@"', _DEEPER)),
    accepted("links of all kinds", event(links=[None, 7, "x", [], {}, {"href": 7, "text": ["x"]}])),
    accepted("links a text", event(links="lost link"), words=("lost link",)),
    accepted("images an object", event(images={"src": "lost image"}), words=("lost image",)),
    accepted("an address that is script", event(client_url="javascript:alert(1)"), words=("javascript",)),
    accepted("an end nobody saw begin", event(event_action="resolve", dedup_key="never", payload=...), 0),
    refused("an end of nothing", event(event_action="resolve", payload=...)),
    accepted("an acknowledgement of nobody", event(event_action="acknowledge", dedup_key="nobody"), 0),
    refused("an acknowledgement of nothing", event(event_action="acknowledge")),
    accepted("a key twice", event().replace(b"{", b'{"dedup_key": ["first"], "dedup_key": "second", ', 1)),
    accepted("in UTF-16", event(dedup_key="utf-16").decode().encode("utf-16")),
    accepted("with a byte order mark", b"\xef\xbb\xbf" + event(dedup_key="bom")),
    stranger("a key nobody has", event(routing_key="wrong")),
    stranger("no key", event(routing_key=...)),
    stranger("a key that is a list", event(routing_key=[KEY])),
    stranger("a key with NUL", event(routing_key=f"{KEY}\0")),
    stranger("a key of 500 kB", event(routing_key="k" * 500_000)),
    stranger("a list of events", b"[" + event() + b"]"),
    Body("H-10", "an event of more than 1 MB", event(dedup_key="k" * MEGABYTE), status=413),
]  # fmt: skip


def report(what: str, stored: int = 1, words: tuple[str, ...] = (), **fields: Any) -> Body:
    raw = json.dumps({"title": f"report: {what}", **fields}).encode()
    return taken("H-12", what, raw, words=words) if stored else kept("H-12", what, raw)


def encoded(name: str) -> Body:
    """What is decoded for Alertmanager is decoded for everybody."""
    raw = json.dumps({"title": f"{name} é"}, ensure_ascii=False).encode(name)
    right = f"{name} é"
    return taken("H-08", name, raw, sees=lambda row: row.annotations["summary"] == right)


REPORTS = [
    report("as it should be"),
    report("no title", 0, title=None),
    report("a blank title", 0, title=" \n"),
    report("a title that is a list", title=["lost title"], words=("lost title",)),
    report("a priority nobody knows", priority="P9", words=("P9",)),
    report("a priority in small letters", priority="p1"),
    report("a priority that is an object", priority={"x": "lost"}, words=("lost",)),
    report("a client nobody knows", client="nobody", words=("nobody",)),
    report("a client of 1 MB", client="c" * MEGABYTE, words=("c" * MEGABYTE,)),
    report("a description of 1 MB", description="d" * MEGABYTE, words=("d" * MEGABYTE,)),
    report("a title of 1 MB", title="t" * MEGABYTE, words=("t" * MEGABYTE,)),
    report("fields nobody knows", x={"y": [1] * 1_000}),
    taken("H-06", "half a surrogate pair", b'{"title": "a\\ud800b"}', words=("a\\ufffdb",)),
    taken("H-07", "NUL", b'{"title": "a\\u0000c"}', words=("a\\u2400c",)),
    taken("H-07", "a raw line break", b'{"title": "a\nd"}'),
    taken("H-08", "invalid UTF-8", b'{"title": "bytes \xff\xc0"}'),
    *map(encoded, ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")),
    taken("H-09", "JSON called text", b'{"title": "called text"}', headers={"Content-Type": "text/plain"}),
    kept("H-09", "JSON called a form", b'{"title": "called a form"}', headers={"Content-Type": FORM_TYPE}),
    taken("H-09", "a form", b"title=a+form&client=acme", headers={"Content-Type": FORM_TYPE}),
    taken("H-09", "a form with broken escapes", b"title=%zz%ff%00&x", headers={"Content-Type": FORM_TYPE}),
    kept("H-09", "a form of 1,000 fields", b"a=b&" * 1_000 + b"title=x", headers={"Content-Type": FORM_TYPE}),
]  # fmt: skip


def of_grafana(bodies: Sequence[Body]) -> list[Body]:
    """Alertmanager's hostile bodies as Grafana would send them."""
    found = []
    for body in bodies:
        raw = body.raw
        if b'"version": "4"' in raw:
            changed = raw.replace(b'"version": "4"', b'"version": "1"')
            found.append(replace(body, made=changed))
    return found


GRAFANA = of_grafana([*SHAPES, *contents.SIZES, *contents.IDENTITIES, *contents.TIMES])
