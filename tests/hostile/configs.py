"""Hostile configurations (H-39 to H-42, H-46, H-47): what is written, and what must be said of it.

Files are written by people in a hurry. What is wrong in them is refused at its line with a reason, and
never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SMALLEST = (Path(__file__).parents[1] / "bridge" / "config" / "good" / "smallest.yml").read_text("utf-8")
DEFAULT = "- name: all\n"
LAST = SMALLEST.count("\n") + 1  # the line at which something added begins
ACME = SMALLEST[: SMALLEST.index("Acme")].count("\n") + 1


@dataclass(frozen=True)
class Odd:
    """A configuration with its rules; `says` is in the mistake that `load` must find at `line`, if given."""

    number: str
    what: str
    text: str
    says: str
    line: int = 0
    rules: str = DEFAULT

    def __str__(self) -> str:
        return f"{self.number} {self.what}"


def added(number: str, what: str, more: str, says: str, line: int = LAST) -> Odd:
    """The smallest configuration and something more."""
    return Odd(number, what, f"{SMALLEST}{more}\n", says, line)


def figure(text: str) -> Odd:
    """What other readers take for a number."""
    return added("H-39", f"{text} for a number", f"web: {{proxies: {text}}}", "expected a whole number")


def acme(number: str, what: str, written: str, says: str) -> Odd:
    """Something else in the place of a client's name."""
    return Odd(number, what, SMALLEST.replace("Acme", written), says, ACME)


def ruled(number: str, what: str, rules: str, says: str, line: int = 0) -> Odd:
    """Other rules."""
    return Odd(number, what, SMALLEST, says, line, rules)


def turns(what: str, says: str, **changes: str) -> Odd:
    """A rotation with something odd in it."""
    told = {"people": "[li]", "every": "1w", "from": "2026-01-05T09:00", "time_zone": "Asia/Shanghai"}
    inner = ", ".join(f"{name}: {value}" for name, value in {**told, **changes}.items())
    person = "responders: {li: {name: Li, channels: [mail]}}"
    text = f"{person}\nschedules: {{duty: {{rotation: {{{inner}}}}}}}"
    number = "H-46" if "time_zone" in changes else "H-47"
    return added(number, f"turns: {what}", text, says, LAST + 1)


def hours(text: str) -> Odd:
    """Working hours of a calendar."""
    return added("H-47", f"hours {text!r}", f'calendars: {{c: {{hours: "{text}"}}}}', "span of hours")


def cron(text: str) -> Odd:
    """When reports are made."""
    return added("H-47", f"cron {text!r}", f'reports: {{cron: "{text}"}}', "cron")


YAML = [
    added("H-39", "an alias bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases", LAST + 1),
    added("H-39", "an alias to itself", "a: &a {b: *a}", "aliases"),
    added("H-39", "a merge", "a: &a {b: 1}\nweb: {<<: *a}", "aliases", LAST + 1),
    added("H-39", "a merge without an alias", "web: {<<: {proxies: 1}}", "no such setting"),
    added("H-39", "an object of Python", "web: !!python/object:os.system {}", "tags"),
    added("H-39", "a call of Python", "web: !!python/object/apply:os.system [id]", "tags"),
    added("H-39", "a tag of our own", "web: !secret x", "tags"),
    added("H-39", "binary", "heartbeat_out: !!binary aGk=", "tags"),
    added("H-39", "a key twice", "web: {proxies: 1, proxies: 2}", "given twice"),
    added("H-39", "a block twice", "clients: {nord: {name: Nord}}", "given twice"),
    added("H-39", "a tab", "web:\n\tproxies: 1", "not YAML", LAST + 1),
    added("H-39", "two documents", "---\nweb: {proxies: 1}", "not YAML"),
    added("H-39", "10,000 documents", "---\nx: 1\n" * 10_000, "not YAML"),
    Odd("H-39", "1 MB of brackets", "[" * 1_000_000, "nested deeper"),
    Odd("H-39", "1 MB of braces", "{a: " * 250_000, "nested deeper"),
    added("H-39", "33 levels", "web: " + "[" * 33 + "]" * 33, "nested deeper"),
    added("H-39", "too many values", "web: [" + "a, " * 50_001 + "]", "more than 50000 values"),
    added("H-39", "a file of 1 MB and a bit", "#" + "x" * 2**20, "larger than 1024 KiB", 0),
    added("H-39", "a list as a key", "? [a, b]\n: x", "a key is not text"),
    Odd("H-39", "nothing but comments", "# nothing\n", "empty"),
    Odd("H-39", "a text", "bridge\n", "not a block"),
    *map(figure, ("NO", "yes", "1e3", "0o17", "017", "0x1F", "1_000", "12:30", ".inf", "9" * 30)),
    Odd(
        "H-39",
        "yes for true",
        SMALLEST.replace("{respond: 10m}", "{respond: 10m, page: yes}"),
        "expected true or false",
        6,
    ),
    added("H-39", "a number for a text", "heartbeat_out: 7", "expected text"),
    added("H-39", "a raw NUL", "heartbeat_out: \0", "control character"),
    added("H-39", "an escape sequence", "heartbeat_out: '\x1b[2J'", "control character"),
    acme("H-39", "NUL in a name", '"A\\0"', "U+0000"),
    acme("H-39", "half a surrogate pair in a name", '"A\\ud800"', "U+D800"),
    ruled("H-39", "NUL in a rule's name", '- name: "a\\0b"\n', "U+0000", 1),
    ruled("H-39", "half a surrogate pair in a rule's name", '- name: "a\\ud800b"\n', "U+D800", 1),
    ruled(
        "H-39",
        "half a surrogate pair in a pattern",
        '- {name: a, match: ["x=~\\"\\ud800\\""]}\n' + DEFAULT,
        "U+D800",
        1,
    ),
]

KEYS = [
    ruled("H-40", "severty", "- {name: all, severty: P1}\n", "no such setting", 1),
    ruled("H-40", "prioritiy", "- {name: all, prioritiy: P1}\n", 'did you mean "priority"', 1),
    ruled("H-40", "P5", "- {name: all, priority: P5}\n", "none of: P1", 1),
    ruled("H-40", "p1", "- {name: all, priority: p1}\n", "none of: P1", 1),
    acme("H-40", "a secret of a client", "Acme, token: canary-x", "no such setting"),
    added("H-40", "a secret at the top", "password: canary-x", "no such setting"),
    added("H-40", "a secret as an address", "heartbeat_out: canary-x", "http"),
    added("H-40", "a block that is not known", "chanels: {}", 'did you mean "channels"'),
    added("H-40", "__class__", "__class__: {}", "no such setting"),
    ruled("H-40", "rules that are a block", "all: {}\n", "expected a list of rules"),
    ruled("H-40", "a rule that is a text", "- all\n", "expected a block of settings", 1),
    ruled("H-40", "a rule without a name", "- {priority: P1}\n", '"name" is missing', 1),
    ruled("H-42", "two rules of one name", "- {name: a, match: ['x=1']}\n- name: a\n", "second rule", 2),
    ruled("H-42", "a rule that hides the rest", "- name: a\n- name: b\n", "matches every alert", 1),
    ruled("H-42", "a pattern that hides the rest", "- {name: a, match: ['x=~.*']}\n- name: b\n", "every", 1),
    ruled("H-42", "no default rule", "- {name: a, match: ['x=1']}\n", "default rule is mandatory"),
    ruled("H-42", "only rules that go on", "- {name: a, continue: true}\n", "default rule is mandatory"),
]

_ZONES = ("../../etc/passwd", "Etc/GMT+99", "+08:00:61", "/etc/localtime", "Asia", "", "Mars/Olympus")

TIMES = [
    *(acme("H-46", f"client's zone {zone!r}", f'A, time_zone: "{zone}"', "no time zone") for zone in _ZONES),
    *(
        added("H-46", f"calendar's zone {zone!r}", f'calendars: {{c: {{time_zone: "{zone}"}}}}', "time zone")
        for zone in _ZONES
    ),
    *(turns(f"zone {zone!r}", "no time zone", time_zone=f'"{zone}"') for zone in _ZONES),
    acme("H-46", "a language from a path", "Acme, language: ../../etc", "none of: en, zh"),
    added(
        "H-46", "holidays of nowhere", 'calendars: {c: {holidays: ../.., hours: "9:00-18:00"}}', "no holidays"
    ),
    *map(cron, ("* * * * * *", "0 0 31 2 *", "0 0 30 2 *", "60 * * * *", "@reboot", "", "0 6 1 13 *", "a")),
    *map(hours, ("18:00-09:00", "09:00-09:00", "25:00-26:00", "9-18", "09:00", "-", "09:00+01:00-18:00")),
    turns("of a second", "turns shorter than a minute", every="1s"),
    turns("of nothing", "turns shorter than a minute", every="0s"),
    turns("of 1,000 years", "is not a duration", every="52000w"),
    turns("below nothing", "is not a duration", every='"-1w"'),
    turns("from no day", "is not a moment", **{"from": '"2026-02-30T09:00"'}),
    turns("of nobody", "nobody would be on call", people="[]"),
]
