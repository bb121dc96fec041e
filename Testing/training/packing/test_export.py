"""From a run to a package that users pick: weights, card, post-processing, twins."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from GANSegmentationLib.datasets import Dataset, patient_split, prepare
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.metrics import score_masks
from GANSegmentationLib.models import Package, PostProcessing, open_package, write_package
from GANSegmentationLib.training import (
    CaseScore,
    Preset,
    RunOptions,
    Trainer,
    evaluate,
    export_package,
    paired_difference,
    release_twins,
    summarise,
)
from GANSegmentationLib.training.checkpoint import load_checkpoint, save_checkpoint
from GANSegmentationLib.training.evaluation.references import case_volume
from GANSegmentationLib.training.packing.export import choose
from GANSegmentationLib.training.packing.finished import half
from GANSegmentationLib.training.packing.release import _test_facts
from GANSegmentationLib.training.starting.preflight import run_facts
from Testing.inference.conftest import WINDOW, threshold_network
from Testing.layouts import write_lits_volume
from Testing.training.conftest import tiny_preset


def _run(plain: dict[str, Any], dataset: Dataset, folder: Path) -> tuple[Preset, Path]:
    preset = Preset.from_dict(plain | {"steps_per_epoch": 30, "epochs": 2, "augmentation": {}})
    Trainer(preset, dataset, folder, RunOptions(accelerator="cpu")).run()
    return preset, folder


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Preset, Path]:
    return _run(tiny_preset("supervised"), dataset, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def package(trained: tuple[Preset, Path], dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Package:
    preset, run = trained
    target = tmp_path_factory.mktemp("package") / "tiny.ganseg"
    return open_package(export_package(run, preset, dataset, target, device="cpu", date="2026-01-02"))


def test_the_package_holds_the_best_average_in_half_precision(trained: tuple[Preset, Path], package: Package) -> None:
    best = load_checkpoint(trained[1] / "best.ckpt")
    weights = package.weights()
    assert weights.keys() == best["average"].keys()
    for name, tensor in best["average"].items():
        if tensor.is_floating_point():
            assert weights[name].dtype == np.float16
            np.testing.assert_array_equal(weights[name], tensor.numpy().astype(np.float16), err_msg=name)
    assert package.card.training.epochs == best["epoch"]


def test_the_card_is_complete(trained: tuple[Preset, Path], package: Package, dataset: Dataset) -> None:
    card, preset = package.card, trained[0]
    split = patient_split(dataset, validation=preset.data.validation_patients)
    assert card.training.split_sha256 == split.sha256 and card.training.seed == 7
    assert card.training.date == "2026-01-02" and card.training.preset == "tiny"
    assert {data.name: (data.patients, data.slices) for data in card.training.data} == {
        "lits_slices": (3, 18),
        "msd_slices": (2, 4),
    }
    assert all(data.licence for data in card.training.data)
    assert card.slicing == preset.slicing and card.modalities == ("CT",)
    assert package.preview().startswith(b"\x89PNG")  # type: ignore[union-attr]
    dice = next(fact for fact in card.metrics if (fact.name, fact.dataset) == ("dice", "msd_slices"))
    assert dice.n == 2 and dice.ci95[0] <= dice.mean <= dice.ci95[1]  # type: ignore[index]


def test_the_cards_figures_are_what_the_predictor_reaches(package: Package, dataset: Dataset) -> None:
    scores = evaluate(Predictor(package, "cpu"), dataset, ["lits_v00"])
    fact = next(fact for fact in package.card.metrics if (fact.name, fact.dataset) == ("dice", "lits_slices"))
    assert scores[0].dice == pytest.approx(fact.mean, abs=1e-4) and scores[0].dice > 0.8
    assert scores[0].hd95_mm is None, "no millimetres without a spacing"


def test_a_case_becomes_the_scan_it_was(dataset: Dataset) -> None:
    case = dataset.by_id["lits_v01"]
    volume = case_volume(dataset, case)
    assert volume.modality == "CT" and volume.array.shape == (6, 64, 64)
    np.testing.assert_allclose(volume.array[2], dataset.images(case)[2] * case.slope + case.intercept, rtol=1e-5)


def test_a_step_of_post_processing_has_to_earn_its_place() -> None:
    def trial(spec: PostProcessing, dice: float, other: float = 0.0) -> tuple[PostProcessing, list[CaseScore]]:
        return spec, [_score("a", dice), _score("b", other, source="msd_slices")]

    plain, filled = PostProcessing(), PostProcessing(fill_holes=True)
    assert choose([trial(plain, 0.9), trial(filled, 0.90005)], "lits_slices")[0] is plain
    assert choose([trial(plain, 0.9), trial(filled, 0.91)], "lits_slices")[0] is filled
    assert choose([trial(plain, 0.9, 0.9), trial(filled, 0.91, 0.5)], None)[0] is plain


def test_exporting_an_unfinished_run_is_refused(
    dataset: Dataset, supervised_json: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(GANSegmentationError, match=r"best\.ckpt") as caught:
        export_package(tmp_path, Preset.from_dict(supervised_json), dataset, tmp_path / "x.ganseg")
    assert caught.value.code == "run_not_found"


def _score(
    case: str, dice: float, *, patient: str = "", source: str = "lits_slices", iou: float = float("nan")
) -> CaseScore:
    return CaseScore(case, patient or case, source, 1, dice, iou, 0.0, 0.0, 0.0)


def test_means_are_over_patients_and_leave_out_what_is_not_there() -> None:
    scores = [
        _score("v0", 0.9, patient="p0"),
        _score("c0", 0.7, patient="p0", source="msd_slices"),
        _score("c1", 0.6, patient="p1", source="msd_slices"),
        _score("c2", math.nan, patient="p2", source="msd_slices"),
    ]
    means = {each.source: (each.interval.mean, each.interval.n) for each in summarise(scores, ["dice"])}
    assert means["msd_slices"] == (pytest.approx(0.65), 2)
    assert means["all"] == (pytest.approx((0.8 + 0.6) / 2), 2), "the patient of two cases counts once"


def test_models_are_compared_on_the_same_cases() -> None:
    ours = [_score("a", 0.9), _score("b", 0.8), _score("c", 0.1, source="msd_slices"), _score("n", 0.5)]
    theirs = [_score("b", 0.7), _score("a", 0.85), _score("z", 0.0), _score("n", math.nan)]
    difference = paired_difference(ours, theirs)
    assert difference.n == 2 and difference.mean == pytest.approx(0.075)
    assert paired_difference(ours, theirs, "msd_slices").n == 0
    twice = [_score("v", 0.9, patient="p"), _score("c", 0.5, patient="p"), _score("w", 0.8)]
    other = [_score("c", 0.4, patient="p"), _score("w", 0.9), _score("v", 0.9, patient="p")]
    difference = paired_difference(twice, other)
    assert difference.n == 2 and difference.mean == pytest.approx((0.05 - 0.1) / 2), "a patient counts once"


def test_export_refuses_another_dataset_than_the_runs(
    trained: tuple[Preset, Path], dataset: Dataset, tmp_path: Path
) -> None:
    preset, run = trained
    fewer = dataset.subset(case.id for case in dataset.cases if case.id != "lits_v03")
    with pytest.raises(GANSegmentationError, match="other patients") as caught:
        export_package(run, preset, fewer, tmp_path / "x.ganseg", device="cpu")
    assert caught.value.code == "dataset_changed" and not list(tmp_path.iterdir())


def test_weights_that_half_precision_cannot_hold_stay_whole() -> None:
    small, large = np.array([1.0, -2.5], np.float32), np.array([70000.0, 1.0], np.float32)
    assert half(small).dtype == np.float16 and half(large).dtype == np.float32
    assert half(np.array([3])).dtype == np.int64 and half(np.zeros(0, np.float32)).dtype == np.float16


def test_post_processing_is_chosen_by_patients_and_by_the_best() -> None:
    plain, filled, largest = PostProcessing(), PostProcessing(fill_holes=True), PostProcessing(largest_component=True)
    trials = [(spec, [_score("a", dice)]) for spec, dice in ((plain, 0.90), (filled, 0.93), (largest, 0.91))]
    assert choose(trials, "lits_slices")[0] is filled

    def many(first: float, second: float) -> list[CaseScore]:
        return [*(_score(f"a{n}", first, patient="a") for n in range(5)), _score("b", second)]

    assert choose([(plain, many(0.9, 0.5)), (filled, many(0.88, 0.6))], None)[0] is filled


def _blind_twin(package: Package, folder: Path, **card: Any) -> Package:
    """A twin that finds nothing: the head's bias says no everywhere."""
    weights = package.weights()
    weights["head.conv.bias"] = np.full_like(weights["head.conv.bias"], -100)
    changed = replace(package.card, files={}, **{"id": "worse-twin", **card})
    return open_package(write_package(folder / "worse.ganseg", changed, weights, package.labels))


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A volume of another patient, drawn for itself."""
    folder = tmp_path_factory.mktemp("unseen")
    write_lits_volume(folder / "lits" / "v90", np.random.default_rng(90))
    return prepare([("lits_slices", folder / "lits")], folder / "prepared", labels={1: "Liver"})


@pytest.mark.parametrize("place", ["first", "second"])
def test_whichever_is_named_first_the_better_one_wins(
    package: Package, trained: tuple[Preset, Path], dataset: Dataset, tmp_path: Path, place: str
) -> None:
    validation = patient_split(dataset, validation=trained[0].data.validation_patients).validation
    worse = _blind_twin(package, tmp_path)
    pair = (package, worse) if place == "first" else (worse, package)
    release = release_twins(pair, dataset, validation, tmp_path / "out", source="lits_slices", device="cpu")
    assert release.default.name == "tiny-model.ganseg" and release.other.name == "worse-twin.ganseg"
    assert release.difference.mean > 0 and release.difference.n == 1


def test_patients_that_a_model_knows_are_never_written_on_its_card_as_unseen(
    package: Package, trained: tuple[Preset, Path], dataset: Dataset, unseen: Dataset, tmp_path: Path
) -> None:
    validation = patient_split(dataset, validation=trained[0].data.validation_patients).validation
    worse = _blind_twin(package, tmp_path)

    def refused(pair: tuple[Package, Package], cases: Sequence[str], test: Dataset | None = None, **more: Any) -> str:
        with pytest.raises(GANSegmentationError) as caught:
            options = {"source": "lits_slices", "device": "cpu", **more}
            release_twins(pair, dataset, cases, tmp_path / "out", test=test, **options)
        return caught.value.code

    everybody = [case.id for case in dataset.cases]
    assert refused((package, worse), everybody) == "not_twins", "training patients do not validate"
    assert refused((package, worse), ["lits_v00"]) == "not_twins"
    assert refused((package, package), validation) == "not_twins"
    facts = replace(package.card.training, split_sha256="0" * 64)
    assert refused((package, _blind_twin(package, tmp_path, training=facts)), validation) == "not_twins"
    assert refused((package, worse), validation, dataset.subset(["lits_v03"])) == "patient_leakage"
    assert refused((package, worse), validation, dataset.subset(["lits_v00"])) == "patient_leakage"
    another_scan = tuple(replace(case, patient="lits_v03") for case in unseen.cases)
    assert refused((package, worse), validation, Dataset(unseen.folder, another_scan)) == "patient_leakage"
    renamed = tuple(replace(dataset.by_id[name], patient="someone_else") for name in ("lits_v03",))
    assert refused((package, worse), validation, Dataset(dataset.folder, renamed)) == "patient_leakage"
    assert refused((package, worse), validation, source="chaos_ct") == "no_cases"
    assert not (tmp_path / "out").exists()


def test_of_twins_the_better_on_validation_becomes_the_default(
    package: Package, trained: tuple[Preset, Path], dataset: Dataset, unseen: Dataset, tmp_path: Path
) -> None:
    worse = _blind_twin(package, tmp_path).path
    validation = patient_split(dataset, validation=trained[0].data.validation_patients).validation
    release = release_twins(
        (open_package(worse), package),
        dataset,
        validation,
        tmp_path / "release",
        source="lits_slices",
        test=unseen,
        device="cpu",
    )
    better, other = open_package(release.default).card, open_package(release.other).card
    assert (better.id, better.default_for) == ("tiny-model", ("CT",))
    assert (other.id, other.default_for) == ("worse-twin", ())
    assert release.difference.mean > 0.8
    facts = {(fact.name, fact.dataset, fact.split): fact for fact in better.metrics}
    assert facts["dice_difference", "msd_slices", "validation"].mean > 0
    assert "worse-twin" in facts["dice_difference", "msd_slices", "validation"].comment
    assert facts["dice", "lits_slices", "test"].mean > 0.8
    assert next(fact for fact in other.metrics if (fact.name, fact.split) == ("dice", "test")).mean == 0.0
    assert facts["dice", "lits_slices", "test"].n == 1 and facts["dice", "lits_slices", "test"].ci95 is None
    opposite = next(fact for fact in other.metrics if (fact.name, fact.dataset) == ("dice_difference", "msd_slices"))
    assert opposite.mean == pytest.approx(-facts["dice_difference", "msd_slices", "validation"].mean)


@pytest.fixture(scope="module")
def islands(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Organs that a threshold finds together with a bright island (volumes) and at two far places (single slices).

    In the volumes the organ has a hole that belongs to it: the largest component helps, filling holes harms.
    """
    folder = tmp_path_factory.mktemp("islands")
    for volume in ("v00", "v01"):
        (folder / "lits" / volume).mkdir(parents=True)
        image, mask = np.full((64, 64), 60, np.uint8), np.zeros((64, 64), np.uint8)
        image[10:40, 10:40], mask[10:40, 10:40] = 170, 1
        image[20:30, 20:30], mask[20:30, 20:30] = 60, 0
        image[48:60, 48:60] = 250
        for number in range(3):
            Image.fromarray(image).save(folder / "lits" / volume / f"s{number}.jpg", quality=100)
            Image.fromarray(mask).save(folder / "lits" / volume / f"s{number}_mask.png")
    (folder / "msd").mkdir()
    for case in ("c001", "c002"):
        for number, start in ((10, 8), (60, 40)):
            mask = np.zeros((64, 64), np.uint8)
            mask[start : start + 12, start : start + 12] = 1
            image = np.where(mask, 110, 20).astype(np.uint8)
            image[0, 0] = 200
            Image.fromarray(image).save(folder / "msd" / f"{case}_s{number:03d}.png")
            Image.fromarray(mask).save(folder / "msd" / f"{case}_s{number:03d}_mask.png")
    sources = [("lits_slices", folder / "lits"), ("msd_slices", folder / "msd")]
    return prepare(sources, folder / "prepared", labels={1: "Liver"})


def test_validation_chooses_the_post_processing_and_volumes_alone_are_cleaned(
    islands: Dataset, supervised_json: dict[str, Any], tmp_path: Path
) -> None:
    config, weights = threshold_network(1, 0, (70.0,))
    supervised_json["objective"]["config"]["generator"] = {"name": "pix2pix_modern", "config": config}
    supervised_json["slicing"]["normalisation"] = WINDOW.to_dict()
    supervised_json["data"]["validation_patients"] = ["lits_v01", "msd_c002"]
    preset = Preset.from_dict(supervised_json)
    average = {name: torch.from_numpy(value) for name, value in weights.items()}
    save_checkpoint(tmp_path / "best.ckpt", {"average": average, "epoch": 1})
    split = patient_split(islands, validation=["lits_v01", "msd_c002"])
    (tmp_path / "split.json").write_text(json.dumps(run_facts(islands, split)))

    said: list[str] = []
    path = export_package(tmp_path, preset, islands, tmp_path / "x.ganseg", device="cpu", say=said.append)
    card = open_package(path).card
    assert card.postprocessing == PostProcessing(largest_component=True)
    dice = {fact.dataset: fact.mean for fact in card.metrics if fact.name == "dice"}
    assert dice["lits_slices"] > 0.99, "the island is gone and the hole is open"
    assert dice["msd_slices"] > 0.97, "slices that lie far apart are not joined"
    assert len({line.partition(": ")[2] for line in said[:4]}) == 4, "each candidate is measured for itself"
    plain = evaluate(Predictor(open_package(path), "cpu"), islands, ["lits_v01"], postprocessing=PostProcessing())
    assert plain[0].dice < 0.96


def test_every_figure_of_an_unseen_case_keeps_its_name_and_unit() -> None:
    score = CaseScore("c", "p", "chaos_ct", 3, 0.9, 0.8, 0.7, 0.6, 0.5, 40.0, 20.0, 10.0, 75.0)
    facts = {fact.name: (fact.mean, fact.unit, fact.split, fact.n) for fact in _test_facts(score)}
    assert facts == {
        "dice": (0.9, "1", "test", 1),
        "iou": (0.8, "1", "test", 1),
        "hd_mm": (40.0, "mm", "test", 1),
        "hd95_mm": (20.0, "mm", "test", 1),
        "assd_mm": (10.0, "mm", "test", 1),
        "chaos_score": (75.0, "1", "test", 1),
    }
    nothing_found = replace(score, dice=0.0, hd_mm=math.inf, hd95_mm=math.inf, assd_mm=None)
    assert {fact.name for fact in _test_facts(nothing_found)} == {"dice", "iou", "chaos_score"}


def test_distances_are_measured_with_the_case_s_spacing(package: Package, dataset: Dataset) -> None:
    case = replace(dataset.by_id["lits_v00"], spacing_zyx=(3.0, 1.5, 0.75))
    spaced = Dataset(dataset.folder, (case,), dataset.labels)
    predictor = Predictor(package, "cpu")
    (score,) = evaluate(predictor, spaced, [case.id])
    found = predictor.segment([case_volume(spaced, case)]).labelmap.array > 0
    expected = score_masks(found, np.asarray(spaced.masks(case)) > 0, (3.0, 1.5, 0.75))
    assert (score.hd_mm, score.hd95_mm, score.assd_mm) == (expected.hd_mm, expected.hd95_mm, expected.assd_mm)
    assert score.hd_mm is not None and score.hd_mm > 0 and score.chaos_score is not None
