"""Plots as inline SVG: no plotting library, nothing loaded from elsewhere, legible in light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from xml.sax.saxutils import escape

from .ticks import linear_ticks, log_ticks, tick_words

Points = tuple[Sequence[float], Sequence[float]]
"""Abscissae and ordinates, of one length."""

# Okabe and Ito's colours (2008), darker in light pages and lighter in dark ones where they would be faint.
_COLOURS: Final = (
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff8a3d"),
    ("#00805e", "#2fcc9f"),
    ("#b0528f", "#e29ac5"),
    ("#8a6d00", "#f0e442"),
    ("#3d4a5c", "#c3ccd8"),
)
_DASHES: Final = ("", "7 4", "2 3", "10 4 2 4")
_LETTER: Final = 6.7  # mean width of a letter at 12 px
_FEW_POINTS: Final = 25
_LEGEND_STEP: Final = 19


@dataclass(frozen=True)
class _Frame:
    """The axes: limits in data and in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    top: float
    right: float
    bottom: float
    log_y: bool

    def place(self, x: float, y: float) -> tuple[float, float]:
        low, high = (math.log10(limit) for limit in self.y) if self.log_y else self.y
        value = math.log10(y) if self.log_y else y
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (value - low) / (high - low)
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def line_plot_svg(
    series: Mapping[str, Points],
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
    width: int = 760,
    height: int = 400,
    legend: Literal["right", "below"] = "right",
) -> str:
    """Lines in one set of axes, as an SVG element that can stand in a page or a file of its own.

    Colours follow the reader's light or dark scheme; from the seventh line on they repeat with dashes. What is not
    finite, and on a logarithmic axis what is not positive, is a gap in its line.

    Parameters
    ----------
    series:
        Name to ``(x, y)``.
    log_y:
        Logarithmic ordinate; linear all the same if nothing is positive.
    y_range:
        Limits of the ordinate; None fits them to the data.
    width, height:
        Of its own coordinates; in a page it scales with its column. Higher where the legend is, or by it.
    legend:
        On the right of the axes, or below them, which leaves a narrow plot its width.

    Raises
    ------
    ValueError
        If x and y of a series differ in length.
    """
    for name, (xs, ys) in series.items():
        if len(xs) != len(ys):
            raise ValueError(f"the series {name!r} has {len(xs)} abscissae and {len(ys)} ordinates")
    log_y = log_y and any(math.isfinite(y) and y > 0 for _, ys in series.values() for y in ys)
    runs = {name: _runs(points, log_y) for name, points in series.items()}
    drawn = [point for parts in runs.values() for part in parts for point in part]
    x_limits, y_limits = _limits(drawn, log_y, y_range)
    y_ticks = log_ticks(*y_limits, most=8) if log_y else linear_ticks(*y_limits, most=6)
    whole = all(float(x).is_integer() for x, _ in drawn)
    x_ticks = linear_ticks(*x_limits, most=8, whole=whole)
    words_width = max((len(tick_words(tick)) for tick in y_ticks), default=1) * _LETTER
    entry = max((len(name) for name in series), default=0) * _LETTER + 48
    beside = min(0.4 * width, entry) if legend == "right" else 0.0
    if legend == "right":
        height = max(height, 80 + _LEGEND_STEP * len(series))
    frame = _Frame(
        x=x_limits,
        y=y_limits,
        left=words_width + (42 if y_label else 20),
        top=44 if title else 16,
        right=width - beside - 12,
        bottom=height - (48 if x_label else 30),
        log_y=log_y,
    )
    side_by_side = 1 if legend == "right" else max(1, int((width - frame.left) / entry))
    if legend == "below":
        height += _LEGEND_STEP * -(-len(series) // side_by_side)
    name = title or y_label or "plot"
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gs-plot" {size} role="img" aria-label="{attribute(name)}">',
        f"<title>{escape(name)}</title>",
        SVG_STYLE,
        f'<rect class="ground" width="{width}" height="{height}" rx="6"/>',
        *_axes(frame, x_ticks, y_ticks),
        *_labels(frame, title, x_label, y_label),
    ]
    for number, (line, pieces) in enumerate(runs.items()):
        parts += _line(frame, number, line, pieces)
    where = (
        (frame.right + 16, frame.top + 10)
        if legend == "right"
        else (frame.left, frame.bottom + (58 if x_label else 40))
    )
    parts += _legend(list(series), where, width, side_by_side)
    if not drawn:
        middle = (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2
        parts.append(f'<text class="soft" x="{px(middle[0])}" y="{px(middle[1])}" text-anchor="middle">no data</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _runs(points: Points, log_y: bool) -> list[list[tuple[float, float]]]:
    """The line in pieces between the points that cannot be drawn."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(*points, strict=True):
        if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log_y):
            pieces[-1].append((float(x), float(y)))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _limits(
    drawn: Sequence[tuple[float, float]], log_y: bool, y_range: tuple[float, float] | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    xs = [x for x, _ in drawn] or [0.0, 1.0]
    x_low, x_high = min(xs), max(xs)
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    if y_range is not None:
        return (x_low, x_high), y_range
    ys = [y for _, y in drawn] or [0.0, 1.0]
    y_low, y_high = min(ys), max(ys)
    if log_y:
        margin = (y_high / y_low) ** 0.05 if y_high > y_low else 2.0
        return (x_low, x_high), (y_low / margin, y_high * margin)
    margin = 0.06 * (y_high - y_low) or 0.1 * abs(y_high) or 1.0
    # A quantity that is never negative keeps its axis at zero rather than below.
    return (x_low, x_high), (max(0.0, y_low - margin) if y_low >= 0 else y_low - margin, y_high + margin)


def _axes(frame: _Frame, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    parts = []
    for tick in y_ticks:
        _, y = frame.place(frame.x[0], tick)
        parts.append(f'<path class="grid" d="M{px(frame.left)} {px(y)}H{px(frame.right)}"/>')
        parts.append(f'<text x="{px(frame.left - 8)}" y="{px(y + 4)}" text-anchor="end">{tick_words(tick)}</text>')
    for tick in x_ticks:
        x, _ = frame.place(tick, frame.y[0])
        parts.append(f'<path class="axis" d="M{px(x)} {px(frame.bottom)}v5"/>')
        parts.append(f'<text x="{px(x)}" y="{px(frame.bottom + 19)}" text-anchor="middle">{tick_words(tick)}</text>')
    outline = f"M{px(frame.left)} {px(frame.top)}V{px(frame.bottom)}H{px(frame.right)}"
    return [*parts, f'<path class="axis" d="{outline}"/>']


def _labels(frame: _Frame, title: str, x_label: str, y_label: str) -> list[str]:
    parts = []
    if title:
        parts.append(f'<text class="title" x="{px(frame.left)}" y="26">{escape(title)}</text>')
    if x_label:
        middle = (frame.left + frame.right) / 2
        place = f'x="{px(middle)}" y="{px(frame.bottom + 39)}"'
        parts.append(f'<text class="soft" {place} text-anchor="middle">{escape(x_label)}</text>')
    if y_label:
        middle = (frame.top + frame.bottom) / 2
        turn = f'transform="translate(16 {px(middle)}) rotate(-90)"'
        parts.append(f'<text class="soft" {turn} text-anchor="middle">{escape(y_label)}</text>')
    return parts


def _line(frame: _Frame, number: int, name: str, pieces: Sequence[Sequence[tuple[float, float]]]) -> list[str]:
    css = f"s{number % len(_COLOURS)}"
    parts = [f"<g><title>{escape(name)}</title>"]
    few = sum(len(piece) for piece in pieces) <= _FEW_POINTS
    for piece in pieces:
        places = [frame.place(x, y) for x, y in piece]
        if len(places) > 1:
            way = "L".join(f"{px(x)} {px(y)}" for x, y in places)
            parts.append(f'<path class="line {css}"{_dash(number)} d="M{way}"/>')
        if few or len(places) == 1:
            parts += [f'<circle class="dot {css}" cx="{px(x)}" cy="{px(y)}" r="2.6"/>' for x, y in places]
    return [*parts, "</g>"]


def _legend(names: Sequence[str], where: tuple[float, float], width: int, side_by_side: int) -> list[str]:
    """The names with samples of their lines, row by row from the top left at `where`."""
    parts = []
    room = (width - where[0]) / side_by_side
    letters = max(4, int((room - 34) / _LETTER))
    for number, name in enumerate(names):
        row, column = divmod(number, side_by_side)
        left, y = where[0] + column * room, where[1] + _LEGEND_STEP * row
        css = f"s{number % len(_COLOURS)}"
        shown = name if len(name) <= letters else name[: letters - 1] + "…"
        parts.append(f'<path class="line {css}"{_dash(number)} d="M{px(left)} {px(y)}h22"/>')
        parts.append(f'<text x="{px(left + 29)}" y="{px(y + 4)}">{escape(shown)}</text>')
    return parts


def _dash(number: int) -> str:
    pattern = _DASHES[number // len(_COLOURS) % len(_DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def attribute(words: str) -> str:
    return escape(words, {'"': "&quot;"})


def px(value: float) -> str:
    """A coordinate: two decimals are a fraction of a pixel, and the text is the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _style() -> str:
    # The rules name the class, because a style element inside of a page speaks to the whole page. Colours are written
    # out for each scheme: many viewers of SVG files know no CSS variables.
    light = _colour_rules("#ffffff", "#1d232c", "#5a6472", "#e3e7ec", "#8d97a5", [pair[0] for pair in _COLOURS])
    dark = _colour_rules("#14171c", "#e6eaf0", "#a3adba", "#2b313a", "#6d7786", [pair[1] for pair in _COLOURS])
    shapes = (
        ".gs-plot{max-width:100%;height:auto;font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
        ".gs-plot text{font-size:12px}.gs-plot .title{font-size:15px;font-weight:600}"
        ".gs-plot .grid,.gs-plot .axis,.gs-plot .line{fill:none}"
        ".gs-plot .line{stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    )
    return f"<style>{shapes}{light}@media(prefers-color-scheme:dark){{{dark}}}</style>"


def _colour_rules(ground: str, ink: str, soft: str, grid: str, axis: str, lines: Sequence[str]) -> str:
    rules = f".gs-plot .ground{{fill:{ground}}}.gs-plot text{{fill:{ink}}}.gs-plot .soft{{fill:{soft}}}"
    rules += f".gs-plot .grid{{stroke:{grid}}}.gs-plot .axis{{stroke:{axis}}}"
    return rules + "".join(
        f".gs-plot .line.s{i}{{stroke:{colour}}}.gs-plot .dot.s{i}{{fill:{colour}}}" for i, colour in enumerate(lines)
    )


SVG_STYLE: Final = _style()
