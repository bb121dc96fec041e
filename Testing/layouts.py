"""Miniature copies of the public layouts, written as the real ones are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _grey_slice(rng: np.random.Generator, liver: bool) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0:64, 0:64]
    body = ((rows - 32) / 26) ** 2 + ((columns - 32) / 30) ** 2 < 1
    organ = ((rows - 30) / 12) ** 2 + ((columns - 20) / 10) ** 2 < 1
    image = np.where(body, 110, 0) + np.where(organ & liver, 60, 0) + rng.normal(0, 4, body.shape) * body
    image[44:50, 28:36] = 255  # the spine
    return np.clip(image, 0, 255).astype(np.uint8), (organ & liver).astype(np.uint8)


def write_lits_volume(place: Path, rng: np.random.Generator) -> None:
    """A volume of six slices, the middle four with liver."""
    place.mkdir(parents=True)
    for number in range(6):
        image, mask = _grey_slice(rng, liver=0 < number < 5)
        if number == 2:
            mask[mask > 0] = np.where(np.arange((mask > 0).sum()) % 7 == 0, 2, 1)  # a tumour in the liver
        Image.fromarray(image).save(place / f"s{3 * number:03d}.jpg", quality=95)
        Image.fromarray(mask).save(place / f"s{3 * number:03d}_mask.png")


@pytest.fixture(scope="session")
def layouts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiTS (v00..v03, six slices each, the middle four with liver), MSD (c001..c004, two slices each)."""
    folder = tmp_path_factory.mktemp("layouts")
    rng = np.random.default_rng(0)
    for volume in range(4):
        write_lits_volume(folder / "lits" / f"v{volume:02d}", rng)
    (folder / "msd").mkdir()
    for case in range(1, 5):
        for number in (40, 55):
            image, mask = _grey_slice(rng, liver=True)
            Image.fromarray(image).save(folder / "msd" / f"c{case:03d}_s{number:03d}.png")
            Image.fromarray(mask).save(folder / "msd" / f"c{case:03d}_s{number:03d}_mask.png")
    (folder / "same.json").write_text(json.dumps({"msd_to_lits": {"c001": "v00", "c003": "v02"}}))
    return folder
