"""The report of a prepared dataset: what is counted, what is unlike the rest, and which files are meant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, Source, labels_of, prepare
from GANSegmentationLib.datasets.inventory import dataset_report, write_report
from GANSegmentationLib.errors import GANSegmentationError
from Testing.scan_layouts import SPACING_ZYX


def _write(folder: Path, number: int, **changes: object) -> None:
    import SimpleITK

    shape = changes.get("shape", (6, 16, 16))
    image = np.random.default_rng(number).integers(-500, 500, shape).astype(np.int16)
    mask = np.zeros(image.shape, np.uint8)
    mask[2:4, 4:8, 4:9] = 1
    mask[changes.get("border", (3, 5, 5))] = 1
    if changes.get("empty"):
        mask[:] = 0
    for array, kind in ((image, "images"), (mask, "masks")):
        picture = SimpleITK.GetImageFromArray(array)
        picture.SetSpacing(changes.get("spacing", SPACING_ZYX[::-1]))
        picture = SimpleITK.DICOMOrient(picture, str(changes.get("orientation", "LPS")))
        (folder / kind).mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(picture, str(folder / kind / f"p{number}.nii.gz"))


def _prepare(folder: Path, output: Path) -> Dataset:
    source = Source("paired", folder, {"values": "1=Liver", "unit": "HU", "modality": "CT"})
    return prepare([source], output, labels=labels_of([source]))


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({"shape": (6, 16, 20)}, "warning", "its slices are 16 x 20, those of 5 of 6 cases 16 x 16"),
        ({"spacing": (1.25, 1.5, 9.0)}, "warning", "its slices are 9 mm apart, those of half of the cases 4 mm"),
        ({"border": (3, 0, 5)}, "warning", "label 1 (Liver) touch the border"),
        ({"orientation": "RAS"}, "note", "its files run to RAS (x, y, z), those of 5 of 6 cases LPS"),
        ({"empty": True}, "warning", "all its masks are empty"),
    ],
)
def test_a_case_that_is_unlike_the_others_is_named_with_its_files(
    changes: dict[str, object], level: str, said: str, tmp_path: Path
) -> None:
    for number in range(5):
        _write(tmp_path / "in", number)
    _write(tmp_path / "in", 5, **changes)
    report = dataset_report(_prepare(tmp_path / "in", tmp_path / "out"))
    assert [(each["level"], each["case"], each["files"]) for each in report["findings"]] == [
        (level, "in_p5", "images/p5.nii.gz, masks/p5.nii.gz")
    ]
    assert said in report["findings"][0]["text"]


def test_a_volume_of_far_fewer_slices_is_named(tmp_path: Path) -> None:
    for number in range(5):
        _write(tmp_path / "in", number, shape=(40, 16, 16))
    _write(tmp_path / "in", 5)
    report = dataset_report(_prepare(tmp_path / "in", tmp_path / "out"))
    assert [each["text"] for each in report["findings"]] == ["it has 6 slices, and half of the cases 40 or more"]


def test_the_same_picture_of_two_patients_is_found(tmp_path: Path) -> None:
    for number in range(3):
        _write(tmp_path / "in", number)
    for kind in ("images", "masks"):
        (tmp_path / "in" / kind / "p9.nii.gz").write_bytes((tmp_path / "in" / kind / "p1.nii.gz").read_bytes())
    report = dataset_report(_prepare(tmp_path / "in", tmp_path / "out"))
    (finding,) = report["findings"]
    assert "patient_leakage" in finding["text"] and {finding["case"], *finding["text"].split()} >= {"in_p1"}


def test_sources_and_labels_are_counted(tmp_path: Path) -> None:
    for number in range(3):
        _write(tmp_path / "in", number, orientation=("LPS", "LAS", "LAS")[number])
    dataset = _prepare(tmp_path / "in", tmp_path / "out")
    report = dataset_report(dataset, [("in_p7", GANSegmentationError("invalid_source", "p7.nii.gz is damaged."))])
    (source,) = report["sources"]
    pixels = int(sum(np.count_nonzero(dataset.masks(case)) for case in dataset.cases))
    assert report["labels"] == [{"value": 1, "name": "Liver", "pixels": pixels, "cases": 3}] and pixels == 120
    assert source["orientations"] == {"LAS": 2, "LPS": 1} and source["sizes"] == {"16 x 16": 3}
    assert (source["cases"], source["patients"], source["slices"], source["with_foreground"]) == (3, 3, 18, 6)
    assert source["spacing_zyx_mm"] == [pytest.approx([step, step]) for step in SPACING_ZYX]
    assert report["left_out"] == [{"case": "in_p7", "code": "invalid_source", "reason": "p7.nii.gz is damaged."}]
    path = write_report(dataset.folder, report)
    assert json.loads(path.read_text())["fingerprint"] == dataset.fingerprint

    # A dataset without the facts of its cases is counted anew; facts of other arrays are not believed.
    for facts in (dataset.folder / "cases").iterdir():
        facts.write_text(facts.read_text().replace('"label_pixels": [[1, ', '"label_pixels": [[1, 9'))
        facts.write_text(facts.read_text().replace(json.loads(facts.read_text())["case"]["fingerprint"], "other"))
    assert dataset_report(dataset)["labels"] == report["labels"]


def test_a_label_that_no_mask_has_is_said(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = prepare([("lits_slices", layouts_folder / "lits")], tmp_path, labels={1: "Liver", 2: "Spleen"})
    texts = [each["text"] for each in dataset_report(dataset)["findings"]]
    assert texts == ["no mask has label 2 (Spleen)"]
