"""Asking the world before and after a switch: HTTP probes and PromQL conditions."""

from __future__ import annotations

from dataclasses import dataclass

from bridge import prometheus
from bridge.config.settings import PlanSettings, Probe
from bridge.delivery import DeliveryError
from bridge.wiring import Bridge

PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class ProbeResult:
    """One probe and what it said."""

    probe: str
    holds: bool
    said: str


def look(bridge: Bridge, plan: PlanSettings, probe: Probe) -> ProbeResult:
    """Ask one probe; no answer is not a yes."""
    try:
        if probe.http:
            status = bridge.outbound.call("GET", probe.http, seconds=PROBE_SECONDS).status
            return ProbeResult("http probe", 200 <= status < 300, f"answered {status}")
        server = _prometheus(bridge, plan)
        holds = prometheus.holds(bridge.outbound, server, probe.promql, seconds=PROBE_SECONDS)
        return ProbeResult(probe.promql, holds, "holds" if holds else "does not hold")
    except DeliveryError as error:
        return ProbeResult(probe.promql or "http probe", False, str(error))


def _prometheus(bridge: Bridge, plan: PlanSettings) -> str:
    """The plan's own Prometheus, else the first one a source names."""
    servers = (typed.settings.prometheus for typed in bridge.config.sources.values())
    return plan.prometheus or next(filter(None, servers), "")
