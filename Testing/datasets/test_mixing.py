"""Two folders as one dataset, and no synthetic slice on the wrong side of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Case, Dataset, Split, check_dataset, patient_split, prepare
from GANSegmentationLib.datasets.dataset import array_bytes, write_atomically
from GANSegmentationLib.datasets.mixing import join
from GANSegmentationLib.datasets.slices import GroupSampler, SampleGroup, SliceDataset, SliceKey
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import SliceSpec, Window


@pytest.fixture
def real(layouts_folder: Path, tmp_path: Path) -> Dataset:
    return prepare([("lits_slices", layouts_folder / "lits")], tmp_path / "real", labels={1: "Liver"})


@pytest.fixture
def painted(real: Dataset, tmp_path: Path) -> Dataset:
    """One slice painted from each of two patients' masks: brighter than any real one."""
    cases = [_painted(real.by_id[name], tmp_path / "painted") for name in ("lits_v01", "lits_v02")]
    dataset = Dataset(tmp_path / "painted", tuple(cases), {1: "Liver"})
    dataset.write_manifest()
    return Dataset.open(tmp_path / "painted")


def _painted(parent: Case, folder: Path) -> Case:
    images, masks = np.full((1, 64, 64), 250, np.uint8), np.zeros((1, 64, 64), np.uint8)
    images[:, :20] = 3
    masks[:, 10:20, 10:20] = 1
    contents = {"images": array_bytes(images), "masks": array_bytes(masks)}
    for kind, content in contents.items():
        write_atomically(folder / kind / f"synthetic_{parent.id}.npy", content)
    return replace(
        parent, id=f"synthetic_{parent.id}", source="synthetic", patient=f"synthetic_{parent.patient}", slices=1,
        slice_index=(0,), foreground=(100,), derived_from=(parent.patient,), is_volume=False,
        fingerprint=hashlib.sha256(b"".join(contents.values())).hexdigest(),
    )  # fmt: skip


def test_both_folders_are_read_as_one_and_nothing_is_copied(real: Dataset, painted: Dataset) -> None:
    before = sorted(real.folder.rglob("*"))
    joined = join(real, painted)
    assert len(joined.cases) == len(real.cases) + 2
    for case in joined.cases:
        origin = painted if case.derived_from else real
        np.testing.assert_array_equal(joined.images(case), origin.images(case))
        np.testing.assert_array_equal(joined.masks(case), origin.masks(case))
    assert [each for each in check_dataset(joined) if each.level == "error"] == []
    slices = SliceDataset(joined, SliceSpec("axial", 1, 64, 8, Window(0, 160)))
    brightest = slices[SliceKey("synthetic_lits_v01", 0)]["image"].max().item()
    assert brightest == pytest.approx((250 * 200 / 255 - 40) / 80 - 1), "grey values mean what the case says"
    assert sorted(real.folder.rglob("*")) == before


def test_a_part_of_the_joined_dataset_still_finds_its_folders(real: Dataset, painted: Dataset) -> None:
    joined = join(real, painted)
    part = joined.subset(["synthetic_lits_v02", "lits_v03"])
    assert part.images(part.by_id["synthetic_lits_v02"]).max() == 250
    of_patient = joined.of_patients(["synthetic_lits_v01"])
    assert of_patient.images(of_patient.cases[0]).max() == 250
    assert joined.fingerprint not in (real.fingerprint, painted.fingerprint)


def test_what_was_painted_from_a_patient_stays_on_the_patients_side(real: Dataset, painted: Dataset) -> None:
    joined = join(real, painted)
    split = patient_split(joined, validation=["lits_v00"])
    assert {"synthetic_lits_v01", "synthetic_lits_v02"} <= set(split.train)
    with pytest.raises(GANSegmentationError, match="of lits_v01, who is in validation") as caught:
        patient_split(joined, validation=["lits_v01"])
    assert caught.value.code == "patient_leakage" and "synthetic_lits_v01 in train" in str(caught.value)
    with pytest.raises(GANSegmentationError) as caught:
        patient_split(joined, validation=["lits_v00"], test=["lits_v02"])
    assert caught.value.code == "patient_leakage"
    with pytest.raises(GANSegmentationError) as caught:
        Split(train=("lits_v01", "lits_v03"), validation=("synthetic_lits_v01",)).check(joined)
    assert caught.value.code == "patient_leakage"


def test_synthetic_slices_are_drawn_only_where_they_are_asked_for(real: Dataset, painted: Dataset) -> None:
    joined = join(real, painted)
    everything = GroupSampler(joined, (SampleGroup(),), samples=400, seed=0)
    assert not any(key.case.startswith("synthetic") for key in everything)
    groups = (SampleGroup(weight=0.7), SampleGroup(source="synthetic", weight=0.3))
    drawn = [key.case.startswith("synthetic") for key in GroupSampler(joined, groups, samples=2000, seed=0)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.03)


def test_the_manifest_keeps_whose_masks_were_used(painted: Dataset) -> None:
    assert {case.derived_from for case in painted.cases} == {("lits_v01",), ("lits_v02",)}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda dataset: replace(dataset, labels={1: "Spleen"}), "mixed_labels"),
        (lambda dataset: replace(dataset, labels={1: "Liver", 2: "Spleen"}), "mixed_labels"),
        (lambda dataset: _with(dataset, id="lits_v03"), "duplicate_case"),
        (lambda dataset: _with(dataset, derived_from=()), "not_synthetic"),
        (lambda dataset: _with(dataset, derived_from=("lits_v01", "msd_c001")), "unknown_patient"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    real: Dataset, painted: Dataset, change: Callable[[Dataset], Dataset], code: str
) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        join(real, change(painted))
    assert caught.value.code == code


def _with(dataset: Dataset, **fields: object) -> Dataset:
    return replace(dataset, cases=(replace(dataset.cases[0], **fields), *dataset.cases[1:]))  # type: ignore[arg-type]
