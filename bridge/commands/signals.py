"""SIGHUP in a program with threads: it ends nothing, and a thread hears of it at once.

A handler in Python runs in the main thread only, and a signal that comes while another one is handled may
wait there until a third. So SIGHUP is read from Python's wake-up descriptor, which is written at once.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable

AGAIN_SECONDS = 5
_ENDS = (signal.SIGTERM, signal.SIGINT)


def listen() -> int:
    """From now on every signal's number can be read from this descriptor. For the main thread."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGHUP, lambda *_: None)
    return reading


def follow(signals: int, hung_up: Callable[[], bool]) -> None:
    """Call `hung_up` in a thread of its own after SIGHUP, and again in a while when it says False."""

    def run() -> None:
        again = False
        while True:
            ready, _, _ = select.select([signals], [], [], AGAIN_SECONDS if again else None)
            came = os.read(signals, 64) if ready else b""  # several at once ask for the same
            if any(number in came for number in _ENDS):
                break
            if again or signal.SIGHUP in came:
                again = not hung_up()
        while True:  # until the main thread has heard that this is the end
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGHUP)
            time.sleep(1)

    threading.Thread(target=run, name="signals", daemon=True).start()
