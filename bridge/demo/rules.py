"""Rules under their production names, with windows of seconds: a demo cannot wait for minutes."""

from __future__ import annotations

from typing import Final

import yaml

from bridge.demo.gateway import EU

_BY: Final = "sum by (client, service, gateway, region)"
_CLIENT: Final = "sum by (client, service)"
_ALL: Final = "payment_requests_total"
_OK: Final = 'payment_requests_total{outcome="ok"}'
_TIMEOUT: Final = 'payment_requests_total{outcome="timeout"}'
_BUCKET: Final = "payment_request_duration_seconds_bucket"

Rule = dict[str, object]


def demo_rules(window: str = "8s", hold: str = "1s", url: str = "https://bridge.example") -> str:
    """Give the text of a rule file: rates look back on `window`, problems must last for `hold`.

    `url` is how the links to runbooks begin.
    """
    alerts = [_gateway_timeout(hold, url), _region_saturated(hold, url), _watchdog(url)]
    groups = [
        {"name": "payments-sli", "rules": _recordings(window)},
        {"name": "demo-alerts", "rules": alerts},
    ]
    return yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=1000)


def _recordings(window: str) -> list[Rule]:
    """Without traffic ratios and latency have no sample; the request rate is then 0, a fact."""
    buckets = f"sum by (le, client, service, gateway, region) (rate({_BUCKET}[{window}]))"
    timeouts = f"{_BY} (rate({_TIMEOUT}[{window}]))"
    total = f"{_BY} (rate({_ALL}[{window}]))"
    busy = f'1 - avg by (client, region) (rate(node_cpu_seconds_total{{mode="idle"}}[{window}]))'
    return [
        {"record": "payment_success_ratio", "expr": _success_ratio(_CLIENT, window)},
        {"record": "payment:requests:rate5m", "expr": total},
        {"record": "payment:success_ratio:rate5m", "expr": _success_ratio(_BY, window)},
        {"record": "payment:timeout_ratio:rate2m", "expr": f"{timeouts} / ({total} > 0)"},
        {"record": "payment:latency_seconds:p95", "expr": f"histogram_quantile(0.95, {buckets}) >= 0"},
        {"record": "region:cpu_busy:ratio_rate5m", "expr": busy},
    ]


def _success_ratio(by: str, window: str) -> str:
    good, total = f"{by} (rate({_OK}[{window}]))", f"{by} (rate({_ALL}[{window}]))"
    return f"({good} or 0 * {total}) / ({total} > 0)"


def _gateway_timeout(hold: str, url: str) -> Rule:
    return {
        "alert": "PaymentGatewayTimeout",
        "expr": "payment:timeout_ratio:rate2m > 0.10",
        "for": hold,
        "labels": {"severity": "critical", "priority": "P1", "service": "payments"},
        "annotations": {
            "summary": "Payment gateway {{ $labels.gateway }} times out for {{ $labels.client }} "
            "in {{ $labels.region }}",
            "summary_zh": "支付网关 {{ $labels.gateway }} 超时：{{ $labels.client }}（{{ $labels.region }}）",
            "description": "{{ $value | humanizePercentage }} of payments through "
            "{{ $labels.gateway }} end as a timeout (limit 10%).",
            "runbook_url": f"{url}/runbooks/payments#paymentgatewaytimeout",
        },
    }


def _region_saturated(hold: str, url: str) -> Rule:
    return {
        "alert": "RegionSaturated",
        "expr": f'region:cpu_busy:ratio_rate5m{{region="{EU}"}} > 0.80',
        "for": hold,
        "labels": {"severity": "warning", "priority": "P2", "service": "hosts"},
        "annotations": {
            "summary": "Hosts of {{ $labels.client }} in {{ $labels.region }} are saturated",
            "summary_zh": "{{ $labels.client }} 在 {{ $labels.region }} 的主机资源饱和",
            "description": "CPU is {{ $value | humanizePercentage }} busy on average over all hosts "
            "of the region (limit 80%).",
            "runbook_url": f"{url}/runbooks/regions#regionsaturated",
        },
    }


def _watchdog(url: str) -> Rule:
    return {
        "alert": "Watchdog",
        "expr": "vector(1)",
        "labels": {"severity": "info", "client": "platform", "service": "monitoring", "region": "global"},
        "annotations": {
            "summary": "The path from Prometheus to the bridge works",
            "summary_zh": "监控链路正常（心跳）",
            "description": "Fires all the time. Only its absence is a problem.",
            "runbook_url": f"{url}/runbooks/watchdog#watchdog",
        },
    }
