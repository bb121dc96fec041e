"""``ganseg demo``: everything it promises appears, and a model that is not good enough makes it fail."""

from __future__ import annotations

import csv
import json

import numpy as np
from PIL import Image

from GANSegmentationLib.volumes import read_labelmap, read_volume


def test_a_poor_model_fails_on_the_synthetic_patient_and_the_evidence_is_there(ganseg, package, tmp_path):
    """The threshold model marks bone and vessels as well: far below what the demo wants."""
    folder = tmp_path / "demo"
    done = ganseg("demo", "--output", folder, "--model", package, "--device", "cpu")
    assert done.code == 1
    assert "0.90" in done.err
    scan = read_volume(folder / "synthetic_patient")
    assert scan.modality == "CT"
    mask = read_labelmap(folder / "segmentation.seg.nrrd")
    reference = read_labelmap(folder / "reference.seg.nrrd")
    assert mask.geometry.matches(scan.geometry)
    assert reference.geometry.matches(scan.geometry)
    outcome = json.loads((folder / "outcome.json").read_text())
    both = np.count_nonzero(mask.array[reference.array != 0])
    dice = 2 * both / (np.count_nonzero(mask.array) + np.count_nonzero(reference.array))
    assert outcome["labels"][0]["dice"] == dice
    assert dice < 0.9
    with (folder / "scores.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "Liver"
    assert float(row["dice"]) == dice
    assert "chaos_score" in row
    with Image.open(folder / "overlay.png") as image:
        assert image.width > 200
    for name in ("synthetic_patient", "reference.seg.nrrd", "segmentation.seg.nrrd", "overlay.png", "scores.csv"):
        assert str(folder / name) in done.out


def test_a_scan_of_ones_own_with_its_reference(ganseg, phantom, package, tmp_path):
    folder = tmp_path / "demo"
    done = ganseg(
        *("demo", "--output", folder, "--scan", phantom.dicom, "--reference", phantom.reference),
        *("--model", package, "--device", "cpu", "--json"),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["labels"][0]["dice"] == 1.0
    assert not (folder / "synthetic_patient").exists()


def test_a_scan_of_ones_own_without_a_reference(ganseg, phantom, package, tmp_path):
    folder = tmp_path / "demo"
    done = ganseg("demo", "--output", folder, "--scan", phantom.dicom, "--model", package, "--device", "cpu")
    assert done.code == 0, done.err
    with (folder / "scores.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "Liver"
    assert (folder / "overlay.png").exists()


def test_a_reference_without_a_scan_is_wrong_use(ganseg, phantom, tmp_path):
    done = ganseg("demo", "--output", tmp_path / "demo", "--reference", phantom.reference)
    assert done.code == 2
    assert not (tmp_path / "demo").exists()
