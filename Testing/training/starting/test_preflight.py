"""Mistakes that would only come out after the last epoch are found before the first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, patient_split
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training import Preset
from GANSegmentationLib.training.starting.preflight import check_run, require_same_data, run_facts


def _refused(plain: dict[str, Any], dataset: Dataset) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        check_run(Preset.from_dict(plain), dataset)
    return caught.value


@pytest.mark.parametrize(
    ("field", "value", "code", "said"),
    [
        ("labels", "lever.csv", "invalid_preset", "liver.csv"),
        ("id", "Not An Id", "invalid_card", "id"),
        ("version", "one", "invalid_card", "version"),
        ("default_for", ["MR"], "invalid_card", "default_for"),
        ("channel_names", ["T1", "T2"], "invalid_preset", "2 channels"),
    ],
)
def test_a_model_that_could_not_be_exported_is_refused(
    field: str, value: object, code: str, said: str, preset_json: dict[str, Any], dataset: Dataset
) -> None:
    preset_json["model"][field] = value
    error = _refused(preset_json, dataset)
    assert error.code == code and said in str(error)


def test_somebody_must_say_which_weights_are_best(preset_json: dict[str, Any], dataset: Dataset) -> None:
    preset_json["data"] |= {"validation_patients": ["msd_c004"]}  # the score's source is LiTS
    assert _refused(preset_json, dataset).code == "no_score"
    empty = tuple(
        replace(case, foreground=(0,) * case.slices) if case.patient == "msd_c004" else case for case in dataset.cases
    )
    preset_json["data"] |= {"score_source": None}
    assert check_run(Preset.from_dict(preset_json), dataset).split.validation == ("msd_c004",)
    assert _refused(preset_json, Dataset(dataset.folder, empty, dataset.labels)).code == "no_score"


def test_slices_that_cannot_share_a_batch_are_refused(
    preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    case = dataset.by_id["lits_v01"]
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for each in dataset.cases:
            (tmp_path / kind / f"{each.id}.npy").write_bytes((dataset.folder / kind / f"{each.id}.npy").read_bytes())
        array = np.load(tmp_path / kind / "lits_v01.npy")
        np.save(tmp_path / kind / "lits_v01.npy", array[:, 8:56])
    cut = replace(case, shape=(48, 64))
    cut = replace(cut, fingerprint=Dataset(tmp_path, (cut,)).stored_fingerprint(cut))
    cases = tuple(cut if each.id == case.id else each for each in dataset.cases)
    error = _refused(preset_json, Dataset(tmp_path, cases, dataset.labels))
    assert error.code == "mixed_shapes" and "48 x 64" in str(error)
    preset_json["slicing"]["multiple"] = 64
    assert check_run(Preset.from_dict(preset_json), Dataset(tmp_path, cases, dataset.labels)).findings == []


def test_a_run_knows_its_data_again(dataset: Dataset, tmp_path: Path) -> None:
    split = patient_split(dataset, validation=["lits_v00"])
    (tmp_path / "split.json").write_text(json.dumps(run_facts(dataset, split)))
    require_same_data(tmp_path, dataset, split)

    def refused(other: Dataset, **parts: Any) -> str:
        with pytest.raises(GANSegmentationError) as caught:
            require_same_data(tmp_path, other, patient_split(other, **parts))
        assert caught.value.code == "dataset_changed"
        return str(caught.value)

    assert "other patients" in refused(dataset, validation=["lits_v01"])
    edited = tuple(replace(case, fingerprint="f" * 64) for case in dataset.cases)
    assert "other slices" in refused(Dataset(dataset.folder, edited), validation=["lits_v00"])
    (tmp_path / "split.json").write_text("{}")
    with pytest.raises(GANSegmentationError) as caught:
        require_same_data(tmp_path, dataset, split)
    assert caught.value.code == "invalid_run"


def test_values_out_of_range_are_named(preset_json: dict[str, Any]) -> None:
    wrong = {
        "epochs": 0, "batch_size": -1, "steps_per_epoch": 0, "ema_decay": 1.0, "clip_norm": -1.0, "seed": -1,
        "precision": "16-mixed", "schedule": {"kind": "square"}, "augmentation": {"affine": 2},
        "optimisers": {"generator": {"lr": 0}},
    }  # fmt: skip
    for name, value in wrong.items():
        with pytest.raises(GANSegmentationError) as caught:
            Preset.from_dict(preset_json | {name: value})
        assert caught.value.code == "invalid_preset" and (name in str(caught.value) or name == "schedule"), name
    for more in ({"groups": []}, {"groups": [{"weight": 0}]}):
        with pytest.raises(GANSegmentationError, match=r"data\.groups"):
            Preset.from_dict(preset_json | {"data": preset_json["data"] | more})
    for settings in ({"name": "lion"}, {"betas": [0.5, 1.0]}, {"weight_decay": -1}):
        with pytest.raises(GANSegmentationError, match=r"optimisers\.generator"):
            Preset.from_dict(preset_json | {"optimisers": {"generator": settings}})
    for more in (
        {"labels": []}, {"labels": [0]}, {"labels": [-1]}, {"labels": [300]}, {"labels": [1, 1]}, {"crop": -5},
        {"input_labels": [256]},
    ):  # fmt: skip
        with pytest.raises(GANSegmentationError, match=rf"data\.{next(iter(more))}"):
            Preset.from_dict(preset_json | {"data": preset_json["data"] | more})
    for name, value in (("noise_sigma", -1), ("scale", -5), ("scale", 1), ("rotate_degrees", -1)):
        with pytest.raises(GANSegmentationError, match=rf"augmentation\.{name}"):
            Preset.from_dict(preset_json | {"augmentation": {name: value}})


@pytest.mark.parametrize(
    ("classes", "labels", "table", "said"),
    [
        (3, None, "liver.csv", "2 structures apart, and liver.csv names 1"),
        (2, [1, 2, 3, 4], "liver.csv", "names 4 labels"),
        (1, [1, 2, 3, 4], "liver.csv", "names 4 labels"),
        (1, [1], "abdomen.csv", "abdomen.csv names 4"),
        (5, None, "abdomen.csv", "null"),
    ],
)
def test_labels_classes_and_the_label_table_count_the_same(
    classes: int, labels: object, table: str, said: str, supervised_json: dict[str, Any], dataset: Dataset
) -> None:
    generator = supervised_json["objective"]["config"]["generator"]
    config = {"generator": {**generator, "config": {**generator["config"], "classes": classes}}}
    supervised_json["objective"]["config"] = config
    supervised_json["data"]["labels"] = labels
    supervised_json["model"]["labels"] = table
    error = _refused(supervised_json, dataset)
    assert error.code == "invalid_preset" and said in str(error)


def test_organs_are_not_merged_because_no_labels_are_named(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    four = replace(dataset, labels={1: "Liver", 2: "Right kidney"})
    check_run(Preset.from_dict(supervised_json), four)  # no case that is used has the second
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for each in dataset.cases:
            (tmp_path / kind / f"{each.id}.npy").write_bytes((dataset.folder / kind / f"{each.id}.npy").read_bytes())
    masks = np.load(tmp_path / "masks" / "lits_v01.npy")
    masks[2, :4, :4] = 2
    np.save(tmp_path / "masks" / "lits_v01.npy", masks)
    error = _refused(supervised_json, replace(four, folder=tmp_path))
    assert error.code == "invalid_preset" and "data.labels is null" in str(error)


def test_a_run_knows_when_its_grey_values_mean_something_else(dataset: Dataset, tmp_path: Path) -> None:
    split = patient_split(dataset, validation=["lits_v00"])
    (tmp_path / "split.json").write_text(json.dumps(run_facts(dataset, split)))
    require_same_data(tmp_path, Dataset.open(dataset.folder), split)
    changes: tuple[dict[str, Any], ...] = ({"slope": 2.0}, {"intercept": 7.0}, {"modality": "MR"})
    for change in (*changes, {"spacing_zyx": (9.0, 1.0, 1.0)}):
        cases = tuple(replace(case, **change) for case in dataset.cases)
        with pytest.raises(GANSegmentationError, match="slope, intercept") as caught:
            require_same_data(tmp_path, replace(dataset, cases=cases), split)
        assert caught.value.code == "dataset_changed"
    earlier = {name: value for name, value in run_facts(dataset, split).items() if name != "dataset_facts"}
    (tmp_path / "split.json").write_text(json.dumps(earlier))
    require_same_data(tmp_path, dataset, split)
