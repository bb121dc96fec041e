"""Pseudo-labels, starting from a model, listing and planning: from the command line, on miniature data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.cli import main
from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.models import open_package
from Testing.training.conftest import tiny_preset


@pytest.fixture(scope="module")
def prepared(layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    sources = [f"--source={layout}_slices={layouts_folder / layout}" for layout in ("lits", "msd")]
    assert (
        main(["prepare", *sources, "--same-patients", str(layouts_folder / "same.json"), "--output", str(folder)]) == 0
    )
    return folder


def _written(folder: Path, **changes: Any) -> Path:
    path = folder / f"{changes.get('name', 'tiny')}.json"
    path.write_text(json.dumps(tiny_preset("supervised") | {"augmentation": {}} | changes))
    return path


@pytest.fixture(scope="module")
def liver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory.mktemp("preset"), epochs=2)


@pytest.fixture(scope="module")
def started(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that was trained without the validation patients of the tiny preset."""
    folder = tmp_path_factory.mktemp("first")
    preset = _written(folder, name="first", epochs=1)
    arguments = ["--data", str(prepared), "--output", str(folder / "run"), "--device", "cpu", "--workers", "0"]
    assert main(["train", str(preset), *arguments]) == 0
    return folder / "run" / "tiny-model.ganseg"


def test_bones_are_derived_from_who_trains_in_a_preset(
    prepared: Path, liver: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    derive = ["prepare", "--derive", "bone", "--from-dataset", str(prepared), "--for-preset", str(liver)]
    assert main([*derive, "--output", str(tmp_path / "bone"), "--json"]) == 0
    said = capsys.readouterr()
    (row,) = json.loads(said.out)["sources"]
    assert row["source"] == "msd_slices_bone_pseudo_labels" and row["patients"] == 2 and row["slices"] == 4
    assert "lits_v01" in said.err and "160 HU" in said.err
    bone = Dataset.open(tmp_path / "bone")
    assert {case.patient for case in bone.cases} == {"msd_c002", "lits_v02"}, "not lits_v00's and not msd_c004"
    assert "pseudo-label" in bone.labels[1]
    assert all(np.count_nonzero(bone.masks(case)) for case in bone.cases)

    # A model of them says what it has learnt; another run starts from it.
    preset = _written(
        tmp_path, name="bones", epochs=1,
        data={"validation_patients": ["msd_c002"], "groups": [{}]}, model={**tiny_preset()["model"], "id": "bones"},
    )  # fmt: skip
    cpu = ["--device", "cpu", "--workers", "0"]
    assert main(["train", str(preset), "--data", str(tmp_path / "bone"), "--output", str(tmp_path / "b"), *cpu]) == 0
    package = open_package(tmp_path / "b" / "bones.ganseg")
    assert "a rule has drawn" in package.card.limitations
    assert [data.name for data in package.card.training.data] == ["msd_slices_bone_pseudo_labels"]
    capsys.readouterr()
    run = ["train", str(liver), "--data", str(prepared), "--output", str(tmp_path / "l"), "--from", str(package.path)]
    assert main([*run, *cpu]) == 0
    said = capsys.readouterr().err
    assert "starts from bones" in said and "nobody can tell" not in said, (
        "its own run beside it proves whom it has seen"
    )
    assert open_package(tmp_path / "l" / "tiny-model.ganseg").card.training.started_from.id == "bones"


def test_a_run_starts_from_a_model_and_resumes_without_it(
    prepared: Path, liver: Path, started: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = shutil.copy(started, tmp_path / "moved.ganseg")
    run = ["--data", str(prepared), "--output", str(tmp_path / "run"), "--device", "cpu", "--workers", "0"]
    assert (
        main(["train", str(liver), *run, "--from", str(package), "--policy", "freeze_encoder", "--stop-after", "1"])
        == 0
    )
    facts = json.loads((tmp_path / "run" / "preset.json").read_text())["transfer"]
    assert facts["package"] == str(package) and facts["policy"] == "freeze_encoder"
    assert "starts from tiny-model 0.0.1" in capsys.readouterr().err
    Path(package).unlink()
    # The run's own folder says all: no preset, no package, no settings are needed again.
    assert main(["train", *run, "--resume"]) == 0
    assert "of 2" in capsys.readouterr().out
    assert open_package(tmp_path / "run" / "tiny-model.ganseg").card.training.started_from is not None


def test_a_dry_run_says_who_learns_what_when_and_at_what_cost(
    prepared: Path, liver: Path, started: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(liver), "--data", str(prepared), "--dry-run", "--device", "cpu", "--from", str(started)]
    assert main([*command, "--set", "transfer.staged_epochs=1", "--set", "accumulate=2"]) == 0
    said = capsys.readouterr().out
    for words in (
        "generator", "1 x 64 x 64", "Phase generator: trains generator in every step.", "Start: starts from tiny-model",
        "Epochs 1 to 1: stem., encoder. frozen", "Epochs 2 to 2: nothing frozen", "times 0.1",
        "Train: 4 patients, 22 slices.", "6 steps of 4 slices in 2 parts, 2 at once.", "h in all",
        "Memory of a device, MB, estimated", "activations",
    ):  # fmt: skip
        assert words in said, words
    assert main([*command, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["networks"]["generator"]["outputs"] == [[1, 64, 64]] and len(plan["stages"]) == 1


def test_presets_are_listed_by_system_and_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list", "unet"]) == 0
    said = capsys.readouterr().out
    assert "unet_liver_ct_faithful" in said and "segnet" not in said and said.splitlines()[0].startswith("system")
    assert said.count("\nunet ") == 1, "a system is named once"
    assert main(["train", "--list", "faithful", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {each["recipe"] for each in facts} == {"faithful"} and {"system", "task", "source", "twin"} <= set(facts[0])
    assert main(["train", "--list", "unett"]) == 1
    assert "Did you mean unet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--policy", "all"], 2, "--from"),
        (["--policy", "melt", "--from", "x"], 2, "melt"),
        (["--from", "no-such-model"], 1, "unknown_model"),
        (["--from", "nowhere/x.ganseg"], 1, "package_not_found"),
        (["--devices", "0"], 2, "--devices 0"),
        (["--devices", "3"], 1, "batch_size is 4"),
    ],
)
def test_what_cannot_start_is_said(
    arguments: list[str], code: int, said: str, prepared: Path, liver: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path / "library"))
    command = ["train", str(liver), "--data", str(prepared), "--device", "cpu", "--dry-run", *arguments]
    try:
        assert main(command) == code
    except SystemExit as exit_:  # argparse's own word for a choice it does not have
        assert exit_.code == code
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and "internal_error" not in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--source is needed"),
        (["--derive", "bone"], "--from-dataset and --for-preset"),
        (["--derive", "bone", "--from-dataset", "x"], "--for-preset"),
        (["--derive", "bone", "--from-dataset", "x", "--for-preset", "y", "--source", "a=b"], "not sources"),
        (["--source", "a=b", "--from-dataset", "x"], "belong to --derive"),
    ],
)
def test_deriving_and_importing_are_not_mixed(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", *arguments, "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_several_devices_train_together_and_one_of_them_exports(
    prepared: Path, liver: Path, tmp_path: Path, ganseg_process: Any
) -> None:
    """In a process of its own, which starts the others with its own command line."""
    run = ["train", liver, "--data", prepared, "--output", tmp_path / "run", "--device", "cpu", "--workers", 0]
    ran = ganseg_process(*run, "--devices", 2, "--set", "epochs=1", "--set", "steps_per_epoch=1")
    assert ran.code == 0, ran.err
    assert ran.out.count("The model package is") == 1 and (tmp_path / "run" / "tiny-model.ganseg").is_file()
