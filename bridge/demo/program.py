"""Child processes that never outlive us: started, watched and ended by process id."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

LOG_TAIL_LINES: Final = 30
LOG_TAIL_BYTES: Final = 16384

# Linux ends a child when the *thread* that forked it ends. So one thread, living as long as we do,
# forks them all, and never the caller's, which may be short-lived.
_SPAWNER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="demo-spawner")

# Runs in the child before the program itself: 1 is PR_SET_PDEATHSIG, 9 SIGKILL. The parent may have
# died before the call took effect, hence the look at who the parent is. `exec` keeps process id and
# signal.
_DIE_WITH_PARENT: Final = """
import ctypes, os, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == parent:
    os.execv(program[0], program)
"""


class ProgramFailed(Exception):
    """A program could not start or died; the message ends with the last lines of its log."""


class Program:
    """One child process; it can be started again after it has ended."""

    def __init__(self, name: str, argv: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._argv = tuple(argv)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs or until it has been ended."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.alive:
            return
        with self.log.open("ab") as log:
            self._process = _SPAWNER.submit(
                subprocess.Popen,
                _bound_to_us(self._argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_without_proxies(os.environ),
                start_new_session=True,
            ).result()
        atexit.register(self.kill)

    def check(self) -> None:
        """Raise ProgramFailed if the program has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise ProgramFailed(
                f"{self.name} ended with status {self._process.returncode}; {self.log} ends:\n"
                + self.log_tail()
            )

    def stop(self, patience: float = 10.0) -> None:
        """Ask it to end, and end it when it does not."""
        if self._process is not None and self.alive:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash or a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            atexit.unregister(self.kill)

    def log_tail(self) -> str:
        """Give the last lines it has written."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError as error:
            return f"(no log: {error.strerror})"
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def _bound_to_us(argv: Sequence[str]) -> list[str]:
    if not sys.platform.startswith("linux"):
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv]


def _without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
