"""prepare, train and evaluate from the command line, in one go on miniature data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from GANSegmentationLib.cli import main
from Testing.training.conftest import tiny_preset


@pytest.fixture(scope="module")
def prepared(layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    arguments = [
        "--source",
        f"lits_slices={layouts_folder / 'lits'}",
        "--source",
        f"msd_slices={layouts_folder / 'msd'}",
    ]
    same = ["--same-patients", str(layouts_folder / "same.json")]
    assert main(["prepare", *arguments, *same, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "tiny.json"
    path.write_text(json.dumps(tiny_preset("supervised") | {"steps_per_epoch": 20, "epochs": 2, "augmentation": {}}))
    return path


def test_prepare_says_what_is_there(layouts_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"lits_slices={layouts_folder / 'lits'}"
    assert main(["prepare", "--source", source, "--output", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["patients"] == 4 and len(said["fingerprint"]) == 64
    assert said["sources"] == [
        {"source": "lits_slices", "cases": 4, "patients": 4, "slices": 24, "with_foreground": 16}
    ]


def test_a_run_stops_goes_on_and_becomes_a_package_that_is_evaluated(
    prepared: Path, preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["train", str(preset), "--data", str(prepared), "--output", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*run, "--workers", "0", "--stop-after", "1"]) == 0
    assert "--resume" in capsys.readouterr().out
    assert main([*run, "--workers", "0"]) == 1, "a run is not overwritten"
    assert "run_exists" in capsys.readouterr().err
    assert main([*run, "--workers", "0", "--resume", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["finished"] and said["epochs"] == 2 and said["best_score"] > 0.5 and said["score"] == "Dice"
    package = said["package"]

    arguments = ["evaluate", package, "--data", str(prepared), "--patients", "lits_v00", "msd_c004", "--device", "cpu"]
    assert main([*arguments, "--against", package, "--output", str(tmp_path / "scores"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {case["case"] for case in said["cases"]} == {"lits_v00", "msd_c001", "msd_c004"}
    assert said["against"]["dice_difference"]["all"]["mean"] == 0
    assert (tmp_path / "scores" / "cases.csv").read_text().count("\n") == 4
    assert json.loads((tmp_path / "scores" / "summary.json").read_text())["model"] == "tiny-model"
    assert main([*arguments[:4], "--device", "cpu"]) == 1
    assert "--patients" in capsys.readouterr().err, "nobody knows the patients of a preset that is not the project's"
    assert main([*arguments[:4], "--all", "--source", "msd_slices", "--device", "cpu"]) == 0
    table = capsys.readouterr().out
    assert "msd_c002" in table and "lits_slices" not in table and "95 % interval" in table


def test_a_dry_run_says_what_training_would_take_and_writes_nothing(
    prepared: Path, preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(prepared.rglob("*"))
    assert main(["train", str(preset), "--data", str(prepared), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] == 40 and plan["networks"]["generator"]["outputs"] == [[1, 64, 64]]
    assert plan["train"] == {"patients": 4, "slices": 22} and plan["validation"] == {"patients": 2, "slices": 10}
    assert plan["networks"]["generator"]["parameters"] > 0 and plan["seconds_per_step"] > 0
    assert sorted(prepared.rglob("*")) == before


def test_a_dry_run_says_the_true_sizes_of_unpadded_convolutions(
    prepared: Path, preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(preset), "--data", str(prepared), "--dry-run"]) == 0
    assert "Slices: 1 x 64 x 64." in capsys.readouterr().out
    plain = json.loads(preset.read_text())
    unet = {"name": "unet", "config": {"width": 4, "depth": 2, "padding": "valid"}}
    plain["objective"]["config"] = {"generator": unet, "border": "mirrored"}
    (tmp_path / "valid.json").write_text(json.dumps(plain))
    assert main(["train", str(tmp_path / "valid.json"), "--data", str(prepared), "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Slices: 1 x 64 x 64. In training every slice is extended by mirroring, to 1 x 104 x 104." in said
    assert "in one tile of 1 x 104 x 104" in said and "scores for 64 x 64 pixels" in said


def test_the_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    said = capsys.readouterr().out
    assert "pix2pix_liver_ct" in said and "pix2pix_liver_ct_supervised" in said and "1611.07004" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train"], 2, "--data"),
        (["train", "nothing", "--data", "x", "--output", "y"], 1, "unknown_preset"),
        (["train", "pix2pix_liver_ct", "--data", "nowhere", "--output", "y"], 1, "dataset_not_found"),
        (["prepare", "--source", "lits", "--output", "y"], 2, "LAYOUT=FOLDER"),
        (["prepare", "--source", "lits_slices=nowhere", "--output", "y"], 1, "source_not_found"),
        (["evaluate", "liver-ct-pix2pix", "--data", "nowhere"], 1, "dataset_not_found"),
    ],
)
def test_wrong_use_is_said_in_words(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_evaluate_needs_cases_and_clear_choices(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["evaluate", "liver-ct-pix2pix", "--data", str(prepared)]
    assert main([*base, "--patients", "lits_v00", "nobody"]) == 1
    assert "no patient nobody" in capsys.readouterr().err
    assert main([*base, "--patients", "lits_v00", "--source", "chaos_ct"]) == 1
    assert "no_cases" in capsys.readouterr().err
    assert main([*base, "--all", "--patients", "lits_v00"]) == 2
    capsys.readouterr()
    # Without a choice it is the preset's validation patients, or nobody: never those who happen to be there.
    assert main(base) == 1
    assert "lits_v05" in capsys.readouterr().err
    assert main([*base, "--all", "--release", "folder"]) == 2
    assert main([*base, "--all", "--test-data", "folder"]) == 2


def test_a_forgotten_list_of_same_patients_is_found_or_warned_of(
    layouts_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(layouts_folder, tmp_path / "data")
    sources = [f"lits_slices={tmp_path / 'data' / 'lits'}", f"msd_slices={tmp_path / 'data' / 'msd'}"]
    command = ["prepare", "--source", sources[0], "--source", sources[1], "--output", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "--same-patients" in said.err and json.loads(said.out)["patients"] == 8
    (tmp_path / "data" / "same.json").rename(tmp_path / "data" / "liver_ct_same_patients.json")
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.err == "" and json.loads(said.out)["patients"] == 6


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--stop-after", "0"], 2, "--stop-after 0"),
        (["--workers", "-1"], 2, "--workers -1"),
        (["--precision", "fp3"], 1, "bf16-mixed"),
        (["--with-discriminator"], 1, "no_discriminator"),
        (["--device", "quantum"], 1, "invalid_device"),
        (["--set", "epochs=0"], 1, "epochs is 0"),
        (["--set", "model.labels=lever.csv"], 1, "liver.csv"),
        (["--set", "data.score_source=chaos_ct"], 1, "no_score"),
        (["--set", "slicing.neighbours=3"], 1, "3 channels"),
    ],
)
def test_what_cannot_be_trained_is_said_before_training(
    arguments: list[str], code: int, said: str, prepared: Path, preset: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    assert main(["train", str(preset), "--data", str(prepared), "--output", str(run), *arguments]) == code
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and "internal_error" not in error
    assert not list(run.glob("*.ckpt"))


def test_going_on_where_no_run_is_says_so(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["train", "--data", str(prepared), "--output", str(tmp_path / "nope"), "--resume", "--device", "cpu"]
    assert main(run) == 1
    said = capsys.readouterr().err
    assert "no_run" in said and "There is no run in" in said and "Choose one of" not in said
