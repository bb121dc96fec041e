"""How many values lie where, over a box with the quartiles and the mean with its interval; SVG as `plots` makes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from .plots import SVG_STYLE, attribute, px
from .ticks import linear_ticks, tick_words

_MOST_BINS: Final = 24
_LOOK: Final = (
    ".gs-plot .bar{opacity:.55}.gs-plot .box{fill:none;stroke-width:1.4}.gs-plot .stem{stroke-width:2.6}</style>"
)


def histogram_svg(
    values: Sequence[float],
    *,
    title: str = "",
    mean: float | None = None,
    interval: tuple[float, float] | None = None,
    width: int = 420,
    height: int = 250,
) -> str:
    """A histogram with equal bins between round numbers. The box below reaches from the lower to the upper quartile,
    its whiskers to the lowest and highest value; the thick mark is the mean with its interval.

    Values that are not finite are counted in the title and not drawn.
    """
    finite = np.array([value for value in values if math.isfinite(value)], dtype=float)
    left, right, top, bottom = 44.0, width - 14.0, 44.0, height - 66.0
    missing = len(values) - len(finite)
    heading = f"{title} (n = {len(finite)}{f', {missing} not shown' if missing else ''})".strip()
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gs-plot" {size} role="img" aria-label="{attribute(heading)}">',
        f"<title>{escape(heading)}</title>",
        SVG_STYLE.replace("</style>", _LOOK),
        f'<rect class="ground" width="{width}" height="{height}" rx="6"/>',
        f'<text class="title" x="12" y="26">{escape(heading)}</text>',
    ]
    if not finite.size:
        middle = f'x="{px(width / 2)}" y="{px(height / 2)}"'
        return "\n".join([*parts, f'<text class="soft" {middle} text-anchor="middle">no data</text>', "</svg>"]) + "\n"
    edges = _edges(finite)
    counts = np.histogram(finite, edges)[0]
    most = max(int(counts.max()), 1)

    def across(value: float) -> float:
        return left + (value - edges[0]) / (edges[-1] - edges[0]) * (right - left)

    def up(count: float) -> float:
        return bottom - count / most * (bottom - top)

    for tick in linear_ticks(0, most, most=4, whole=True):
        parts.append(f'<path class="grid" d="M{px(left)} {px(up(tick))}H{px(right)}"/>')
        parts.append(f'<text x="{px(left - 6)}" y="{px(up(tick) + 4)}" text-anchor="end">{tick_words(tick)}</text>')
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            place = f'x="{px(across(low) + 0.5)}" y="{px(up(int(count)))}" height="{px(bottom - up(int(count)))}"'
            words = f"{tick_words(float(low))} to {tick_words(float(high))}: {int(count)}"
            breadth = f'width="{px(max(1.0, across(high) - across(low) - 1))}"'
            parts.append(f'<rect class="bar dot s0" {place} {breadth}><title>{words}</title></rect>')
    for tick in linear_ticks(float(edges[0]), float(edges[-1]), most=6):
        parts.append(f'<path class="axis" d="M{px(across(tick))} {px(bottom)}v5"/>')
        place = f'x="{px(across(tick))}" y="{px(bottom + 19)}"'
        parts.append(f'<text {place} text-anchor="middle">{tick_words(tick)}</text>')
    parts.append(f'<path class="axis" d="M{px(left)} {px(bottom)}H{px(right)}"/>')
    ends = (float(np.clip(end, edges[0], edges[-1])) for end in interval or () if math.isfinite(end))
    parts += _box(finite, mean, [across(end) for end in ends], height - 26.0, across)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _edges(values: npt.NDArray[np.float64]) -> list[float]:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(1.0, abs(high)):
        return [low - 0.5, high + 0.5]
    ticks = linear_ticks(low, high, most=min(_MOST_BINS, max(6, round(math.sqrt(len(values))))))
    step = ticks[1] - ticks[0] if len(ticks) > 1 else high - low
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _box(
    values: npt.NDArray[np.float64],
    mean: float | None,
    ends: Sequence[float],
    y: float,
    across: Callable[[float], float],
) -> list[str]:
    low, lower, median, upper, high = (across(float(q)) for q in np.percentile(values, (0, 25, 50, 75, 100)))
    box = f"M{px(lower)} {px(y - 8)}H{px(upper)}V{px(y + 8)}H{px(lower)}Z"
    way = f"M{px(low)} {px(y)}H{px(lower)}M{px(upper)} {px(y)}H{px(high)}M{px(median)} {px(y - 8)}v16"
    parts = [f'<path class="line box s0" d="{box}{way}"><title>quartiles, median, lowest and highest</title></path>']
    if mean is not None and math.isfinite(mean):
        mark = f"M{px(across(mean))} {px(y + 10)}v8"
        if len(ends) == 2:
            mark += f"M{px(ends[0])} {px(y + 14)}H{px(ends[1])}"
        parts.append(f'<path class="line stem s1" d="{mark}"><title>mean and its 95 % interval</title></path>')
    return parts
