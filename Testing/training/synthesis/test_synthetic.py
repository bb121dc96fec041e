"""From a synthesis run to a package, and from the package to a dataset of painted slices."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from GANSegmentationLib.datasets import Dataset, check_dataset, patient_split
from GANSegmentationLib.datasets.mixing import join
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference.synthesise import Synthesiser
from GANSegmentationLib.models import Package, open_package
from GANSegmentationLib.training import Preset, RunOptions, Trainer, export_package
from GANSegmentationLib.training.starting.preflight import check_run
from GANSegmentationLib.training.synthesis.synthetic import (
    PROVENANCE,
    PaintPlan,
    draw_slices,
    synthesize,
    training_part,
)
from Testing.datasets.test_memorisation import write_dataset
from Testing.painter import painter_preset, write_painter


@pytest.fixture(scope="module")
def preset() -> Preset:
    return Preset.from_dict(painter_preset())


@pytest.fixture(scope="module")
def package(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return write_painter(tmp_path_factory.mktemp("painter") / "painter.ganseg", dataset)


@pytest.fixture(scope="module")
def painted(dataset: Dataset, package: Package, preset: Preset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    training = training_part(package, preset, dataset)
    folder = tmp_path_factory.mktemp("painted")
    return synthesize(Synthesiser(package, "cpu"), training, preset.data.view, folder, PaintPlan(count=20, seed=3))


def test_a_run_becomes_a_package_that_paints(dataset, tmp_path: Path):
    preset = Preset.from_dict(painter_preset(l1=100.0) | {"epochs": 2, "steps_per_epoch": 25})
    trainer = Trainer(preset, dataset, tmp_path / "run", RunOptions("cpu"))
    result = trainer.run()
    assert result.finished and np.isfinite(result.best_score) and result.score == "similarity"
    said: list[str] = []
    path = export_package(
        tmp_path / "run", preset, dataset, tmp_path / "painter.ganseg", device="cpu", date="2026-01-02", say=said.append
    )
    package = open_package(path)
    card = package.card
    assert (card.task, card.training.objective, card.network.name) == ("synthesis", "synthesis", "pix2pix_modern_image")
    assert [segment.name for segment in package.labels] == ["Liver"]
    facts = {(each.dataset, each.name): each for each in card.metrics}
    measures = ("similarity", "structure", "texture", "mae")
    assert set(facts) == {(source, name) for source in ("lits_slices", "msd_slices") for name in measures}
    assert facts["lits_slices", "similarity"].n == 1 and facts["msd_slices", "similarity"].ci95 is not None
    assert facts["lits_slices", "similarity"].mean == pytest.approx(trainer.best_score, abs=0.02), (
        "half precision is near"
    )
    assert package.preview() is not None and any("similarity" in text for text in said)
    package.verify()
    painted = synthesize(
        Synthesiser(package, "cpu"), training_part(package, preset, dataset), preset.data.view, tmp_path / "out",
        PaintPlan(count=6),
    )  # fmt: skip
    assert sum(case.slices for case in painted.cases) == 6


def test_a_synthetic_dataset_is_a_prepared_one_of_training_patients_masks(dataset, painted):
    opened = Dataset.open(painted.folder)
    assert {case.id: case for case in opened.cases} == {case.id: case for case in painted.cases}
    assert [each for each in check_dataset(opened) if each.level == "error"] == []
    assert opened.labels == {1: "Liver"} and sum(case.slices for case in opened.cases) == 20
    for case in opened.cases:
        parent = dataset.by_id[case.id.removeprefix("synthetic_")]
        assert case.derived_from == (parent.patient,) and case.patient == f"synthetic_{parent.patient}"
        assert parent.patient not in ("lits_v00", "msd_c004") and case.source == "synthetic" and not case.is_volume
        assert all(count > 0 for count in case.foreground)
        images = np.asarray(opened.images(case))
        assert images.dtype == np.uint8 and images.std() > 1
        # The model's window is 0 to 160 HU.
        assert (case.unit, case.intercept, 255 * case.slope) == ("HU", 0.0, pytest.approx(160.0))
    check_run(Preset.from_dict(painter_preset()), join(dataset, opened))


def test_masks_are_deformed_and_the_slice_is_painted_from_the_deformed_one(dataset, package, preset, painted):
    provenance = json.loads((painted.folder / PROVENANCE).read_text())
    assert provenance["model"]["id"] == "tiny-painter" and provenance["plan"]["seed"] == 3
    assert len(provenance["slices"]) == 20
    synthesiser = Synthesiser(package, "cpu")
    moved = 0
    for each in provenance["slices"]:
        case = painted.by_id[each["case"]]
        mask = np.asarray(painted.masks(case)[each["position"]])
        name, position = each["from"]
        source = np.asarray(dataset.masks(dataset.by_id[name])[position])
        moved += not np.array_equal(mask, source)
        overlap = 2 * (mask & source).sum() / (mask.sum() + source.sum())
        assert overlap > 0.6, "deformed, not another mask"
        again = synthesiser.paint(torch.from_numpy(mask.astype(np.int64))[None], [each["seed"]])[0]
        stored = np.asarray(painted.images(case)[each["position"]]).astype(float)
        np.testing.assert_allclose((again.numpy() + 1) * 127.5, stored, atol=0.6)
    assert moved == 20


def test_the_seed_decides_everything(dataset, package, preset, painted, tmp_path: Path):
    training = training_part(package, preset, dataset)

    three, four = (
        synthesize(
            Synthesiser(package, "cpu"), training, preset.data.view, tmp_path / f"{seed}", PaintPlan(20, seed=seed)
        )
        for seed in (3, 4)
    )
    assert three.fingerprint == painted.fingerprint != four.fingerprint


def test_masks_as_they_are_and_mirrored(dataset, package, preset, tmp_path: Path):
    training, synthesiser = training_part(package, preset, dataset, ["lits_v01"]), Synthesiser(package, "cpu")
    plain = synthesize(synthesiser, training, preset.data.view, tmp_path / "plain", PaintPlan(masks="as-is"))
    (case,) = plain.cases
    assert case.slices == 4 and case.derived_from == ("lits_v01",), "as many as have a mask"
    provenance = json.loads((tmp_path / "plain" / PROVENANCE).read_text())["slices"]
    source = np.asarray(dataset.masks(dataset.by_id["lits_v01"]))
    for position, each in enumerate(provenance):
        np.testing.assert_array_equal(plain.masks(case)[position], source[each["from"][1]])
    plan = PaintPlan(count=16, masks="as-is", mirror=True)
    mirrored = synthesize(synthesiser, training, preset.data.view, tmp_path / "mirrored", plan)
    centres = [np.nonzero(mask)[1].mean() for mask in np.asarray(mirrored.masks(mirrored.cases[0]))]
    assert 3 <= sum(centre > 32 for centre in centres) <= 13, "about half lie on the other side"


def test_every_mask_is_painted_once_before_any_is_painted_twice(dataset, package, preset):
    training = training_part(package, preset, dataset)
    eligible = sum(count > 0 for case in training.cases for count in case.foreground)
    for count in (5, eligible, 2 * eligible + 3):
        draws = draw_slices(training, preset.data.view, PaintPlan(count=count), varies=False)
        places = [(draw.case, draw.position) for members in draws.values() for draw in members]
        times = [places.count(place) for place in set(places)]
        assert len(places) == count and max(times) - (min(times) if count >= eligible else 1) <= 1
        assert len({draw.seed for members in draws.values() for draw in members}) == count
    with pytest.raises(GANSegmentationError) as caught:
        draw_slices(training, preset.data.view, PaintPlan(count=eligible + 1, masks="as-is"), varies=False)
    assert caught.value.code == "nothing_new"


def test_labels_that_the_model_takes_keep_their_values_and_others_vanish(dataset, package, preset, tmp_path: Path):
    view = replace(preset.data.view, labels=(2,))
    folder = tmp_path / "labels"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, 64, 64)).astype(np.uint8)
    two = write_dataset(folder, {"a": images})
    masks = np.zeros((2, 64, 64), np.uint8)
    masks[0, :20], masks[0, 30:40], masks[1, :20] = 1, 2, 1
    np.save(folder / "masks" / "a.npy", masks)
    two = replace(two, labels={1: "Cell", 2: "Nucleus"})
    plan = PaintPlan(masks="as-is")
    painted = synthesize(Synthesiser(package, "cpu"), two, view, tmp_path / "out", plan)
    (case,) = painted.cases
    assert case.slices == 1 and painted.labels == {2: "Nucleus"}, "the other slice has nothing that is taken"
    np.testing.assert_array_equal(painted.masks(case)[0], np.where(masks[0] == 2, 2, 0))
    with pytest.raises(GANSegmentationError) as caught:
        synthesize(Synthesiser(package, "cpu"), two, replace(view, labels=(3,)), tmp_path / "none", plan)
    assert caught.value.code == "no_masks" and not (tmp_path / "none").exists()


def test_slices_that_are_not_square_lose_their_padding(dataset, package, preset, tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 255, (1, 60, 100)).astype(np.uint8)
    wide = replace(write_dataset(tmp_path / "wide", {"a": images}), labels={1: "Liver"})
    masks = np.zeros((1, 60, 100), np.uint8)
    masks[0, 20:40, 30:70] = 1
    np.save(tmp_path / "wide" / "masks" / "a.npy", masks)
    painted = synthesize(
        Synthesiser(package, "cpu"), wide, preset.data.view, tmp_path / "out", PaintPlan(masks="as-is")
    )
    (case,) = painted.cases
    assert case.shape == (38, 64), "60 x 100 pixels with the longer side at 64, without the rows that fill up to 40"
    mask = np.asarray(painted.masks(case)[0])
    assert abs(mask.mean() - masks.mean()) < 0.01


def test_who_was_held_out_is_never_painted(dataset, package, preset):
    training = training_part(package, preset, dataset)
    assert {case.patient for case in training.cases} == {"lits_v01", "lits_v02", "lits_v03", "msd_c002"}
    with pytest.raises(GANSegmentationError, match="lits_v00") as caught:
        training_part(package, preset, dataset, ["lits_v01", "lits_v00"])
    assert caught.value.code == "held_out_patient"


def test_a_split_that_cannot_be_proved_is_refused(dataset, package, preset, preset_json):
    with pytest.raises(GANSegmentationError) as caught:
        training_part(package, Preset.from_dict(preset_json), dataset)
    assert caught.value.code == "wrong_preset"
    moved = replace(preset, data=replace(preset.data, validation_patients=("lits_v01", "msd_c004")))
    fewer = dataset.subset([case.id for case in dataset.cases if case.id != "lits_v03"])
    for one, two in ((moved, dataset), (preset, fewer)):
        with pytest.raises(GANSegmentationError) as caught:
            training_part(package, one, two)
        assert caught.value.code == "other_split"


def test_withheld_masks_are_not_painted(dataset, preset, tmp_path: Path):
    package = write_painter(tmp_path / "painter.ganseg", dataset)
    withholding = replace(preset, data=replace(preset.data, unlabelled_patients=("lits_v02",)))
    training = training_part(package, withholding, dataset)
    assert "lits_v02" not in {case.patient for case in training.cases}


def test_a_folder_in_use_is_left_alone(dataset, package, preset, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(GANSegmentationError) as caught:
        synthesize(
            Synthesiser(package, "cpu"), training_part(package, preset, dataset), preset.data.view, tmp_path / "out",
            PaintPlan(count=1),
        )  # fmt: skip
    assert caught.value.code == "folder_in_use"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": 2}, "2 classes"),
        ({"generator": {"name": "pix2pix_modern_image", "config": {"out_channels": 3}}}, "paints 3"),
    ],
)
def test_a_preset_whose_parts_do_not_fit_is_refused_before_training(dataset, change, said):
    with pytest.raises(GANSegmentationError, match=said) as caught:
        check_run(Preset.from_dict(painter_preset(**change)), dataset)
    assert caught.value.code == "invalid_preset"


def test_input_labels_make_no_sense_for_a_painter(dataset):
    plain = painter_preset()
    plain["data"]["input_labels"] = [1]
    with pytest.raises(GANSegmentationError, match="input_labels"):
        check_run(Preset.from_dict(plain), dataset)


def test_the_splits_sides_hold_for_what_was_painted(dataset, painted):
    joined = join(dataset, painted)
    parents = {name for case in painted.cases for name in case.derived_from}
    split = patient_split(joined, validation=["lits_v00", "msd_c004"])
    assert parents <= {joined.by_id[name].patient for name in split.train}
