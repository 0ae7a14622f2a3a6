"""Hostile JSON and transport (H-01 to H-11): what is posted, and what must become of it.

The law: an answer is 200, 401, 403, 405, 413 or 503, comes in two seconds, and no alert is swallowed. Each
alert of an authentic body becomes an episode or is kept raw in quarantine with a self-incident.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.hostile.site import SLOWEST

STARTED = "2026-11-25T01:00:00Z"
GZIP = {"Content-Encoding": "gzip"}
WHOLE = b""  # in `kept`: the body itself
LARGEST = 64 * 1024 * 1024
MEGABYTE = 2**20
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Body:
    """A body and its fate.

    `stored`: how many episodes it leaves. `kept`: texts that quarantine must hold. `words`: texts that must
    be found in the episodes or in quarantine. `sees`: what holds for the last episode. `seconds`: in which
    it must be answered.
    """

    number: str
    what: str
    made: Callable[[], bytes] | bytes
    stored: int = 0
    kept: tuple[bytes, ...] = ()
    words: tuple[str, ...] = ()
    flawed: bool = False
    sees: Callable[[Any], bool] = field(default=lambda row: True)
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    seconds: float = SLOWEST

    @property
    def raw(self) -> bytes:
        return self.made if isinstance(self.made, bytes) else self.made()

    def __str__(self) -> str:
        return f"{self.number} {self.what}"


def one(name: str, **other: Any) -> dict[str, Any]:
    """An alert as Alertmanager sends it."""
    alert = {"status": "firing", "labels": {"alertname": name}, "startsAt": STARTED, **other}
    mark = hashlib.sha256(json.dumps(alert["labels"]).encode()).hexdigest()[:16]
    return {"annotations": {"summary": f"words of {name}"}, "fingerprint": mark, **alert}


def webhook(*alerts: Any, **other: Any) -> bytes:
    return json.dumps({"version": "4", "alerts": alerts, **other}).encode()


def taken(number: str, what: str, made: Callable[[], bytes] | bytes, stored: int = 1, **other: Any) -> Body:
    return Body(number, what, made, stored=stored, **other)


def kept(number: str, what: str, made: Callable[[], bytes] | bytes, **other: Any) -> Body:
    return Body(number, what, made, kept=(WHOLE,), **other)


def label(number: str, what: str, value: bytes, **other: Any) -> Body:
    """One alert that has this raw JSON as a label."""
    raw = webhook(one(what, labels={"alertname": what, "odd": "@@"})).replace(b'"@@"', value)
    return Body(number, f"label: {what}", raw, **other)


def reads(number: str, what: str, value: bytes, shown: str, **other: Any) -> Body:
    """One alert that has this raw JSON as a label, which must be read as `shown`."""
    return label(number, what, value, stored=1, sees=lambda row: row.labels["odd"] == shown, **other)


def typed(kind: str) -> Body:
    headers = {"Content-Type": kind}
    return taken("H-09", f"Content-Type {kind[:40]!r}", webhook(one(f"type {kind[:40]}")), headers=headers)


def encoded(name: str) -> Body:
    text = json.dumps({"version": "4", "alerts": [one(f"{name} é")]}, ensure_ascii=False)
    right = f"{name} é"
    return taken("H-08", name, text.encode(name), sees=lambda row: row.labels["alertname"] == right)


def bomb(megabytes: int) -> bytes:
    """Gzip of zeros, made without ever holding them."""
    packer = zlib.compressobj(9, wbits=-15)
    part = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + part * megabytes


def members(*parts: bytes) -> bytes:
    """A gzip of several members, which RFC 1952 allows; `cat a.gz b.gz` and pigz write such."""
    return b"".join(map(gzip.compress, parts))


def twice(what: str, before: bytes = b"") -> Body:
    """The same key twice: the last one counts, whichever reader it takes. None tells that there were two."""
    alert = b'{"status": "firing", "status": "resolved", "labels": {"alertname": "%s"}, %s}'
    times = b'"startsAt": "2026-11-25T01:00:00Z", "endsAt": "2026-11-25T01:30:00Z", "fingerprint": "%s"'
    raw = b'{"version": "4",%s "alerts": [%s]}' % (
        before,
        alert % (what.encode(), times % what[-9:].encode()),
    )
    return taken("H-05", what, raw, sees=lambda row: row.state == "resolved")


_NULS = one(
    "a\0",
    labels={"alertname": "a\0", "b\0": "c\0"},
    annotations={"d\0": "e\0"},
    generatorURL="http://x/\0",
    fingerprint="f\0",
)
_IN_TWO = webhook(one("in two members"))

# No delivery of any source: the same on every route.
NOBODY = [
    kept("H-01", "nothing", b""),
    kept("H-01", "null", b"null"),
    kept("H-01", "a list", b"[]"),
    kept("H-01", "a text", b'"x"'),
    kept("H-01", "a number", b"42"),
    kept("H-01", "true", b"true"),
    kept("H-01", "an empty object", b"{}"),
    kept("H-01", "blanks", b" \n\t "),
    kept("H-01", "a broken object", b'{"version": "4", "title": "x", "alerts": ['),
    kept("H-01", "two documents", b"{}{}"),
    kept("H-01", "HTML", b"<html><script>alert(1)</script>"),
    kept("H-01", "every byte", bytes(range(256))),
    kept("H-02", "200,000 brackets", b"[" * 200_000),
    kept("H-02", "100,000 objects", b'{"a":' * 100_000),
    kept("H-03", "900 levels", b"[" * 900 + b"]" * 900),
    kept("H-04", "5,000 digits", b"9" * 5_000),
    kept("H-04", "1e999", b"1e999"),
    kept("H-04", "NaN", b"NaN"),
    kept("H-04", "Infinity", b"-Infinity"),
    kept("H-08", "no UTF-8", b"\xff\xfe\xfd"),
    kept("H-11", "nested gzip", gzip.compress(gzip.compress(b"{}")), headers=GZIP),
    kept("H-11", "zip", b"PK\x03\x04" + bytes(200)),
    kept("H-11", "zip called gzip", b"PK\x03\x04" + bytes(200), headers=GZIP),
    kept("H-11", "brotli", b"\x8b\x03\x80{}\x03", headers={"Content-Encoding": "br"}),
    kept("H-11", "deflate", zlib.compress(b"{}"), headers={"Content-Encoding": "deflate"}),
    kept("H-11", "gzip that ends early", gzip.compress(b"{}")[:-9], headers=GZIP),
    Body("H-11", "gzip of 10 GB", lambda: bomb(10_240), headers=GZIP, status=413),
    Body("H-10", "one byte too many", lambda: b"x" * (LARGEST + 1), status=413),
]

SHAPES = [
    label("H-03", "900 levels", b"[" * 900 + b"]" * 900, stored=1, flawed=True),
    label("H-03", "100,000 levels", b"[" * 100_000 + b"]" * 100_000, kept=(WHOLE,)),
    label("H-04", "5,000 digits", b"9" * 5_000, kept=(WHOLE,)),
    reads("H-04", "300 digits", b"9" * 300, "9" * 300, flawed=True),
    label("H-04", "1e999", b"1e999", stored=1, flawed=True, sees=lambda row: row.labels["odd"] != "null"),
    label("H-04", "NaN", b"NaN", kept=(WHOLE,)),
    label("H-04", "Infinity", b"Infinity", kept=(WHOLE,)),
    twice("status twice"),
    twice("status twice, read leniently", b' "x": "\n",'),
    reads("H-06", "lone surrogate", b'"a\\ud800b"', "a\ufffdb", flawed=True),
    reads("H-06", "pair the wrong way round", b'"\\udc00\\ud800"', "\ufffd\ufffd", flawed=True),
    taken(
        "H-06",
        "lone surrogate as a name",
        webhook(one("surrogate", labels={"alertname": "surrogate", "\ud800": "x"})),
        sees=lambda row: row.labels["\ufffd"] == "x",
        flawed=True,
    ),
    reads("H-07", "NUL", b'"a\\u0000b"', "a\u2400b"),
    reads("H-07", "raw NUL", b'"a\x00c"', "a\u2400c", flawed=True),
    taken(
        "H-07",
        "NUL everywhere",
        webhook(_NULS),
        sees=lambda row: (
            row.labels == {"alertname": "a\u2400", "b\u2400": "c\u2400"}
            and row.annotations == {"d\u2400": "e\u2400"}
        ),
    ),
    *map(encoded, ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")),
    taken("H-08", "invalid UTF-8", webhook(one("bytes @")).replace(b"@", b"\xff\xc0\xaf"), flawed=True),
    *map(typed, ("", "text/plain", "application/json; charset=utf-7", "application/xml", FORM_TYPE)),
    *map(typed, ("application/json; charset=utf-16", "multipart/form-data", "x" * 5_000)),
    typed("multipart/form-data; boundary=x"),
    taken("H-11", "gzip", gzip.compress(webhook(one("gzip"))), headers=GZIP),
    taken("H-11", "called gzip and is not", webhook(one("called gzip")), headers=GZIP),
    taken("H-11", "called brotli", webhook(one("brotli")), headers={"Content-Encoding": "br"}),
    taken("H-11", "identity", webhook(one("identity")), headers={"Content-Encoding": "identity"}),
    taken("H-11", "gzip in two members", members(_IN_TWO[:40], _IN_TWO[40:]), headers=GZIP),
    Body(
        "H-11",
        "gzip of two bodies",
        members(webhook(one("first of two")), webhook(one("second of two"))),
        kept=(b"first of two", b"second of two"),
        headers=GZIP,
    ),
    kept("H-11", "gzip that was not announced", gzip.compress(webhook(one("not announced")))),
    kept("H-11", "a webhook whose gzip ends early", gzip.compress(webhook(one("end")))[:-20], headers=GZIP),
]
