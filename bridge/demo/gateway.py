"""A payment gateway with a primary and a standby channel, to be broken and switched on purpose.

`Gateway()` in a program, or `python -m bridge.demo.gateway --port N` on its own.
"""

from __future__ import annotations

import ipaddress
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Self

import click
import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bridge.demo.hosts import Host, Hosts
from bridge.demo.listener import LOOPBACK, Answer, Listener, Request
from bridge.demo.switchboard import LedgerEntry, Switchboard, SwitchOrder, Trouble
from bridge.demo.traffic import CHANNELS, Channel, Condition, Mode, Traffic

log = logging.getLogger(__name__)

EU: Final = "eu-west-1"
HOSTS: Final = (Host("eu-pay-1", EU), Host("ap-pay-1", "ap-east-1"))


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """What a gateway is called, whom it serves and where."""

    name: str = "harbourpay"
    clients: tuple[str, ...] = ("acme",)
    hosts: tuple[Host, ...] = HOSTS
    payments_per_second: float = 20.0
    """For each client in each region."""
    secret: bytes | None = None
    ledger_file: Path | None = None
    host: str = LOOPBACK
    port: int = 0

    @property
    def regions(self) -> tuple[str, ...]:
        """Every region once, in the order of the hosts."""
        return tuple(dict.fromkeys(host.region for host in self.hosts))


class _Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="fault"):
    """What POST /fault takes, told apart by its field `fault`."""


class _ChannelFault(_Fault, frozen=True, tag="channel"):
    channel: Channel
    mode: Mode
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class _SwitchFault(_Fault, frozen=True, tag="switch"):
    trouble: Trouble
    times: int | None = None


class _Overload(_Fault, frozen=True, tag="overload"):
    region: str = EU
    load: float = 18.0


class _Disk(_Fault, frozen=True, tag="disk"):
    region: str = EU
    used: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.96


class _Recover(_Fault, frozen=True, tag="recover"):
    pass


_AnyFault = _ChannelFault | _SwitchFault | _Overload | _Disk | _Recover


class Gateway:
    """The simulation and its HTTP server; it can be stopped and started again."""

    def __init__(
        self,
        config: GatewayConfig = GatewayConfig(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self._traffic = Traffic(
            config.name, config.clients, config.regions, config.payments_per_second, clock
        )
        self._hosts = Hosts(config.hosts, clock)
        self._switchboard = Switchboard(self._traffic.route, config.secret, config.ledger_file)
        self._registry = CollectorRegistry()
        self._registry.register(self._traffic)
        self._registry.register(self._hosts)
        self._listener = Listener(self._respond, config.host, config.port)

    def start(self) -> Self:
        """Listen on the configured port."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """Stop listening; state and port are kept, so `start` brings the same gateway back."""
        self._switchboard.trouble(None)
        self._listener.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._listener.url

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start with port 0."""
        return self._listener.port

    @property
    def active(self) -> Channel:
        """The channel that payments really go over."""
        return self._switchboard.active

    def state(self) -> dict[str, object]:
        """What GET /state answers: active channel, highest token seen, number of switches."""
        return self._switchboard.state()

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Every call of POST /switch so far, refused ones too."""
        return self._switchboard.ledger()

    def metrics(self) -> bytes:
        """What GET /metrics answers."""
        return generate_latest(self._registry)

    def break_channel(self, channel: Channel, mode: Mode = Mode.TIMEOUT, ratio: float = 0.5) -> None:
        """`ratio` is the share of payments that fail in mode ERRORS."""
        self._traffic.set_condition(channel, Condition(mode, round(ratio * 100)))
        log.info("channel changed", extra={"channel": channel, "mode": mode.value})

    def break_switch(self, trouble: Trouble, times: int | None = None) -> None:
        """Let POST /switch misbehave for so many authentic orders, or until `recover`."""
        self._switchboard.trouble(trouble, times)
        log.info("switch changed", extra={"trouble": trouble.value, "times": times})

    def overload(self, region: str = EU, load: float = 18.0) -> None:
        """Give the hosts of a region this load."""
        self._hosts.overload(region, load)

    def fill_disk(self, region: str = EU, used: float = 0.96) -> None:
        """Let this share of the disks of a region be used."""
        self._hosts.fill_disk(region, used)

    def recover(self) -> None:
        """Heal channels, switch endpoint and hosts; the active channel stays where it is."""
        for channel in CHANNELS:
            self._traffic.set_condition(channel, Condition())
        self._switchboard.trouble(None)
        self._hosts.recover()

    def _respond(self, request: Request) -> Answer:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["metrics"]:
                answer = Answer(body=self.metrics(), content_type=CONTENT_TYPE_LATEST)
            case "GET", ["state"]:
                answer = _json(200, self.state())
            case "GET", ["ledger"]:
                answer = _json(200, self.ledger())
            case "GET", ["health"]:
                answer = self._health(self.active)
            case "GET", ["channels", ("primary" | "standby") as channel, "health"]:
                answer = self._health(channel)
            case "GET", ["channels", ("primary" | "standby") as channel, "metrics"]:
                answer = self._channel_metrics(channel)
            case "POST", ["switch"]:
                answer = self._switch(request)
            case "POST", ["fault"]:
                answer = self._take_fault(request)
            case _:
                answer = _json(404, {"error": "not found"})
        return answer

    def _health(self, channel: Channel) -> Answer:
        condition = self._traffic.condition(channel)
        status = 200 if condition.healthy else 503
        return _json(status, {"channel": channel, "healthy": condition.healthy, "mode": condition.mode})

    def _channel_metrics(self, channel: Channel) -> Answer:
        """A scrape target per channel, so that `up{job="pay-standby"}` tells of one alone."""
        if not self._traffic.condition(channel).healthy:
            return Answer(503, b"unhealthy\n", "text/plain")
        text = f'# TYPE payment_channel_up gauge\npayment_channel_up{{channel="{channel}"}} 1\n'
        return Answer(200, text.encode(), CONTENT_TYPE_LATEST)

    def _switch(self, request: Request) -> Answer:
        ruling = self._switchboard.order(
            SwitchOrder(
                body=request.body,
                signature=request.headers.get("x-bridge-signature"),
                key=request.headers.get("idempotency-key"),
                token=request.headers.get("fencing-token"),
            )
        )
        log.info("switch order", extra={"verdict": ruling.verdict.value, "status": ruling.status})
        if not ruling.answered:
            return Answer(dropped=True)
        return _json(ruling.status, ruling.reply)

    def _take_fault(self, request: Request) -> Answer:
        if not ipaddress.ip_address(request.peer).is_loopback:
            return _json(403, {"error": "faults are set from this machine only"})
        try:
            self._apply(msgspec.json.decode(request.body, type=_AnyFault))
        except ValueError as error:
            return _json(422, {"error": str(error)})
        return _json(200, {"done": True})

    def _apply(self, fault: _AnyFault) -> None:
        match fault:
            case _ChannelFault():
                self.break_channel(fault.channel, fault.mode, fault.ratio)
            case _SwitchFault():
                self.break_switch(fault.trouble, fault.times)
            case _Overload():
                self.overload(fault.region, fault.load)
            case _Disk():
                self.fill_disk(fault.region, fault.used)
            case _Recover():
                self.recover()


def _json(status: int, value: object) -> Answer:
    return Answer(status, msgspec.json.encode(value))


@click.command()
@click.option("--port", type=int, required=True, help="Port to listen on; 0 takes a free one.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--name", default=GatewayConfig().name, show_default=True, help="Label `gateway`.")
@click.option("--client", "clients", multiple=True, default=("acme",), show_default=True)
@click.option("--secret-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), help="JSONL file.")
def main(
    port: int,
    host: str,
    name: str,
    clients: tuple[str, ...],
    secret_file: Path | None,
    ledger: Path | None,
) -> None:
    """Run a simulated payment gateway until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    secret = secret_file.read_bytes().strip() if secret_file else None
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    config = GatewayConfig(
        name=name, clients=clients, secret=secret, ledger_file=ledger, host=host, port=port
    )
    with Gateway(config) as gateway:
        log.info("gateway %s listens on %s", name, gateway.url)
        ended.wait()


if __name__ == "__main__":
    main()
