"""Every patient as a dot, side by side for several groups, with what sums them up; SVG as `plots` makes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from .plots import SVG_STYLE, attribute, px
from .ticks import linear_ticks, tick_words

Up = Callable[[float], float]
"""Where a value lies, counted from the top of the picture."""

_SPREAD: Final = 0.26
_LETTER: Final = 6.7
_COLOURS: Final = 6
_FEW_FOR_A_BOX: Final = 5
_STEM: Final = ".gs-plot .box{fill:none;stroke-width:1.4;opacity:.75}.gs-plot .stem{stroke-width:2.6}"


@dataclass(frozen=True)
class Strip:
    """A group of values.

    Parameters
    ----------
    name, values:
        What it is, and one value a patient; what is not finite is counted in the name and not drawn.
    names:
        Whom each value is of; said when the pointer rests on a dot. Empty for nobody.
    mean, interval:
        The mean and the ends of its confidence interval; None or NaN for none.
    colour:
        Groups of one number have one colour.
    below:
        What stands under the name, before the number of values.
    """

    name: str
    values: Sequence[float]
    names: Sequence[str] = ()
    mean: float | None = None
    interval: tuple[float, float] | None = None
    colour: int = 0
    below: str = ""


def strip_plot_svg(
    strips: Sequence[Strip],
    *,
    title: str = "",
    y_label: str = "",
    zero: bool = False,
    width: int = 900,
    height: int = 380,
) -> str:
    """Dots of every group over its name, a box from the lower to the upper quartile with the median, and the mean with
    its interval as a thick stem.

    Dots of like values stand side by side, always in the same places. Groups of fewer than five have no box.

    Parameters
    ----------
    zero:
        Draw the line where nothing differs, and keep it in sight.

    Raises
    ------
    ValueError
        If a group has other numbers of names than of values.
    """
    for strip in strips:
        if strip.names and len(strip.names) != len(strip.values):
            raise ValueError(f"the group {strip.name!r} has {len(strip.values)} values and {len(strip.names)} names")
    low, high = _limits(strips, zero)
    left, right = 64.0 if y_label else 48.0, width - 16.0
    top, bottom = 44.0 if title else 16.0, height - 46.0

    def up(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    name = title or y_label or "plot"
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gs-plot" {size} role="img" aria-label="{attribute(name)}">',
        f"<title>{escape(name)}</title>",
        SVG_STYLE.replace("</style>", f"{_STEM}</style>"),
        f'<rect class="ground" width="{width}" height="{height}" rx="6"/>',
    ]
    for tick in linear_ticks(low, high, most=6):
        parts.append(f'<path class="grid" d="M{px(left)} {px(up(tick))}H{px(right)}"/>')
        parts.append(f'<text x="{px(left - 8)}" y="{px(up(tick) + 4)}" text-anchor="end">{tick_words(tick)}</text>')
    if zero:
        parts.append(f'<path class="axis" d="M{px(left)} {px(up(0.0))}H{px(right)}"/>')
    parts.append(f'<path class="axis" d="M{px(left)} {px(top)}V{px(bottom)}H{px(right)}"/>')
    if title:
        parts.append(f'<text class="title" x="{px(left)}" y="26">{escape(title)}</text>')
    if y_label:
        turn = f'transform="translate(16 {px((top + bottom) / 2)}) rotate(-90)"'
        parts.append(f'<text class="soft" {turn} text-anchor="middle">{escape(y_label)}</text>')
    room = (right - left) / max(1, len(strips))
    for place, strip in enumerate(strips):
        middle = left + (place + 0.5) * room
        parts += _drawn(strip, middle, min(room, 160.0), up)
        parts += _words(strip, middle, room, bottom)
    if not strips:
        x, y = (left + right) / 2, (top + bottom) / 2
        parts.append(f'<text class="soft" x="{px(x)}" y="{px(y)}" text-anchor="middle">no data</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _limits(strips: Sequence[Strip], zero: bool) -> tuple[float, float]:
    values = [value for strip in strips for value in (*strip.values, *(strip.interval or ())) if math.isfinite(value)]
    if zero:
        values.append(0.0)
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    # A score of at most 1 keeps its axis there, one that is never negative at zero.
    top = 1.0 if not zero and 0.5 < high <= 1.0 and high + margin > 1.0 else high + margin
    return (max(0.0, low - margin) if low >= 0 and not zero else low - margin), top


def _drawn(strip: Strip, middle: float, room: float, up: Up) -> list[str]:
    css = f"s{strip.colour % _COLOURS}"
    finite = [(i, float(value)) for i, value in enumerate(strip.values) if math.isfinite(value)]
    parts = [f"<g><title>{escape(strip.name)}</title>"]
    if len(finite) >= _FEW_FOR_A_BOX:
        lower, median, upper = (up(float(q)) for q in np.percentile([value for _, value in finite], (25, 50, 75)))
        half = 0.34 * room
        box = f"M{px(middle - half)} {px(lower)}H{px(middle + half)}V{px(upper)}H{px(middle - half)}Z"
        line = f"M{px(middle - half)} {px(median)}H{px(middle + half)}"
        parts.append(f'<path class="line box {css}" d="{box}{line}"/>')
    for (index, value), shift in zip(finite, _apart([up(value) for _, value in finite], room), strict=True):
        whom = f"{strip.names[index]}: {value:.4f}" if strip.names else f"{value:.4f}"
        dot = f'<circle class="dot {css}" cx="{px(middle + shift)}" cy="{px(up(value))}" r="3.2">'
        parts.append(f"{dot}<title>{escape(whom)}</title></circle>")
    if strip.mean is not None and math.isfinite(strip.mean):
        parts.append(_mean_with_interval(strip, middle + 0.42 * room, css, up))
    return [*parts, "</g>"]


def _mean_with_interval(strip: Strip, x: float, css: str, up: Up) -> str:
    assert strip.mean is not None
    way = f"M{px(x - 7)} {px(up(strip.mean))}h14"
    ends = strip.interval
    words = f"mean {strip.mean:.4f}"
    if ends is not None and all(math.isfinite(end) for end in ends):
        way += "".join(f"M{px(x - 4)} {px(up(end))}h8" for end in ends)
        way += f"M{px(x)} {px(up(ends[0]))}V{px(up(ends[1]))}"
        words += f", 95 % interval {ends[0]:.4f} to {ends[1]:.4f}"
    return f'<path class="line stem {css}" d="{way}"><title>{escape(words)}</title></path>'


def _apart(heights: Sequence[float], room: float, size: float = 7.0) -> list[float]:
    """Shifts to the side that keep dots of like heights apart: from the middle outwards, the same every time."""
    placed: list[tuple[float, float]] = []
    shifts = [0.0] * len(heights)
    reach = _SPREAD * room
    for index in sorted(range(len(heights)), key=lambda i: (heights[i], i)):
        steps = [0.0, *(sign * n * size for n in range(1, 1 + int(reach // size)) for sign in (1, -1))]
        free = [
            step
            for step in steps
            if all(abs(step - s) >= size - 0.01 or abs(heights[index] - h) >= size for s, h in placed)
        ]
        shifts[index] = free[0] if free else 0.0
        placed.append((shifts[index], heights[index]))
    return shifts


def _words(strip: Strip, middle: float, room: float, bottom: float) -> list[str]:
    letters = max(4, int(room / _LETTER) - 1)
    finite = sum(math.isfinite(value) for value in strip.values)
    missing = len(strip.values) - finite
    count = f"n = {finite}" + (f", {missing} not shown" if missing else "")
    lines = (("", 18, strip.name), (' class="soft"', 34, f"{strip.below}, {count}" if strip.below else count))
    return [
        f'<text{css} x="{px(middle)}" y="{px(bottom + down)}" text-anchor="middle">{escape(shown)}</text>'
        for css, down, line in lines
        for shown in (_short(line, letters),)
    ]


def _short(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: letters - 1] + "…"
