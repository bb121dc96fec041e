"""``ganseg evaluate``: who was measured, over what, beside whom; and what it leaves behind."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from GANSegmentationLib.cli import main
from GANSegmentationLib.datasets import Dataset, patient_split
from GANSegmentationLib.models import TrainingData, open_package, write_package
from GANSegmentationLib.training import Preset
from Testing.training.conftest import tiny_preset
from Testing.training.measured_cases import Drawn, blocks, threshold_package, write_dataset

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Five patients, one of them in millimetres; more is missed from patient to patient."""
    drawn = []
    for number in range(5):
        images, masks = blocks(missing=number)
        spacing = (3.0, 1.0, 1.0) if number == 0 else None
        drawn.append(Drawn(f"case{number}", images, masks, patient=f"p{number}", spacing=spacing))
    return write_dataset(tmp_path_factory.mktemp("evaluate") / "data", drawn, {1: "Liver"})


def preset_json(**changes: Any) -> dict[str, Any]:
    plain = tiny_preset("supervised")
    plain["data"] = {"validation_patients": ["p1", "p2"], "groups": [{}]}
    return {**plain, "name": "private", **changes}


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "private.json"
    path.write_text(json.dumps(preset_json()))
    return path


@pytest.fixture(scope="module")
def models(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that finds the organ, with its discriminator, and a blind twin; both were trained on p0, p3 and p4."""
    folder = tmp_path_factory.mktemp("models")
    split = patient_split(dataset, validation=Preset.from_dict(preset_json()).data.validation_patients)
    paths = {}
    for name, threshold, judge in (("ours", 100.0, True), ("blind", 190.0, False)):
        package = threshold_package(folder, threshold, id=name, judge=judge)
        facts = replace(
            package.card.training,
            preset="private",
            split_sha256=split.sha256,
            data=(TrainingData("drawn", "CC0-1.0", "drawn", 3, 12),),
        )
        paths[name] = write_package(
            folder / f"{name}.ganseg",
            replace(package.card, training=facts, files={}),
            package.weights(),
            package.labels,
            discriminator_weights=package.discriminator_weights(),
        )
    return paths


@pytest.fixture
def evaluate(dataset: Dataset, models: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> Ran:
    def ran(model: str, *arguments: object) -> tuple[int, str, str]:
        words = ["evaluate", str(models[model]), "--data", str(dataset.folder), "--device", "cpu"]
        code = main([*words, *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


def test_a_preset_of_one_s_own_says_who_was_held_out(evaluate: Ran, preset: Path) -> None:
    code, out, err = evaluate("ours", "--preset", preset)
    assert code == 0 and err == ""
    assert "case1" in out and "case2" in out and "case0" not in out
    assert "validated" in out and "2 patients" in out
    code, _, err = evaluate("ours")
    assert code == 1 and "--preset" in err and "unknown_preset" in err


def test_all_patients_are_measured_and_who_trained_is_said(evaluate: Ran, preset: Path) -> None:
    code, out, err = evaluate("ours", "--all", "--preset", preset)
    assert code == 0 and "was trained on 3 of these 5 patients: p0, p3, p4" in err
    parts = {line.split()[0]: line.split()[2] for line in out.splitlines() if line.startswith("case")}
    assert parts == {"case": "in", "case0": "trained", "case1": "validated"} | {
        "case2": "validated",
        "case3": "trained",
        "case4": "trained",
    }
    code, out, err = evaluate("ours", "--all")
    assert code == 0 and "Nobody can tell which of these 5 patients ours was trained on" in err and "unknown" in out


def test_two_models_are_compared_in_words_and_files(
    evaluate: Ran, preset: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    arguments = ["--all", "--preset", preset, "--against", models["blind"], "--output", folder, "--pictures", "2"]
    code, out, err = evaluate("ours", *arguments)
    assert code == 0, err
    assert "ours minus blind, over the same patients" in out and "Wilcoxon p" in out and "5/0" in out
    assert f"The report is {folder / 'report.html'}" in out
    assert "blind was trained on 3 of these 5" in err
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == 2 and "case4" in page
    with (folder / "cases.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 5
    said = json.loads((folder / "summary.json").read_text())
    assert said["patients"]["p0"] == "trained" and said["against"]["model"] == "blind"
    assert not (folder / "slices.csv").exists()


def test_no_pictures_are_made_where_none_are_wanted(evaluate: Ran, preset: Path, tmp_path: Path) -> None:
    code, _, _ = evaluate("ours", "--preset", preset, "--output", tmp_path, "--pictures", "0")
    assert code == 0 and "<img" not in (tmp_path / "report.html").read_text()


def test_what_sorts_slices_best_is_measured_and_recorded(evaluate: Ran, preset: Path, tmp_path: Path) -> None:
    target = tmp_path / "recorded.ganseg"
    code, out, _ = evaluate("ours", "--all", "--preset", preset, "--review", "--record", target, "--output", tmp_path)
    assert code == 0 and "plausibility" in out and "Spearman" in out and "intervals over 5 patients" in out
    fact = open_package(target).card.review
    assert fact is not None and fact.n == 5 and "where it was chosen" in fact.dataset and "trained" in fact.dataset
    assert open_package(target).discriminator_weights() is not None
    assert (tmp_path / "slices.csv").is_file()
    code, out, _ = evaluate("ours", "--preset", preset, "--review", "--json")
    said = json.loads(out)
    assert {each["signal"] for each in said["review"]} >= {"plausibility", "entropy", "disagreement_flips"}
    assert all(each["over"] == "patients" and each["spearman"]["n"] == 2 for each in said["review"])


def test_millimetres_are_shown_where_they_are_known(evaluate: Ran) -> None:
    code, out, _ = evaluate("ours", "--patients", "p0")
    assert code == 0 and "HD95, mm" in out and "CHAOS score" in out
    code, out, _ = evaluate("ours", "--patients", "p1")
    assert code == 0 and "mm" not in out


def test_a_release_works_with_a_preset_of_one_s_own(
    evaluate: Ran, preset: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "released"
    code, out, err = evaluate("ours", "--preset", preset, "--against", models["blind"], "--release", folder)
    assert code == 0, err
    assert "The default is" in out and (folder / "ours.ganseg").is_file()
    default = open_package(folder / "ours.ganseg")
    assert default.card.default_for == ("CT",) and default.discriminator_weights() is not None
    assert any(fact.name == "dice_difference" for fact in default.card.metrics)
    code, _, err = evaluate("ours", "--patients", "p1", "p2", "--against", models["blind"], "--release", folder)
    assert code == 1 and "unknown_preset" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--all", "--patients", "p0"], "exclude each other"),
        (["--all", "--record", "x.ganseg"], "--review"),
        (["--all", "--release", "x"], "--against"),
        (["--all", "--test-data", "x"], "--release"),
        (["--all", "--pictures", "-1"], "--pictures -1"),
        (["--all", "--against", "y", "--release", "x", "--review"], "one after the other"),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(evaluate: Ran, arguments: list[str], said: str) -> None:
    code, _, err = evaluate("ours", *arguments)
    assert code == 2 and said in err


def test_cases_without_masks_are_not_scored(evaluate: Ran, dataset: Dataset, models: dict[str, Path]) -> None:
    silent = Dataset(
        dataset.folder, tuple(replace(each, labelled=each.id != "case2") for each in dataset.cases), dataset.labels
    )
    silent.write_manifest()
    try:
        code, out, _ = evaluate("ours", "--all")
        assert code == 0 and "case1" in out and "case2" not in out
        code, _, err = evaluate("ours", "--patients", "p2")
        assert code == 1 and "no_cases" in err
    finally:
        dataset.write_manifest()
