"""What a synthetic dataset is worth, in figures and a picture: fidelity, copies, and the nearest real slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...datasets.dataset import Case, Dataset, write_atomically
from ...datasets.memorisation import Memorisation, Neighbour
from ...reports import image_grid, write_json
from .fidelity import Fidelity

REPORT = "report.json"
PICTURE = "report.png"

_ROWS = 6
_LARGEST_SHOWN = 384


def write_report(
    real: Dataset, synthetic: Dataset, measured: Memorisation, fidelity: Fidelity | None, folder: Path
) -> dict[str, Any]:
    """Write ``report.json`` and ``report.png`` (mask, painted slice, nearest real slice) into a folder.

    Returns what the JSON file holds: ``memorisation``, ``fidelity`` (None where it was not measured), and of every
    slice its nearest real one.
    """
    plain = {
        "memorisation": measured.to_dict(),
        "fidelity": None if fidelity is None else fidelity.to_dict(),
        "nearest": [
            {"painted": list(each.painted), "real": list(each.real), "distance": each.distance}
            for each in measured.neighbours
        ],
    }
    write_json(plain, folder / REPORT)
    write_atomically(folder / PICTURE, report_picture(real, synthetic, measured))
    return plain


def report_picture(real: Dataset, synthetic: Dataset, measured: Memorisation) -> bytes:
    """A PNG of up to six painted slices, from the nearest to a real one to the farthest: mask, slice, nearest real."""
    ranked = sorted(measured.neighbours, key=lambda each: each.distance)
    chosen = [ranked[index] for index in np.linspace(0, len(ranked) - 1, min(_ROWS, len(ranked))).round().astype(int)]
    return image_grid(
        [_row(real, synthetic, each) for each in chosen],
        column_titles=("mask", "painted", "nearest real"),
        row_titles=[f"{each.distance:.2f}" for each in chosen],
    )


def _row(real: Dataset, synthetic: Dataset, each: Neighbour) -> list[npt.NDArray[Any]]:
    painted, other = synthetic.by_id[each.painted[0]], real.by_id[each.real[0]]
    mask = np.asarray(synthetic.masks(painted)[each.painted[1]], dtype=np.float32)
    window = painted.value_range if painted.unit == other.unit != "arbitrary" else None
    return [
        _middle(mask) / max(synthetic.labels, default=1),
        _grey(painted, synthetic.images(painted)[each.painted[1]], window),
        _grey(other, _at_size(real.images(other)[each.real[1]], mask.shape), window),
    ]


def _grey(case: Case, stored: npt.NDArray[Any], window: tuple[float, float] | None) -> npt.NDArray[np.float32]:
    """A slice in [0, 1] of its window: the one given, else its own 1st to 99th percentile."""
    values = np.asarray(stored, dtype=np.float32) * np.float32(case.slope) + np.float32(case.intercept)
    low, high = (float(value) for value in np.percentile(values, (1, 99))) if window is None else window
    grey: npt.NDArray[np.float32] = np.clip((_middle(values) - low) / max(high - low, 1e-6), 0, 1)
    return grey


def _at_size(stored: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """A real slice at the painted one's size, so that both show the same place at the same scale."""
    if stored.shape == shape:
        return stored
    from PIL import Image

    image = Image.fromarray(np.asarray(stored, dtype=np.float32))
    rows, columns = shape
    return np.asarray(image.resize((columns, rows), Image.Resampling.BOX))


def _middle(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The middle of a slice, pixel by pixel, where it is large: texture is what there is to see."""
    top, left = (max(side - _LARGEST_SHOWN, 0) // 2 for side in values.shape)
    return values[top : top + _LARGEST_SHOWN, left : left + _LARGEST_SHOWN]
