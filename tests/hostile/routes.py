"""The routes that take alerts, how a machine says who it is, and what each does with a stranger's body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class Route:
    """One way in.

    `strange`: what cannot be understood is kept in quarantine; or refused, where the sender's key stands in
    the body and nobody is known; or ignored, where no body is read.
    """

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    strange: Literal["kept", "refused", "ignored"] = "kept"
    method: str = "POST"


ROUTES = {
    "alertmanager": Route("/ingest/alertmanager/main", bearer("ingest-secret")),
    "alertmanager without a name": Route("/ingest/alertmanager", bearer("other-secret")),
    "grafana": Route("/ingest/grafana", bearer("grafana-secret")),
    "grafana by PUT": Route("/ingest/grafana/grafana", bearer("grafana-secret"), method="PUT"),
    "form": Route("/ingest/form", bearer("form-secret")),
    "pagerduty": Route("/v2/enqueue", strange="refused"),
    "heartbeat": Route("/heartbeat/beat", bearer("beat-secret"), strange="ignored"),
}
