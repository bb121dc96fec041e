"""`ganseg prepare`: options, several processes, bad cases, the report, pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.cli import main
from GANSegmentationLib.datasets import Dataset, layouts
from Testing.scan_layouts import patient, write_chaos_ct, write_decathlon, write_ircadb


def test_the_layouts_and_their_options_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in layouts()) and "structures" in listed and "channel" in listed


def test_options_reach_their_layout_and_labels_come_from_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_decathlon(tmp_path / "in", task="prostate", modalities=("T2", "ADC"))
    arguments = ["prepare", "--source", f"msd={tmp_path / 'in'}", "--output", str(tmp_path / "out"), "--json"]
    assert main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "wrong_option"
    assert main([*arguments, "--set", "msd.channel=ADC", "--set", "msd.merge=2=1", "--workers", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [label["name"] for label in report["labels"]] == ["Liver"] and report["sources"][0]["cases"] == 2
    assert json.loads((tmp_path / "out" / "integrity.json").read_text())["fingerprint"] == report["fingerprint"]


def test_a_list_of_structures_is_an_option(tmp_path: Path) -> None:
    _, labels = patient()
    write_ircadb(tmp_path / "in" / "3Dircadb1.1", {"liver": labels == 1, "spleen": labels == 4})
    arguments = ["prepare", "--source", f"ircadb={tmp_path / 'in'}", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--set", "ircadb.structures=liver,spleen"]) == 0
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.labels == {1: "Liver", 2: "Spleen"}
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0]), np.select([labels == 1, labels == 4], [1, 2], 0))


def test_a_bad_case_ends_the_command_or_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        write_chaos_ct(tmp_path / "in" / str(number), number)
    Image.new("L", (10, 12), 9).save(tmp_path / "in" / "2" / "Ground" / "liver_GT_001.png")
    arguments = ["prepare", "--source", f"chaos_ct={tmp_path / 'in'}", "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "liver_GT_001.png" in capsys.readouterr().err and not (tmp_path / "out" / "manifest.json").exists()
    assert main([*arguments, "--skip-bad"]) == 3
    said = capsys.readouterr()
    assert "Left out: chaos_2" in said.err and "liver_GT_001.png" in said.err
    report = json.loads((tmp_path / "out" / "integrity.json").read_text())
    assert [each["case"] for each in report["left_out"]] == ["chaos_2"] and report["patients"] == 1


def test_a_dataset_is_written_as_pairs_and_read_back(
    layouts_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared, pairs = str(tmp_path / "out"), str(tmp_path / "pairs")
    assert main(["prepare", "--source", f"lits_slices={layouts_folder / 'lits'}", "--output", prepared]) == 0
    assert main(["prepare", "--write-pairs", "--from-dataset", prepared, "--output", pairs]) == 0
    assert "24 pairs of 4 cases" in capsys.readouterr().out
    assert main(["prepare", "--source", f"pairs={pairs}", "--output", str(tmp_path / "again")]) == 0
    assert Dataset.open(prepared).fingerprint == Dataset.open(tmp_path / "again").fingerprint


def test_hounsfield_units_are_not_written_as_pairs_without_a_window(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_chaos_ct(tmp_path / "in" / "1")
    prepared = str(tmp_path / "out")
    assert main(["prepare", "--source", f"chaos_ct={tmp_path / 'in'}", "--output", prepared]) == 0
    export = ["prepare", "--write-pairs", "--from-dataset", prepared, "--output", str(tmp_path / "pairs")]
    assert main(export) == 1 and "--window" in capsys.readouterr().err
    assert main([*export, "--window", "-100", "300", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "chaos_ct=x"], "--output"),
        (["--source", "chaos_ct=x", "--output", "y", "--workers", "0"], "--workers"),
        (["--source", "chaos_ct=x", "--output", "y", "--window", "0", "1"], "--window"),
        (["--source", "chaos_ct=x", "--output", "y", "--set", "msd.channel=T2"], "no source has the layout 'msd'"),
        (["--source", "chaos_ct=x", "--output", "y", "--set", "channel"], "LAYOUT.OPTION=VALUE"),
        (["--write-pairs", "--output", "y"], "--from-dataset"),
        (["--write-pairs", "--derive", "bone", "--output", "y"], "two commands"),
        (["--write-pairs", "--source", "chaos_ct=x", "--output", "y"], "not sources"),
    ],
)
def test_arguments_that_cannot_be_meant_together_are_wrong_use(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", *arguments]) == 2
    assert said in capsys.readouterr().err
