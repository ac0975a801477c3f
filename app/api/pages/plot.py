"""Lines over time, as SVG within a page: `templates/style.css` has its colours, light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import msgspec

from app.api.pages.render import render

# Where the lines are, in the SVG's units; few, so that labels can be read where a phone makes it narrow.
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 400, 24, 168
_TICKS = 4
#: Steps between time labels, in seconds; the first that gives few enough is taken.
_TIME_STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
_TIME_LABELS = 5


class Line(msgspec.Struct, frozen=True):
    name: str
    #: Unix seconds and value, in order; a gap where it is None, or no finite number.
    points: Sequence[tuple[float, float | None]]

    def between(self, begin: float, end: float) -> Line:
        """Leave out the points outside, and make every gap None."""
        kept = [(at, v if v is not None and math.isfinite(v) else None) for at, v in self.points if begin <= at <= end]
        return Line(self.name, kept)

    @property
    def pieces(self) -> list[list[tuple[float, float | None]]]:
        """What is between gaps."""
        return [list(piece) for is_gap, piece in groupby(self.points, lambda point: point[1] is None) if not is_gap]

    @property
    def most(self) -> float | None:
        return max((value for _, value in self.points if value is not None), default=None)


def line_plot(title: str, unit: str, lines: Sequence[Line], begin: float, end: float, language: str) -> str:
    """Draw a figure with its legend, as HTML.

    :param unit: of the values, at their axis.
    :param begin, end: Unix seconds of the time axis; points outside are left out.
    """
    shown = [line.between(begin, end) for line in lines]
    most = max((line.most or 0.0 for line in shown), default=0.0)
    step = _nice(max(most, 0.0) / _TICKS)
    ticks = max(1, math.ceil(most / step - 1e-9))
    span = max(end - begin, 1.0)

    def x(at: float) -> str:
        return f"{_LEFT + (at - begin) / span * (_RIGHT - _LEFT):.1f}"

    def y(value: float) -> str:
        return f"{_BOTTOM - min(max(value / (step * ticks), 0.0), 1.0) * (_BOTTOM - _TOP):.1f}"

    return render(
        "plot.html",
        language,
        title=title,
        unit=unit,
        lines=shown,
        curve=lambda piece: " ".join(f"{x(at)},{y(value)}" for at, value in piece),
        x=x,
        y=y,
        values=[i * step for i in range(ticks + 1)],
        times=_times(begin, end),
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
    )


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... (and 0.1, 0.2, ...) from `step` on; 0.25 for a plot of zeros."""
    if step <= 0:
        return 0.25
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= step * (1 - 1e-9))


def _times(begin: float, end: float) -> list[int]:
    step = next((s for s in _TIME_STEPS if (end - begin) / s <= _TIME_LABELS), _TIME_STEPS[-1])
    return list(range(math.ceil(begin / step) * step, math.floor(end) + 1, step))
