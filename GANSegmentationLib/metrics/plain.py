"""Numbers as JSON can say them."""

from __future__ import annotations

import math


def plain(value: float | None) -> float | None:
    """The number itself, or None for NaN and infinity, which JSON has no words for."""
    return None if value is None or not math.isfinite(value) else float(value)
