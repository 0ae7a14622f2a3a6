"""A signal is heard at once although the main thread sleeps, and it ends nothing that it should not end.

The signals are sent to another thread than the main one: then nothing wakes the main thread by itself,
which else happens only now and then, when two signals come shortly after one another.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import os, signal, threading
from bridge.commands import signals

signals.AGAIN_SECONDS = 0.05
calls = []

def hung_up():
    calls.append(1)
    print("hung up", flush=True)
    if len(calls) >= WANTED:
        os._exit(3)
    return ANSWER

def send(*numbers):
    for number in numbers:
        signal.pthread_kill(threading.get_ident(), number)

signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
heard = signals.listen()
"""


def run(script: str, **words: object) -> tuple[int, int]:
    """How a program ended, and how often it was told of SIGHUP."""
    text = BEGIN + script + "\nthreading.Event().wait()\n"
    for name, value in words.items():
        text = text.replace(name, repr(value))
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.count("hung up")


@pytest.mark.parametrize(
    ("script", "wanted", "answer", "ended", "told"),
    [
        ("signals.follow(heard, hung_up); threading.Thread(target=send, args=[1]).start()", 1, True, 3, 1),
        ("send(1, 1, 1); signals.follow(heard, hung_up); TERM", 9, True, 7, 1),
        ("signals.follow(heard, hung_up); threading.Thread(target=send, args=[1]).start()", 4, False, 3, 4),
        ("signals.follow(heard, hung_up); threading.Thread(target=send, args=[15]).start()", 1, True, 7, 0),
        (
            "signals.follow(heard, hung_up); threading.Thread(target=send, args=[1, 15]).start()",
            9,
            False,
            7,
            None,
        ),
    ],
    ids=[
        "heard",
        "several before it listens are one",
        "again until it works",
        "the end",
        "the end while trying again",
    ],
)
def test_signals_are_heard_while_the_main_thread_sleeps(script, wanted, answer, ended, told):
    script = script.replace("TERM", "threading.Timer(0.5, send, [15]).start()")
    code, times = run(script, WANTED=wanted, ANSWER=answer)
    assert code == ended
    assert told is None or times == told
