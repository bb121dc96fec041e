"""What a task makes of prepared slices: classes, input channels, domains, withheld masks, crops, further streams."""

from __future__ import annotations

import math
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


class _Quarter(Augmenter):
    """Turns every slice by 90 degrees, and remembers what it was given."""

    def __init__(self, settings: Augmentation) -> None:
        super().__init__(settings, (32, 32))
        self.given: list[torch.Tensor] = []

    def __call__(self, image: torch.Tensor, mask: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.given.append(image)
        return torch.rot90(image, 1, (-2, -1)), torch.rot90(mask, 1)


def test_a_crop_is_changed_with_its_surroundings_so_that_no_border_is_smeared(dataset: Dataset) -> None:
    turning = _Quarter(Augmentation(affine=1.0, rotate_degrees=180.0, scale=0.1))
    changed, plain = SliceDataset(dataset, SPEC, turning, crop=32), SliceDataset(dataset, SPEC, crop=32)
    margin = math.ceil(32 * (math.sqrt(2) * 1.1 - 1) / 2)
    for seed in range(12):
        key = SliceKey("chaos_mr_01", 2, seed)
        item, window = changed[key], plain[key]
        assert turning.given[-1].shape == (1, 32 + 2 * margin, 32 + 2 * margin)
        assert torch.equal(item["image"], torch.rot90(window["image"], 1, (-2, -1)))
        assert torch.equal(item["mask"], torch.rot90(window["mask"], 1))


def test_what_lies_beyond_a_slice_is_its_mirror_image(dataset: Dataset) -> None:
    turning = _Quarter(Augmentation(affine=1.0, rotate_degrees=45.0))
    whole = SliceDataset(dataset, SPEC)[KEY]["image"][0].numpy()
    # A crop as large as the slice leaves one place for it, with the margin mirrored on all sides.
    SliceDataset(dataset, SPEC, turning, crop=64)[SliceKey("chaos_mr_01", 2, 5)]
    margin = math.ceil(64 * (math.sqrt(2) - 1) / 2)
    np.testing.assert_array_equal(turning.given[0][0].numpy(), np.pad(whole, margin, mode="reflect"))


def test_a_slice_that_is_kept_ready_is_never_changed(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    slices = SliceDataset(dataset, SPEC)
    first = slices[KEY]
    expected = {name: value.clone() for name, value in first.items()}
    for value in first.values():
        value.zero_()
    monkeypatch.setattr(slices.stack(dataset.by_id[KEY.case]), "batch", None)
    for name, value in slices[KEY].items():
        assert torch.equal(value, expected[name]), "the second time it comes from memory"


def test_slices_are_kept_only_while_there_is_room(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("GANSegmentationLib.datasets.slices.READY_BYTES", 3 * 64 * 64 * 5 + 10)
    slices = SliceDataset(dataset, SPEC)
    asked: list[int] = []
    stack = slices.stack(dataset.by_id[KEY.case])
    read = stack.batch

    def counted(start: int, stop: int) -> torch.Tensor:
        asked.append(start)
        return read(start, stop)

    monkeypatch.setattr(stack, "batch", counted)
    for _ in range(2):
        for position in range(4):
            slices[SliceKey(KEY.case, position)]
    assert asked == [0, 1, 2, 3, 3]


def test_changes_that_turn_nothing_need_no_surroundings() -> None:
    assert Augmentation(noise=1.0, elastic=1.0, rotate_degrees=90.0).reach == 1.0
    assert Augmentation(affine=0.5, rotate_degrees=180.0).reach == pytest.approx(math.sqrt(2))
    assert Augmentation(affine=0.5, rotate_degrees=10.0, scale=0.2).reach == pytest.approx(1.2 * 1.1585, rel=1e-3)


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
