"""`ganseg synthesize`, and `ganseg train --synthetic`, on miniature data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from GANSegmentationLib.cli import main
from GANSegmentationLib.datasets import Dataset, prepare, same_patients
from GANSegmentationLib.models import open_package
from Testing.painter import painter_preset, write_painter
from Testing.training.conftest import tiny_preset
from Testing.training.synthesis.test_completion import membrane_model, sections


@pytest.fixture(scope="module")
def prepared(layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(
        [("lits_slices", layouts_folder / "lits"), ("msd_slices", layouts_folder / "msd")],
        folder,
        labels={1: "Liver"},
        msd_to_lits=same_patients(layouts_folder / "same.json"),
    )
    return folder


@pytest.fixture(scope="module")
def painter(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments that name the model and its preset."""
    folder = tmp_path_factory.mktemp("painter")
    write_painter(folder / "painter.ganseg", Dataset.open(prepared))
    (folder / "preset.json").write_text(json.dumps(painter_preset()))
    return [str(folder / "painter.ganseg"), "--preset", str(folder / "preset.json")]


def test_slices_are_painted_reported_and_mixed_in(
    prepared: Path, painter: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "painted"
    arguments = ["synthesize", *painter, "--data", str(prepared), "--output", str(out), "--device", "cpu"]
    assert main([*arguments, "--count", "12", "--seed", "5", "--report", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["slices"] == 12 and said["model"] == "tiny-painter"
    assert not {"lits_v00", "msd_c004"} & set(said["patients"])
    assert said["fingerprint"] == Dataset.open(out).fingerprint
    assert said["report"]["fidelity"] is None and said["report"]["memorisation"]["slices"] == 12
    assert (out / "report.json").is_file() and (out / "report.png").is_file()
    assert main(arguments) == 1 and "folder_in_use" in capsys.readouterr().err

    preset = tmp_path / "tiny.json"
    preset.write_text(json.dumps(tiny_preset("supervised") | {"steps_per_epoch": 3, "epochs": 1, "augmentation": {}}))
    train = ["train", str(preset), "--data", str(prepared), "--synthetic", str(out), "--force-synthetic"]
    assert main([*train, "--synthetic-ratio", "0.25", "--dry-run", "--json"]) == 0
    captured = capsys.readouterr()
    assert "25% of the drawn slices are synthetic" in captured.err
    assert json.loads(captured.out)["train"]["slices"] == 22 + 12
    run = [*train, "--output", str(tmp_path / "run"), "--device", "cpu", "--workers", "0", "--json"]
    assert main(run) == 0
    package = json.loads(capsys.readouterr().out)["package"]
    data = {each.name: each for each in open_package(package).card.training.data}
    assert data["synthetic"].slices == 12 and "painted by tiny-painter" in data["synthetic"].licence


def test_people_are_told_what_was_painted_and_how_near_it_is(
    prepared: Path, painter: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["synthesize", *painter, "--data", str(prepared), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--count", "6", "--masks", "as-is", "--patients", "lits_v01", "lits_v03", "--report"]) == 0
    said = capsys.readouterr()
    assert "6 slices of 2 training patients' masks" in said.out and "Near-duplicates of real slices" in said.out
    assert "--features" in said.err


def test_fidelity_names_its_features(
    prepared: Path, painter: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["synthesize", *painter, "--data", str(prepared), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--count", "6", "--report", "--features", "liver-ct-pix2pix", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["report"]["fidelity"]
    assert "liver-ct-pix2pix" in found["feature_network"] and found["painted"] == 6
    assert found["kid"] > found["kid_among_real"], "a painter that has learnt nothing"


def test_masks_are_completed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, folder = membrane_model(tmp_path / "membranes.ganseg").path, sections(tmp_path).folder
    arguments = ["synthesize", "--membranes", str(model), "--data", str(folder), "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "completed")]) == 0
    assert "2 cases in" in capsys.readouterr().out
    assert Dataset.open(tmp_path / "completed").labels == {1: "Mitochondria", 2: "Membranes"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--membranes"),
        (["{painter}", "--membranes", "x"], 2, "Complete the masks first"),
        (["{painter}", "--count", "0"], 2, "--count"),
        (["{painter}", "--features", "liver-ct-pix2pix"], 2, "--report"),
        (["{painter}", "--seed", "-1"], 2, "--seed"),
        (["{painter}"], 1, "unknown_preset"),
        (["liver-ct-pix2pix"], 1, "wrong_task"),
        (["{painter}", "--preset", "{preset}", "--patients", "lits_v00"], 1, "held_out_patient"),
    ],
)
def test_wrong_use_is_said_in_words_and_writes_nothing(
    prepared: Path, painter: list[str], tmp_path: Path, arguments: list[str], code: int, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = [each.format(painter=painter[0], preset=painter[2]) for each in arguments]
    out = tmp_path / "out"
    assert main(["synthesize", *given, "--data", str(prepared), "--output", str(out), "--device", "cpu"]) == code
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and not out.exists()


def test_the_flags_of_mixing_belong_together(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["train", "pix2pix_liver_ct", "--data", str(prepared), "--output", "x"]
    assert main([*base, "--synthetic-ratio", "0.5"]) == 2
    assert "--synthetic" in capsys.readouterr().err
