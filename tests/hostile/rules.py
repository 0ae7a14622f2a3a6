"""Hostile patterns, names and queries (H-37, H-38, H-43, H-44, H-47)."""

from __future__ import annotations

PLAN = """
services: {pay: {}}
failover:
  standby:
    service: pay
    act: {type: console}
    rollback: {type: console}
    verify: [{http: "http://127.0.0.1:1/"}]
    on: {match: [%s]}
"""

# RE2 reads these, and each could take for ever on an engine that tries ways one after the other.
SLOW_PATTERNS = [
    r"(a+)+$",
    r"(a|a)*$",
    r"(.*)*x",
    r"(\w|\d)+",
    r"(x+x+)+y",
    r"(a|aa)+$",
    r"(?:(?:a*)*)*b",
    r"(a?){500}a{500}",
    r".*.*.*.*.*.*.*.*=.*",
    "(a|b|ab)*c" * 100,
    "[a-z]*" * 1_500 + "$",
    "a" * 10_000,
    "(" * 900 + "a" + ")" * 900,
    r"(a{1,100}){1,10}",
    r"\p{Han}+|(\pL+\s?)*!",
]
SUBJECTS = ["a" * 30 + "!", "a" * 10_000 + "!", "xyz " * 10_000, "支付" * 10_000, "\u2400\ufffd" * 1_000, ""]

REFUSED_PATTERNS = [
    r"(a)\1",
    r"(?P<n>a)(?P=n)",
    r"(?<=a)b",
    r"(?<!a)b",
    r"(?=a)b",
    r"(?!a)b",
    r"(?>a)b",
    r"a++",
    r"(?R)",
    r"(?(1)a|b)",
    r"a{1001}",
    r"((a{100}){100}){100}",
    "(",
    ")",
    "[",
    "[z-a]",
    "*",
    "a**",
    "\\",
    r"\8",
    "(?i",
    r"\p{Nobody}",
    "\ud800",
    "(a{0,1000}){0,1000}",
]

# Every alert has or has not a label: with these alone a plan would start for whatever happens.
EVERYTHING = [
    'alertname=~".*"',
    'alertname=~".+"',
    'alertname!=""',
    'alertname=~"(.*)"',
    'no_such_label=""',
    'no_such_label!~"x+"',
    'service=~"|.*"',
]

SELECTORS = [
    'client="acme"} or vector(1) #',
    'client="acme"} or up{',
    'client="acme',
    "{",
    'client=~"',
    "client",
    'client="acme"\n#',
]

# Names of clients as they may stand in a configuration; all of them are only names.
CLIENTS = [
    "acme",
    '"} or vector(1) #',
    '",client=~".*',
    '"} or {client!="',
    "`",
    "`} or vector(1) #",
    "'",
    "\\",
    '\\"',
    '\\\\"} or vector(1)',
    "new\nline",
    "tab\tand\rreturn",
    ".*",
    "acme|nord",
    "a.c",
    "$selector $window $step $hosts",
    "{{ client }} %s {0}",
    "安可科技",
    "\u202eemca",
    "",
    "x" * 10_000,
]

RECURRENCES = [
    "FREQ=SECONDLY",
    "FREQ=MINUTELY;INTERVAL=1",
    "FREQ=HOURLY",
    "FREQ=DAILY;INTERVAL=0",
    "FREQ=DAILY;INTERVAL=-1",
    "FREQ=DAILY;INTERVAL=99999999999",
    "FREQ=DAILY;COUNT=0",
    "FREQ=DAILY;COUNT=999999999",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;FREQ=DAILY",
    "FREQ=DAILY;BYDAY=XX",
    "FREQ=DAILY;" + "BYMONTH=1;" * 10_000,
    "FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31",
    "FREQ=\u0661",
    "DTSTART:20260101",
    "",
    ";;;",
]
