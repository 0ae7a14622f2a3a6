"""How a figure is written beside last month's, and whether the change is welcome. Pure."""

from __future__ import annotations

from health_report.figures import change
from health_report.section import Figure
from health_report.words import Words


def share(words: Words, label: str, now: float | None, before: float | None, digits: int = 2) -> Figure:
    """A share of 1 where more is better; its change is told in percentage points."""
    moved = change(now, before)
    text = words.say("common.no_before")
    good: bool | None = None
    if moved:
        # Zero to the digits shown is no change, whatever the digits behind say.
        points = round(moved.absolute * 100, digits)
        text = words.say("common.points", value=_signed(words, points, digits)) if points else same(words)
        good = points > 0 if points else None
    return Figure(label, words.percent(now, digits), text, good, moved is not None)


def seconds(words: Words, label: str, now: float | None, before: float | None) -> Figure:
    """A latency in seconds where less is better; its change is told in per cent."""
    return _relative(words, Figure(label, words.seconds(now)), now, before)


def length(words: Words, label: str, now: float | None, before: float | None) -> Figure:
    """A length of time where less is better; its change is told in per cent."""
    return _relative(words, Figure(label, words.length(now)), now, before)


def count(words: Words, label: str, now: int, before: int) -> Figure:
    """A number of things where fewer are better."""
    moved = now - before
    text = words.say("common.moved", value=_signed(words, moved, 0)) if moved else same(words)
    return Figure(label, words.number(now), text, moved < 0 if moved else None)


def same(words: Words) -> str:
    """Nothing changed."""
    return words.say("common.same")


def _relative(words: Words, figure: Figure, now: float | None, before: float | None) -> Figure:
    moved = change(now, before)
    if moved is None or moved.relative is None:
        return Figure(figure.label, figure.value, words.say("common.no_before"), compared=False)
    per_cent = round(moved.relative * 100)
    if not per_cent:
        return Figure(figure.label, figure.value, same(words))
    text = words.say("common.moved", value=f"{_signed(words, per_cent, 0)}%")
    return Figure(figure.label, figure.value, text, per_cent < 0)


def _signed(words: Words, value: float, digits: int) -> str:
    return f"{'+' if value > 0 else '−'}{words.number(abs(value), digits)}"
