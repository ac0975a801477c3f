"""Lines over time, as SVG within a page: `templates/style.css` has its colours, light and dark."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import msgspec

from app.api.pages.render import render
from app.api.pages.texts import Language, texts

# Units of the SVG; few, so that labels can be read where a phone makes it narrow.
_WIDTH, _HEIGHT = 420.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 20.0, 24.0, 42.0
#: Colours in the style sheet; further lines take them again, dashed.
_COLOURS = 8
_TICKS = 4
#: Steps between time labels, in seconds; the first that gives few enough is taken.
_TIME_STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
_TIME_LABELS = 5


class Line(msgspec.Struct, frozen=True):
    name: str
    #: Unix seconds and value, in order; a gap where it is None, or no finite number.
    points: Sequence[tuple[float, float | None]]


class _Drawn(msgspec.Struct, frozen=True):
    name: str
    css: str
    #: `points` of each polyline, and the centre of each value that stands between gaps.
    pieces: list[str]
    dots: list[tuple[str, str]]
    summary: str


class _Tick(msgspec.Struct, frozen=True):
    at: str
    label: str
    seconds: int = 0


def line_plot(title: str, unit: str, lines: Sequence[Line], begin: float, end: float, language: Language) -> str:
    """A figure with its legend, as HTML.

    :param unit: of the values, at their axis.
    :param begin, end: Unix seconds of the time axis; points outside are left out.
    """
    shown = [(line.name, _within(line.points, begin, end)) for line in lines]
    most = max((v for _, points in shown for _, v in points if v is not None), default=0.0)
    step = _nice(max(most, 0.0) / _TICKS)
    top = step * max(1, math.ceil(most / step - 1e-9))
    span = max(end - begin, 1.0)

    def x(at: float) -> str:
        return f"{_LEFT + (at - begin) / span * (_WIDTH - _LEFT - _RIGHT):.1f}"

    def y(value: float) -> str:
        return f"{_HEIGHT - _BOTTOM - min(max(value, 0.0), top) / top * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    drawn = []
    for number, (name, points) in enumerate(shown):
        pieces = [[(x(at), y(v)) for at, v in piece] for piece in _pieces(points)]
        drawn.append(
            _Drawn(
                name=name,
                css=f"c{number % _COLOURS}" + (" dashed" if number >= _COLOURS else ""),
                pieces=[" ".join(f"{px},{py}" for px, py in piece) for piece in pieces if len(piece) > 1],
                dots=[piece[0] for piece in pieces if len(piece) == 1],
                summary=_summary(points, language),
            )
        )
    return render(
        "plot.html",
        language,
        title=title,
        unit=unit,
        lines=drawn,
        empty=not any(line.pieces or line.dots for line in drawn),
        values=[_Tick(y(i * step), number_text(i * step)) for i in range(round(top / step) + 1)],
        times=[_Tick(x(at), time.strftime("%H:%M", time.gmtime(at)), at) for at in _times(begin, end)],
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
    )


def number_text(value: float) -> str:
    """A number as short as it can be read: three digits, and no exponent."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{1 if value >= 10 else 2}f}".rstrip("0").rstrip(".")


def _within(points: Sequence[tuple[float, float | None]], begin: float, end: float) -> list[tuple[float, float | None]]:
    return [
        (at, value if value is not None and math.isfinite(value) else None) for at, value in points if begin <= at <= end
    ]


def _pieces(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """What is between gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is not None:
            pieces[-1].append((at, value))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _summary(points: Sequence[tuple[float, float | None]], language: Language) -> str:
    t = texts(language)
    values = [value for _, value in points if value is not None]
    if not values:
        return t["plot_none"]
    most = number_text(max(values))
    last = points[-1][1]
    return t["plot_past"].format(most=most) if last is None else t["plot_now"].format(now=number_text(last), most=most)


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... (and 0.1, 0.2, ...) from `step` on; 0.25 for a plot of zeros."""
    if step <= 0:
        return 0.25
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= step * (1 - 1e-9))


def _times(begin: float, end: float) -> list[int]:
    step = next((s for s in _TIME_STEPS if (end - begin) / s <= _TIME_LABELS), _TIME_STEPS[-1])
    return list(range(math.ceil(begin / step) * step, math.floor(end) + 1, step))
