"""What a task makes of prepared slices: classes, input channels, domains, withheld masks, crops, further streams."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from GANSegmentationLib.datasets import Dataset, labels_of, prepare
from GANSegmentationLib.datasets.augmentation import Augmentation, Augmenter
from GANSegmentationLib.datasets.slices import GroupSampler, SampleGroup, SliceDataset, SliceKey, SliceView
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import Percentiles, SliceSpec

SPEC = SliceSpec("axial", 1, 64, 32, Percentiles(1, 99))
KEY = SliceKey("chaos_mr_01", 2)


@pytest.fixture(scope="module")
def dataset(abdomen_folder: Path, layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    sources = [("chaos_mr", abdomen_folder), ("lits_slices", layouts_folder / "lits")]
    labels = labels_of([layout for layout, _ in sources])
    return prepare(sources, tmp_path_factory.mktemp("prepared"), labels=labels)


def test_chosen_labels_become_classes_in_their_order(dataset: Dataset) -> None:
    plain = SliceDataset(dataset, SPEC)[KEY]["mask"]
    chosen = SliceDataset(dataset, SPEC, view=SliceView(labels=(4, 1)))
    mask = chosen[KEY]["mask"]
    assert torch.equal(mask == 1, plain == 4) and torch.equal(mask == 2, plain == 1) and int(mask.max()) == 2
    reference = chosen.reference(dataset.by_id["chaos_mr_01"])
    np.testing.assert_array_equal(reference == 2, np.asarray(dataset.masks(dataset.by_id["chaos_mr_01"])) == 1)


def test_input_labels_follow_the_image_and_move_with_it(dataset: Dataset) -> None:
    view = SliceView(labels=(1,), input_labels=(4, 1))
    moved = Augmenter(Augmentation(affine=1.0, rotate_degrees=25, translate=0.1, noise=1.0, noise_sigma=0.5), (64, 64))
    item = SliceDataset(dataset, SPEC, moved, view=view)[SliceKey("chaos_mr_01", 2, seed=5)]
    assert item["image"].shape == (3, 64, 64)
    assert set(item["image"][1:].unique().tolist()) == {-1.0, 1.0}, "noise is for images, not for masks"
    assert torch.equal(item["image"][2] > 0, item["mask"] == 1)
    still = SliceDataset(dataset, SPEC, view=view)
    assert not torch.equal(still[KEY]["image"][2], item["image"][2])
    torch.testing.assert_close(still.inputs(dataset.by_id["chaos_mr_01"], 2, 3)[0], still[KEY]["image"])


def test_withheld_masks_never_reach_a_batch(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, SPEC, view=SliceView(unlabelled_patients=("chaos_mr_01",)))
    hidden, shown = slices[KEY], slices[SliceKey("chaos_mr_02", 2)]
    assert not bool(hidden["labelled"]) and int(hidden["mask"].max()) == 0
    assert bool(shown["labelled"]) and int(shown["mask"].max()) == 4
    assert "labelled" not in SliceDataset(dataset, SPEC)[KEY], "where all masks are there, nothing is said"


def test_nobody_samples_by_what_a_withheld_mask_holds(dataset: Dataset) -> None:
    view = SliceView(unlabelled_patients=("chaos_mr_01",))

    def cases(group: SampleGroup) -> set[str]:
        return {key.case for key in GroupSampler(dataset, [group], samples=300, seed=0, view=view)}

    assert "chaos_mr_01" not in cases(SampleGroup("chaos_mr", foreground=True))
    assert "chaos_mr_01" not in cases(SampleGroup("chaos_mr", foreground=False))
    assert cases(SampleGroup("chaos_mr")) == {"chaos_mr_01", "chaos_mr_02", "chaos_mr_03"}
    assert cases(SampleGroup(labelled=False)) == {"chaos_mr_01"}
    assert "chaos_mr_01" not in cases(SampleGroup(labelled=True))


def test_foreground_is_what_the_task_learns(dataset: Dataset) -> None:
    groups = [SampleGroup("lits_slices", foreground=True)]
    with pytest.raises(GANSegmentationError) as caught:
        GroupSampler(dataset, groups, samples=4, seed=0, view=SliceView(labels=(4,)))  # LiTS has no spleen
    assert caught.value.code == "empty_group"


def test_a_slice_says_its_domain(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, SPEC, view=SliceView(domains=("CT", "MR")))
    assert int(slices[KEY]["domain"]) == 1 and int(slices[SliceKey("lits_v00", 1)]["domain"]) == 0
    vector = slices.domain_vector(dataset.by_id["chaos_mr_01"], 3)
    assert vector is not None and vector.tolist() == [[0.0, 1.0]] * 3
    with pytest.raises(GANSegmentationError, match="CT") as caught:
        SliceDataset(dataset, SPEC, view=SliceView(domains=("MR",)))[SliceKey("lits_v00", 1)]
    assert caught.value.code == "unknown_domain"


def test_a_crop_is_one_window_of_image_and_mask_placed_by_its_seed(dataset: Dataset) -> None:
    whole = SliceDataset(dataset, SPEC)[KEY]
    cropped = SliceDataset(dataset, SPEC, crop=32)
    places = set()
    for seed in range(12):
        item = cropped[SliceKey("chaos_mr_01", 2, seed)]
        assert item["image"].shape == (1, 32, 32)
        found = [
            (top, left)
            for top in range(33)
            for left in range(33)
            if torch.equal(whole["image"][:, top : top + 32, left : left + 32], item["image"])
            and torch.equal(whole["mask"][top : top + 32, left : left + 32], item["mask"])
        ]
        assert found
        places.add(found[0])
    assert len(places) > 6
    assert cropped[KEY]["image"].shape == (1, 64, 64), "a slice without a seed is for validation, and whole"


def test_streams_draw_by_themselves_and_leave_the_main_samples_alone(dataset: Dataset) -> None:
    main = [SampleGroup("lits_slices")]
    alone = list(GroupSampler(dataset, main, samples=60, seed=3))
    both = list(GroupSampler(dataset, main, samples=60, seed=3, streams={"unpaired": [SampleGroup("chaos_mr")]}))
    assert [(key.case, key.position, key.seed) for key in both] == [(k.case, k.position, k.seed) for k in alone]
    others = [dict(key.others)["unpaired"] for key in both]
    assert len(Counter(key.case for key in others)) == 3 and {key.case[:8] for key in others} == {"chaos_mr"}
    item = SliceDataset(dataset, SPEC)[both[0]]
    assert item["unpaired/mask"].shape == (64, 64) and item["unpaired/image"].shape == (1, 64, 64)
    expected = SliceDataset(dataset, SPEC)[others[0]]
    assert torch.equal(item["unpaired/image"], expected["image"])
