"""The report beside a synthetic dataset: figures, and painted slices beside their nearest real ones."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.memorisation import memorisation
from GANSegmentationLib.training.synthesis.fidelity import Fidelity
from GANSegmentationLib.training.synthesis.synthetic_report import report_picture, write_report
from Testing.datasets.test_memorisation import stack_of, write_dataset


def _pair(tmp_path: Path, side: int = 1) -> tuple[Dataset, Dataset]:
    rng = np.random.default_rng(0)
    enlarge = np.ones((1, side, side), np.uint8)
    real = write_dataset(tmp_path / "real", {f"patient_{n}": np.kron(stack_of(rng), enlarge) for n in range(3)})
    copy = np.asarray(real.images(real.cases[1]))[2:3]
    stacks = {"copy": copy, "new": np.kron(stack_of(rng, 7), enlarge)}
    return real, write_dataset(tmp_path / "painted", stacks, derived=True)


def test_the_report_says_how_near_and_how_faithful(tmp_path: Path) -> None:
    real, painted = _pair(tmp_path)
    fidelity = Fidelity("encoder of x", 32, 18, 8, 12.5, 0.3, 0.02, 6.0, None)
    written = write_report(real, painted, memorisation(real, painted), fidelity, tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored == json.loads(json.dumps(written))
    assert stored["memorisation"]["near_duplicates"] == 1 / 8 and stored["memorisation"]["slices"] == 8
    assert stored["fidelity"]["fid"] == 12.5 and stored["fidelity"]["feature_network"] == "encoder of x"
    assert stored["nearest"][0]["real"] == ["patient_1", 2] and len(stored["nearest"]) == 8
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_begins_with_the_nearest_and_shows_both_slices(tmp_path: Path) -> None:
    real, painted = _pair(tmp_path)
    png = report_picture(real, painted, memorisation(real, painted))
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    # Six rows of slices that are shown three times as large; the first one's painted and real slice are the same.
    assert picture.shape[0] > 6 * 192
    first = picture[33:225]  # below the columns' titles
    columns = [first[:, start : start + 192] for start in range(first.shape[1] - 191)]
    wanted = np.asarray(painted.images(painted.cases[0]))[0].repeat(3, 0).repeat(3, 1).astype(float)
    alike = [np.corrcoef(column.ravel(), wanted.ravel())[0, 1] > 0.98 for column in columns if column.std() > 1]
    assert sum(alike) >= 2, "the painted slice and its copy"


def test_large_slices_are_shown_by_their_middle(tmp_path: Path) -> None:
    real, painted = _pair(tmp_path, side=8)
    picture = Image.open(io.BytesIO(report_picture(real, painted, memorisation(real, painted))))
    assert picture.size[0] < 3 * 384 + 150 and picture.size[1] < 6 * 384 + 100
