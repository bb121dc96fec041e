"""Which masks a model is compared with, and which it is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import SliceView
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.models import Package, open_package, write_package
from GANSegmentationLib.slicing import SliceSpec
from GANSegmentationLib.training import Preset, evaluate
from GANSegmentationLib.training.evaluation.references import case_volumes, check_names, reference_view
from GANSegmentationLib.volumes import Segment
from Testing.inference.conftest import WINDOW, card_of, threshold_network
from Testing.training.conftest import tiny_preset
from Testing.training.measured_cases import SIDE, Drawn, blocks, threshold_package, write_dataset

ORGANS = {1: "Liver", 2: "Right kidney", 4: "Spleen"}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    images, masks = blocks(values=(60, 110, 170))
    return write_dataset(tmp_path / "data", [Drawn("a", images, np.where(masks == 3, 4, masks))], ORGANS)


def preset_of(**data: Any) -> Preset:
    plain = tiny_preset("supervised")
    return Preset.from_dict({**plain, "data": {**plain["data"], **data}})


def test_names_tell_which_label_is_meant(tmp_path: Path, dataset: Dataset) -> None:
    for names, labels in ((["Spleen"], (4,)), (["spleen", "LIVER"], (4, 1)), (["right_kidney"], (2,))):
        package = threshold_package(tmp_path, *range(60, 60 + len(names)), names=names)
        assert reference_view(package, dataset) == SliceView(labels=labels)


def test_a_model_of_one_structure_is_not_compared_with_the_others(tmp_path: Path, dataset: Dataset) -> None:
    package = threshold_package(tmp_path, 140.0, names=["Spleen"])
    view = reference_view(package, dataset)
    assert evaluate(Predictor(package, "cpu", half=False), dataset, ["a"], view=view)[0].dice == 1.0


def test_the_preset_s_labels_count_where_the_dataset_has_them(tmp_path: Path, dataset: Dataset) -> None:
    package = threshold_package(tmp_path, 100.0, names=["Something"])
    assert reference_view(package, dataset, preset_of(labels=[2])).labels == (2,)
    spleen = threshold_package(tmp_path, 100.0, names=["Spleen"])
    assert reference_view(spleen, dataset, preset_of(labels=[9])).labels == (4,), "else names do"


def test_unlabelled_patients_of_training_are_scored_all_the_same(tmp_path: Path, dataset: Dataset) -> None:
    package = threshold_package(tmp_path, 100.0, names=["Liver"])
    view = reference_view(package, dataset, preset_of(labels=[1], unlabelled_patients=["a"]))
    assert view.unlabelled_patients == ()


def test_all_labels_are_taken_where_they_are_the_model_s_own(tmp_path: Path) -> None:
    images, masks = blocks()
    anonymous = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], {})
    assert reference_view(threshold_package(tmp_path, 100.0), anonymous).labels is None


def test_a_liver_model_is_not_scored_against_lungs_because_both_are_label_1(tmp_path: Path) -> None:
    images, masks = blocks()
    lungs = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], {1: "Lung"})
    package = threshold_package(tmp_path, 100.0)
    for preset in (None, preset_of(labels=None)):
        with pytest.raises(GANSegmentationError, match="1 Lung") as caught:
            reference_view(package, lungs, preset)
        assert caught.value.code == "labels_unmatched"
    with pytest.raises(GANSegmentationError, match="1 Lung"):
        check_names(package, lungs, preset_of(labels=[1]))
    lobes = replace(lungs, labels={1: "Liver lobes"})
    check_names(package, lobes, preset_of(labels=[1]))
    check_names(package, lungs, None)


def test_what_nobody_can_tell_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(GANSegmentationError, match="Pancreas") as caught:
        reference_view(threshold_package(tmp_path, 100.0, names=["Pancreas"]), dataset)
    assert caught.value.code == "labels_unmatched" and "--preset" in caught.value.action
    with pytest.raises(GANSegmentationError):
        reference_view(threshold_package(tmp_path, 100.0, names=["Pancreas"]), dataset, preset_of(labels=None))


def two_channel_package(folder: Path, **fields: Any) -> Package:
    """A model that finds what its second channel, a mask, has inside."""
    config, weights = threshold_network(2, 1, (100.0,))
    card = card_of(
        config,
        schema="1.1",
        slicing=SliceSpec("axial", 1, SIDE, 4, WINDOW),
        channels=2,
        channel_names=["CT", "Right kidney"],
        mask_channels=["Right kidney"],
        **fields,
    )
    return open_package(write_package(folder / "two.ganseg", card, weights, [Segment(1, "Right kidney", (1, 2, 3))]))


@pytest.mark.parametrize("named", [True, False])
def test_a_model_is_given_the_masks_that_it_takes(tmp_path: Path, dataset: Dataset, named: bool) -> None:
    package = two_channel_package(tmp_path)
    preset = None if named else preset_of(labels=[2], input_labels=[2])
    view = reference_view(package, dataset, preset)
    assert view == SliceView(labels=(2,), input_labels=(2,))
    scan, mask = case_volumes(dataset, dataset.by_id["a"], view)
    assert scan.modality == "CT" and set(np.unique(mask.array)) == {0, 1}
    assert evaluate(Predictor(package, "cpu", half=False), dataset, ["a"], view=view)[0].dice == 1.0


def test_a_mask_that_the_dataset_lacks_is_missed_by_name(tmp_path: Path) -> None:
    images, masks = blocks()
    dataset = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], {1: "Liver"})
    package = two_channel_package(tmp_path)
    package = replace(package, labels=(Segment(1, "Liver", (1, 2, 3)),))
    with pytest.raises(GANSegmentationError, match="Right kidney") as caught:
        reference_view(package, dataset)
    assert caught.value.code == "labels_unmatched"
