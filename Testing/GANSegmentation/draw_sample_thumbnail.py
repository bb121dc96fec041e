"""Draws the picture that Sample Data shows for the synthetic patient; run it without arguments."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

PROJECT = Path(__file__).resolve().parents[2]
TARGET = PROJECT / "Resources" / "Icons" / "SyntheticPatient.png"
SIZE = (260, 280)  # columns, rows: what Sample Data's buttons are made for
WINDOW_HU = (-160.0, 240.0)


def main() -> None:
    """Draw the patient, take the slice with most liver, and write it with the liver's contour."""
    sys.path.insert(0, str(PROJECT))
    from GANSegmentationLib.datasets import synthetic_patient

    scan, liver = synthetic_patient.make(seed=0)
    index = int(np.argmax(liver.array.reshape(len(liver.array), -1).sum(axis=1)))
    hu, mask = scan.array[index].astype(np.float32), liver.array[index] != 0
    rows, columns = (np.flatnonzero((hu > -300).any(axis=axis)) for axis in (1, 0))
    middle = ((rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2)
    # The body is wider than the picture is: its right side, with the liver, fills it.
    height = rows[-1] - rows[0] + 24
    width = height * SIZE[0] // SIZE[1]
    left = max(columns[0] - 8, 0)
    crop = (slice(middle[0] - height // 2, middle[0] + height // 2), slice(left, left + width))
    grey = np.clip((hu[crop] - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0]), 0, 1) * 255
    picture = Image.fromarray(grey.astype(np.uint8)).resize(SIZE, Image.Resampling.LANCZOS).convert("RGB")
    inside = (
        np.asarray(Image.fromarray(mask[crop].astype(np.uint8) * 255).resize(SIZE, Image.Resampling.BILINEAR)) > 127
    )
    contour = inside & ~ndimage.binary_erosion(inside, iterations=2)
    pixels = np.asarray(picture).astype(np.float32)
    colour = np.array(liver.segments[0].colour, np.float32)
    pixels[inside] = pixels[inside] * 0.75 + colour * 0.25
    pixels[contour] = colour
    Image.fromarray(pixels.astype(np.uint8)).quantize(128).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
