"""Where an axis has its ticks, and the words at them."""

from __future__ import annotations

import math
from typing import Final

_ROUND_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


def linear_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round numbers within [low, high], at most `most` + 1 of them, in steps of 1, 2, 2.5 or 5 times a power of ten.

    `whole` keeps to whole numbers (epochs).
    """
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in _ROUND_STEPS if factor * power >= raw * (1 - 1e-9))
    if whole:
        step = max(1.0, float(math.ceil(step)))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten within [low, high], with 2 and 5 times them where there are few; both ends positive.

    Where even these are fewer than two, the ticks are those of a linear axis.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = max(1, -(-(last - first) // most))
    factors = (1, 2, 5) if math.log10(high / low) <= 2 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1, decades) for factor in factors]
    shown = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    return shown if len(shown) > 1 else linear_ticks(low, high, most=4)


def tick_words(value: float) -> str:
    """A tick's number, short: ``0.05``, ``1500``, ``2e-05``."""
    words = f"{value:.6g}"
    if "e" in words:
        mantissa, exponent = words.split("e")
        return f"{mantissa}e{int(exponent)}"
    return words
