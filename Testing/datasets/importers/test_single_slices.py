"""Single slices of lung CT and prostate MR: values kept, labels checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.datasets import check_dataset, labels_of, layouts, prepare
from GANSegmentationLib.errors import GANSegmentationError


def _lung(folder: Path, name: str, mask_value: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = np.full((32, 32), -800, np.int32)
    image[0, 0] = -2048  # outside the field of view
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 8:20] = mask_value
    Image.fromarray(image).save(folder / f"{name}.tif")
    Image.fromarray(mask).save(folder / f"{name}_mask.png")


def test_lung_slices_keep_their_hounsfield_units_and_one_patient_each(tmp_path: Path) -> None:
    _lung(tmp_path / "in" / "train", "ID_0001_Z_0010")
    _lung(tmp_path / "in" / "val", "ID_0000_Z_0142")
    dataset = prepare([("lung_slices", tmp_path / "in")], tmp_path / "out", labels=labels_of(["lung_slices"]))
    assert [(case.id, case.patient, case.is_volume) for case in dataset.cases] == [
        ("lung_ID_0000", "lung_ID_0000", False),
        ("lung_ID_0001", "lung_ID_0001", False),
    ]
    image = dataset.images(dataset.cases[0])
    assert image.dtype == np.int16 and image[0, 0, 0] == -2048 and image[0, 5, 5] == -800
    assert dict(dataset.labels) == {1: "Lung"}


def test_a_lung_mask_in_grey_levels_is_refused(tmp_path: Path) -> None:
    _lung(tmp_path / "in", "ID_0001_Z_0010", mask_value=255)
    with pytest.raises(GANSegmentationError, match="255") as caught:
        prepare([("lung_slices", tmp_path / "in")], tmp_path / "out", labels={1: "Lung"})
    assert caught.value.code == "invalid_source"


def test_prostate_slices_of_one_patient_share_the_patient(tmp_path: Path) -> None:
    for name in ("10002_9", "10002_11", "10003_4"):
        Image.fromarray(np.full((16, 16), 90, np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(np.eye(16, dtype=np.uint8) * 2).save(tmp_path / f"{name}_mask.png")
    dataset = prepare([("prostate_slices", tmp_path)], tmp_path / "out", labels=labels_of(["prostate_slices"]))
    assert sorted(case.patient for case in dataset.cases) == ["prostate_10002", "prostate_10002", "prostate_10003"]


def test_layouts_whose_values_mean_different_things_do_not_mix() -> None:
    assert labels_of(["lits_slices", "chaos_mr"])[1] == "Liver" and labels_of(["chaos_mr"])[4] == "Spleen"
    with pytest.raises(GANSegmentationError, match="Lung") as caught:
        labels_of(["lits_slices", "lung_slices"])
    assert caught.value.code == "mixed_labels"
    assert {"chaos_mr", "lung_slices", "prostate_slices", "lits_slices"} <= set(layouts())


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("layout", "place", "patients", "slices"),
    [
        ("lung_slices", "lung_ct_2d", 147, 147),
        ("prostate_slices", "prostate_t2_p158", 26, 29),
    ],
)
def test_the_real_sets_are_read_whole(
    shared_data: Path, tmp_path: Path, layout: str, place: str, patients: int, slices: int
) -> None:
    dataset = prepare([(layout, shared_data / place)], tmp_path, labels=labels_of([layout]))
    assert len({case.patient for case in dataset.cases}) == patients
    assert sum(case.slices for case in dataset.cases) == slices
    assert not [finding for finding in check_dataset(dataset) if finding.level == "error"]
