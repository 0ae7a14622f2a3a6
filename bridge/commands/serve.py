"""run, web, worker: the programs that stay."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import secrets
import signal
import socket
import threading
import uuid
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import click
import structlog
from granian import Granian
from granian.constants import Interfaces
from prometheus_client import start_http_server

from bridge import reloading
from bridge.commands import signals
from bridge.commands.shell import answers_in_words, bridge_of, config_of
from bridge.config import ConfigError
from bridge.intake import Intake
from bridge.logs import configure
from bridge.store import database, people
from bridge.store.database import Unavailable
from bridge.web import create_app
from bridge.web.lanes import THREADS, Lanes
from bridge.wiring import Bridge, wire
from bridge.worker import Worker

log = structlog.get_logger(__name__)

STOP_SECONDS = 20
_YOUNG = 50_000  # objects made before Python's garbage collector looks for circles among them
_PARTS = "OPSBRIDGE_PARTS"
_FILE = "OPSBRIDGE_CONFIG_FILE"


@click.command()
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=8080)
@click.option("--demo", is_flag=True, help="Play the whole line with a real Prometheus and Alertmanager.")
@click.pass_obj
@answers_in_words
def run(config_file: Path, host: str, port: int, demo: bool) -> None:  # noqa: FBT001  # click passes flags
    """Web and worker in one process; makes and upgrades the database first."""
    if demo:
        from bridge.demo import story  # noqa: PLC0415  # only the demo needs its programs

        raise SystemExit(story.play(host, port))
    if not config_file.exists():
        _first_config(config_file, host, port)
    bridge = wire(config_of(config_file))
    database.upgrade(bridge.database)
    _greet(bridge, host, port)
    bridge.database.engine.dispose()
    _serve(config_file, host, port, "web worker")


@click.command()
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=8080)
@click.pass_obj
@answers_in_words
def web(config_file: Path, host: str, port: int) -> None:
    """Only the web side; several may share a PostgreSQL database."""
    bridge_of(config_file).database.engine.dispose()
    _serve(config_file, host, port, "web")


@click.command()
@click.option("--metrics-port", type=int, help="Serve /metrics here, on --host; not served by default.")
@click.option("--host", default="127.0.0.1")
@click.pass_obj
@answers_in_words
def worker(config_file: Path, metrics_port: int | None, host: str) -> None:
    """Only the worker; several may share a PostgreSQL database."""
    configure()
    heard = signals.listen()
    bridge = bridge_of(config_file)
    if metrics_port is not None:
        start_http_server(metrics_port, host, bridge.metrics.registry)
    working = Worker(bridge)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    working.start()
    _reload_on_hangup(heard, bridge)
    log.info("worker started", version=bridge.config.version)
    done.wait()
    working.stop()


def build_app() -> Any:
    """What the server's process loads: the application, with intake and (for `run`) the worker inside."""
    configure()
    heard = signals.listen()
    _end_with_parent()
    bridge = bridge_of(Path(os.environ[_FILE]))
    running = _Running(bridge, with_worker="worker" in os.environ[_PARTS])
    running.start()
    _spare_the_collector()
    _reload_on_hangup(heard, bridge)
    log.info("started", parts=os.environ[_PARTS], version=bridge.config.version)
    # The supervisor ends this process with SIGTERM; multiprocessing runs its finalizers, but no atexit.
    Finalize(None, running.stop, exitpriority=10)
    return Lanes(create_app(bridge, running.intake))


@dataclass
class _Running:
    """The threads of one server process, started together and stopped in order."""

    bridge: Bridge
    with_worker: bool

    def __post_init__(self) -> None:
        self.worker = Worker(self.bridge) if self.with_worker else None
        self.intake = Intake(self.bridge, self.worker.wake if self.worker else lambda: None)

    def start(self) -> None:
        self.intake.start()
        if self.worker:
            self.worker.start()

    def stop(self) -> None:
        """Store what is queued, claim nothing more, and finish the messages that are being sent."""
        log.info("stopping")
        self.intake.stop()
        if self.worker:
            self.worker.stop()


def _serve(config_file: Path, host: str, port: int, parts: str) -> None:
    """Granian: a Rust server in front of one Python process with threads (docs/adr/0005)."""
    _must_be_free(host, port)
    # Not resolve(): Kubernetes changes files by leading a link elsewhere, and a reload must follow it.
    os.environ[_FILE] = str(config_file.absolute())
    os.environ[_PARTS] = parts
    server = Granian(
        "bridge.commands.serve:build_app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        factory=True,
        log_enabled=False,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    )
    # Granian's answer to SIGHUP is a new process, which a broken file would end; ours reads it itself.
    server.on_startup(lambda: signals.follow(signals.listen(), _pass_on))
    server.serve()


def _pass_on() -> bool:
    """The supervisor hands SIGHUP to the process that serves."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGHUP)
    return True


def _reload_on_hangup(heard: int, bridge: Bridge) -> None:
    reloading.started(bridge, _trace())
    signals.follow(heard, lambda: _reloaded(bridge))


def _reloaded(bridge: Bridge) -> bool:
    """Reload once; False when it has to be tried again. Whatever happens, what is in force stays."""
    trace = _trace()
    with structlog.contextvars.bound_contextvars(trace=trace):
        try:
            reloading.reload(bridge, trace)
        except ConfigError:
            pass  # logged, counted and told as an incident
        except Unavailable as error:
            log.warning("reload waits for the database", error=str(error))
            return False
        except Exception:
            log.exception("reload broke")
    return True


def _trace() -> str:
    return uuid.uuid4().hex[:16]


def _must_be_free(host: str, port: int) -> None:
    """Granian shares ports between its own processes, so a second bridge would start unnoticed."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _spare_the_collector() -> None:
    """A storm makes many objects that die young; looking through them again and again was a quarter of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)


def _end_with_parent() -> None:
    """A killed supervisor must not leave a server that still holds the port."""
    parent = os.getppid()

    def watch() -> None:
        gone = threading.Event()
        while not gone.wait(1):
            if os.getppid() != parent:
                os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _greet(bridge: Bridge, host: str, port: int) -> None:
    """Say where the console is; on the first start make the first account and its link."""
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104  # compared, not bound
    click.echo(f"opsbridge console: {address}")
    link = bridge.database.run(lambda connection: _first_account(connection, bridge))
    if link:
        click.echo(f"first sign-in (once, valid for 24 hours): {address}/sign-in/{link}")


def _first_account(connection: Any, bridge: Bridge) -> str:
    now = bridge.now()
    if people.count_users(connection) == 0:
        people.add_user(connection, "admin", "admin", now)
        return people.new_link(connection, "admin", now)
    return ""


def _first_config(file: Path, host: str, port: int) -> None:
    """Without a configuration, start with the smallest one that works and say so."""
    token = file.parent / "var" / "secrets" / "alertmanager"
    token.parent.mkdir(parents=True, exist_ok=True)
    if not token.exists():
        token.touch(mode=0o600)
        token.write_text(secrets.token_urlsafe(32))
    text = _FIRST.format(address=f"http://{host}:{port}", token=token)
    file.write_text(text)
    click.echo(f"{file} was not there: wrote a first one; Alertmanager's token is in {token}")


_FIRST = """\
# The smallest working configuration. Every setting: docs/configuration.md; an example: bridge.example.yml
url: {address}
database: sqlite:///var/bridge.db
sources:
  main: {{type: alertmanager, token_file: {token}}}
clients:
  example: {{name: Example Ltd}}
priorities:
  P1: {{respond: 10m, restore: 1h}}
  P2: {{plan: 24h, fix: 2w}}
  P3: {{page: false}}
triage: [alert_rules/triage.yml]
policies:
  page: {{steps: [{{after: 0m, notify: [console]}}]}}
channels:
  console: {{type: console}}
"""

COMMANDS = (run, web, worker)
