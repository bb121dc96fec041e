"""Miniature copies of the public layouts, written as the real ones are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _grey_slice(rng: np.random.Generator, liver: bool, patient: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0:64, 0:64]
    body = ((rows - 32) / 26) ** 2 + ((columns - 32) / 30) ** 2 < 1
    organ = ((rows - 30) / 12) ** 2 + ((columns - 20) / 10) ** 2 < 1
    image = np.where(body, 110, 0) + np.where(organ & liver, 60, 0) + rng.normal(0, 4, body.shape) * body
    image[44:50, 28:36] = 255  # the spine
    # Blankets and arms about the body, of each patient's own: else all patients would look like one.
    around = np.kron(np.random.default_rng(patient).random((8, 8)) < 0.5, np.ones((8, 8), bool))
    image[around & (((rows - 32) / 29) ** 2 + ((columns - 32) / 33) ** 2 > 1)] = 195
    return np.clip(image, 0, 255).astype(np.uint8), (organ & liver).astype(np.uint8)


def write_lits_volume(place: Path, rng: np.random.Generator, patient: int = 0) -> None:
    """A volume of six slices, the middle four with liver."""
    place.mkdir(parents=True)
    for number in range(6):
        image, mask = _grey_slice(rng, liver=0 < number < 5, patient=patient)
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
        write_lits_volume(folder / "lits" / f"v{volume:02d}", rng, volume)
    (folder / "msd").mkdir()
    for case in range(1, 5):
        for number in (40, 55):
            image, mask = _grey_slice(rng, liver=True, patient={1: 0, 3: 2}.get(case, 10 + case))
            Image.fromarray(image).save(folder / "msd" / f"c{case:03d}_s{number:03d}.png")
            Image.fromarray(mask).save(folder / "msd" / f"c{case:03d}_s{number:03d}_mask.png")
    (folder / "same.json").write_text(json.dumps({"msd_to_lits": {"c001": "v00", "c003": "v02"}}))
    return folder


def write_abdominal_mr(folder: Path, number: int, rng: np.random.Generator, direction: tuple[float, float]) -> None:
    """A CHAOS MR pair of five slices, stored with x and y running as `direction` says (1: to left and posterior)."""
    import SimpleITK

    labels = np.zeros((5, 64, 48), np.uint8)
    for value, (row, column) in enumerate(((28, 14), (40, 12), (40, 36), (24, 38)), start=1):
        labels[1:4, row - 5 : row + 5, column - 5 : column + 5] = value
    image = rng.normal(100, 10, labels.shape) + labels * 40.0 * number
    for name, array in (("image", image.astype(np.int16)), ("label", labels)):
        stored = array[:, :: int(direction[1]), :: int(direction[0])]
        picture = SimpleITK.GetImageFromArray(np.ascontiguousarray(stored))
        picture.SetSpacing((1.25, 1.5, 7.7))
        picture.SetDirection((direction[0], 0, 0, 0, direction[1], 0, 0, 0, 1))
        SimpleITK.WriteImage(picture, str(folder / f"{name}_{number:02d}.nii.gz"))


@pytest.fixture(scope="session")
def abdomen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CHAOS MR (01..03, five slices each, the middle three with four organs), in three orientations."""
    folder = tmp_path_factory.mktemp("abdomen")
    rng = np.random.default_rng(1)
    for number, direction in enumerate(((1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)), start=1):
        write_abdominal_mr(folder, number, rng, direction)
    return folder


def write_vnc_section(folder: Path, number: int, rng: np.random.Generator, side: int = 64) -> None:
    """A section with a mitochondrion (0 and 255), membranes (black and white) and a pixel that is both."""
    folder.mkdir(parents=True, exist_ok=True)
    mitochondria, membranes = np.zeros((side, side), np.uint8), np.zeros((side, side), np.bool_)
    mitochondria[10 : 20 + number % 3, 10:20] = 255
    membranes[side // 2] = membranes[:, side // 2] = True
    membranes[10, 10] = True
    image = rng.normal(150, 10, membranes.shape) - 60.0 * membranes - 40.0 * (mitochondria > 0)
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{number:02d}.png")
    Image.fromarray(mitochondria).save(folder / f"{number:02d}_mito.png")
    Image.fromarray(membranes).save(folder / f"{number:02d}_membrane.png")


def write_isbi_section(folder: Path, number: int, rng: np.random.Generator, side: int = 64) -> None:
    interior = np.full((side, side), 255, np.uint8)
    interior[side // 3] = interior[:, side // 4] = 0
    for name, picture in (("image", rng.integers(0, 255, interior.shape, np.uint8)), ("label", interior)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / name / f"{number}.png")
