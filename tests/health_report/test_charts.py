"""Charts: text stays text, strangers' labels stay labels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from health_report import charts
from health_report.figures import Gap
from health_report.words import Words

WORDS = Words("zh", "Asia/Shanghai")
DAY = 86_400.0
WINDOW = (1_790_784_000.0, 1_790_784_000.0 + 30 * DAY)
HOSTILE = [
    "<script>alert(1)</script>",
    "$x^$",
    "$\\frac{",
    "a\x00b",
    "\u202egnp.exe",
    "]]>&amp;",
    "_hidden",
    "{{7*7}}",
    "支付",
    "🔥",
    "x" * 9_000,
]


def line(name: str, values: list[float | None] | None = None) -> charts.Line:
    values = values or [0.9, 1.0, None, 0.8]
    return charts.Line(name, [WINDOW[0] + DAY * k for k in range(len(values))], values)


def series(name: str = "payments", **more: Any) -> charts.Chart:
    usual: dict[str, Any] = {"alt": "说明", "caption": "见图"}
    return charts.time_series(
        [line(name), line("orders")], WORDS, WINDOW, lambda v: f"{v:.1f}", **(usual | more)
    )


def texts(chart: charts.Chart) -> list[str]:
    root = ET.fromstring(str(chart.svg))
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_labels_stay_labels(name: str) -> None:
    drawn = [
        series(name, bands=[charts.Band(name, WINDOW[0], WINDOW[0] + DAY)], limit=(0.9, name), alt=name),
        charts.bars([(name, 1.0), ("b", 2.0)], str, limit=(1.5, name), alt=name, caption=name),
        charts.timeline(
            [charts.Span(name, WINDOW[0], WINDOW[1], None, heavy=True)], WORDS, WINDOW, alt=name, caption=name
        ),
    ]
    for chart in drawn:
        assert "<script" not in chart.svg
        assert len(chart.svg) < 200_000
    if name in ("$x^$", "支付", "{{7*7}}"):
        assert any(name in text for chart in drawn for text in texts(chart))


def test_a_chart_says_what_it_shows() -> None:
    root = ET.fromstring(str(series().svg))
    assert root.get("role") == "img"
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "说明"


def test_gaps_are_hatched_and_named_and_incidents_are_bands() -> None:
    gap = Gap(WINDOW[0] + 3 * DAY, WINDOW[0] + 3.25 * DAY)
    chart = series(gaps=[gap], bands=[charts.Band("INC-42", WINDOW[0] + DAY, WINDOW[0] + 2 * DAY)])
    assert "<pattern" in chart.svg
    assert "无数据 6 小时" in texts(chart)
    assert "INC-42" in texts(chart)
    assert "10月1日" in texts(chart)


def test_nothing_in_a_chart_reaches_outside() -> None:
    for chart in (
        series(),
        charts.bars([], str, alt="a", caption="c"),
        charts.timeline([], WORDS, WINDOW, alt="a", caption="c"),
    ):
        text = str(chart.svg).replace("http://www.w3.org/", "")
        assert "http" not in text
        assert "<style" not in text
        assert "<metadata" not in text


def test_lines_without_any_value() -> None:
    assert charts.time_series(
        [line("a", [None, None])], WORDS, WINDOW, str, ceiling=1.0, alt="a", caption="c"
    ).svg


def test_the_same_facts_give_the_same_bytes_in_any_thread() -> None:
    gap = Gap(WINDOW[0] + 3 * DAY, WINDOW[0] + 4 * DAY)
    with ThreadPoolExecutor(4) as pool:
        drawn = set(pool.map(lambda _: str(series(gaps=[gap]).svg), range(12)))
    assert len(drawn) == 1
