"""Training slices: normalised, drawn by group, changed together with their mask, the same on every worker."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from GANSegmentationLib.datasets import Dataset, prepare
from GANSegmentationLib.datasets.augmentation import Augmentation, Augmenter
from GANSegmentationLib.datasets.slices import GroupSampler, SampleGroup, SliceDataset, SliceKey
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import Percentiles, SliceSpec, Window

STRONG = Augmentation(
    affine=1.0, rotate_degrees=20, scale=0.2, shear=0.1, translate=0.1, distort=1.0, flip_left_right=0.5
)
GREY = Augmentation(intensity=1.0, brightness=0.3, contrast=0.3, gamma=1.0, blur=0.5, sharpen=0.5, noise=1.0)


@pytest.fixture(scope="module")
def dataset(layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    sources = [("lits_slices", layouts_folder / "lits"), ("msd_slices", layouts_folder / "msd")]
    return prepare(sources, tmp_path_factory.mktemp("prepared"), labels={1: "Liver"})


def _spec(size: int = 64, neighbours: int = 1) -> SliceSpec:
    return SliceSpec("axial", neighbours, size, 32, Window(0, 160))


def test_a_slice_is_the_window_of_its_hounsfield_units(dataset: Dataset) -> None:
    item = SliceDataset(dataset, _spec())[SliceKey("lits_v01", 2)]
    case = dataset.by_id["lits_v01"]
    hu = dataset.images(case)[2] * np.float32(case.slope) + np.float32(case.intercept)
    np.testing.assert_allclose(item["image"][0], np.clip(hu / 80 - 1, -1, 1), atol=1e-5)
    np.testing.assert_array_equal(item["mask"], dataset.masks(case)[2])
    assert item["mask"].dtype == torch.int64


def test_sources_with_different_grey_scales_meet_in_one(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, _spec())
    lits, msd = slices[SliceKey("lits_v01", 2)], slices[SliceKey("msd_c002", 0)]
    # The same greys stand for other HU in the two sources: 170 is 93 HU in one and 172 HU in the other.
    assert float(lits["image"][0][lits["mask"] > 0].median()) == pytest.approx(93.3 / 80 - 1, abs=0.05)
    assert float(msd["image"][0][msd["mask"] > 0].median()) == pytest.approx(1.0, abs=0.05)


def test_neighbours_repeat_at_the_ends(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, _spec(neighbours=3))
    first = slices[SliceKey("lits_v00", 0)]["image"]
    assert first.shape == (3, 64, 64)
    torch.testing.assert_close(first[0], first[1])
    middle = slices[SliceKey("lits_v00", 3)]["image"]
    torch.testing.assert_close(middle[2], slices[SliceKey("lits_v00", 4)]["image"][1])


def test_other_sizes_and_normalisations_are_served(dataset: Dataset) -> None:
    spec = SliceSpec("axial", 1, 96, 32, Percentiles(1, 99))
    item = SliceDataset(dataset, spec)[SliceKey("lits_v00", 2)]
    assert item["image"].shape == (1, 96, 96) and item["mask"].shape == (96, 96)
    assert float(item["image"].min()) == -1.0 and float(item["image"].max()) == 1.0


def test_image_and_mask_are_changed_by_one_transform() -> None:
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(96, 96, dtype=torch.int64)
    mask[20:60, 15:50] = 1
    mask[50:80, 60:85] = 1
    augmenter = Augmenter(STRONG, (96, 96))
    seen = set()
    for _ in range(12):
        seed = int(torch.randint(2**31, (), generator=generator))
        image, changed = augmenter(mask[None].float() * 2 - 1, mask, seed)
        overlap = 2 * ((image[0] > 0) & (changed > 0)).sum() / ((image[0] > 0).sum() + (changed > 0).sum())
        assert overlap > 0.97, "the image is the mask, so it must stay the mask"
        seen.add(tuple(changed.flatten().nonzero().flatten().tolist()[:50]))
    assert len(seen) == 12, "every seed is another change"


def test_a_change_invents_no_label() -> None:
    mask = torch.zeros(96, 96, dtype=torch.int64)
    mask[20:60, 15:50] = 2
    mask[50:80, 60:85] = 5
    augmenter = Augmenter(STRONG, (96, 96))
    for seed in range(6):
        _, changed = augmenter(mask[None].float() / 2.5 - 1, mask, seed)
        # Between 0 and 2 lies 1, between 2 and 5 lie 3 and 4: labels are taken, never mixed.
        assert set(changed.unique().tolist()) == {0, 2, 5}


def test_a_flip_moves_both_exactly() -> None:
    mask = torch.zeros(32, 32, dtype=torch.int64)
    mask[5:9, 2:11] = 1
    augmenter = Augmenter(Augmentation(flip_left_right=1.0), (32, 32))
    image, changed = augmenter(mask[None].float() * 2 - 1, mask, 0)
    torch.testing.assert_close(changed, mask.flip(1))
    torch.testing.assert_close(image[0], mask.flip(1).float() * 2 - 1)


def test_grey_changes_leave_the_mask_and_the_range() -> None:
    mask = torch.zeros(64, 64, dtype=torch.int64)
    mask[10:30, 10:30] = 1
    image = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    changed, same = Augmenter(GREY, (64, 64))(image, mask, 5)
    torch.testing.assert_close(same, mask)
    assert float(changed.min()) >= -1 and float(changed.max()) <= 1 and not torch.allclose(changed, image)


def test_brightness_keeps_the_lower_end_of_the_window() -> None:
    image = torch.full((1, 16, 16), -1.0)
    image[0, 4:8] = 0.2
    changed, _ = Augmenter(Augmentation(intensity=1.0, brightness=0.3), (16, 16))(
        image, torch.zeros(16, 16, dtype=torch.int64), 3
    )
    assert torch.all(changed[0, :4] == -1)
    assert float((changed[0, 4] + 1).mean() / 1.2) != pytest.approx(1.0, abs=1e-3)


def test_what_a_slice_becomes_depends_on_its_key_alone(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, _spec(), Augmenter(STRONG, (64, 64)))
    sampler = GroupSampler(dataset, [SampleGroup()], samples=12, seed=1)

    def epoch(workers: int) -> torch.Tensor:
        return torch.cat([batch["image"] for batch in DataLoader(slices, 4, sampler=sampler, num_workers=workers)])

    inline = epoch(0)
    torch.testing.assert_close(inline, epoch(2), rtol=0, atol=0)
    sampler.epoch = 1
    assert not torch.allclose(inline, epoch(0))


def test_groups_are_drawn_by_weight_and_patients_alike(dataset: Dataset) -> None:
    groups = [
        SampleGroup("lits_slices", True, 0.5),
        SampleGroup("msd_slices", None, 0.3),
        SampleGroup("lits_slices", False, 0.2),
    ]
    keys = list(GroupSampler(dataset, groups, samples=4000, seed=0))
    sources = Counter(key.case.split("_")[0] for key in keys)
    assert sources["msd"] / 4000 == pytest.approx(0.3, abs=0.03)
    empty = sum(key.case.startswith("lits") and key.position in (0, 5) for key in keys)
    assert empty / 4000 == pytest.approx(0.2, abs=0.03)
    patients = Counter(key.case for key in keys if key.case.startswith("msd"))
    assert max(patients.values()) / min(patients.values()) < 1.4


@pytest.mark.parametrize("foreground", [True, False])
def test_a_group_with_or_without_foreground_has_no_other_slices(dataset: Dataset, foreground: bool) -> None:
    sampler = GroupSampler(dataset, [SampleGroup("lits_slices", foreground)], samples=200, seed=0)
    assert {key.position for key in sampler} == ({1, 2, 3, 4} if foreground else {0, 5})


def test_a_patient_of_two_cases_is_drawn_as_often_as_one_of_a_single_case(dataset: Dataset) -> None:
    cases = tuple(
        replace(case, patient="twice") if case.id in ("lits_v00", "lits_v01") else case
        for case in dataset.cases
        if case.source == "lits_slices"
    )
    sampler = GroupSampler(Dataset(dataset.folder, cases), [SampleGroup()], samples=3000, seed=0)
    drawn = Counter(key.case for key in sampler)
    assert (drawn["lits_v00"] + drawn["lits_v01"]) / 3000 == pytest.approx(1 / 3, abs=0.04)
    assert drawn["lits_v02"] / 3000 == pytest.approx(1 / 3, abs=0.04)


def test_a_group_without_slices_is_refused(dataset: Dataset) -> None:
    with pytest.raises(GANSegmentationError, match="chaos_ct") as caught:
        GroupSampler(dataset, [SampleGroup("chaos_ct")], samples=4, seed=0)
    assert caught.value.code == "empty_group"
