"""``ganseg translate``: a scan or a dataset in another domain, or no file and a reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, prepare
from GANSegmentationLib.volumes import read_labelmap, read_volume
from Testing.translator import write_translator


@pytest.fixture(scope="module")
def uagan(tmp_path_factory):
    return write_translator(tmp_path_factory.mktemp("uagan") / "uagan.ganseg")


@pytest.fixture(scope="module")
def stargan(tmp_path_factory):
    return write_translator(tmp_path_factory.mktemp("stargan") / "stargan.ganseg", "stargan_generator")


@pytest.fixture(scope="module")
def prepared(layouts_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    return prepare([("lits_slices", layouts_folder / "lits")], folder, labels={1: "Liver"})


@pytest.mark.parametrize("name", ["as_mr.nrrd", "as_mr.nii.gz", "new/as_mr.mha"])
def test_a_dicom_series_becomes_a_scan_of_the_other_domain_on_its_own_grid(ganseg, phantom, uagan, tmp_path, name):
    output = tmp_path / name
    done = ganseg("translate", uagan, "--input", phantom.dicom, "--to", "mr", "-o", output, "--device", "cpu")
    assert done.code == 0, done.err
    found = read_volume(output)
    assert found.geometry.corner_distance(phantom.volume.geometry) < 1e-4
    assert found.array.shape == phantom.volume.array.shape
    assert 0 <= found.array.min() < found.array.max() <= 1000
    assert name.endswith(".nii.gz") or found.modality == "MR"
    assert "CT as MR" in done.out and "0 to 1000" in done.out and str(output) in done.out


def test_the_model_s_mask_makes_it_a_labelled_pair(ganseg, phantom, uagan, tmp_path):
    """The mask is the one that `ganseg segment` finds in the scan itself."""
    pair, mask, alone = tmp_path / "as_mr.nrrd", tmp_path / "mask.nrrd", tmp_path / "alone.nrrd"
    options = ("--device", "cpu", "--json")
    done = ganseg(
        "translate",
        uagan,
        "--input",
        phantom.nifti,
        "--domain",
        "CT",
        "--to",
        "MR",
        "-o",
        pair,
        "--mask",
        mask,
        *options,
    )
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["source"], said["target"], said["mask"]) == ("CT", "MR", str(mask))
    assert said["values"] == {"low": 0.0, "high": 1000.0, "unit": "arbitrary"}
    ganseg("segment", phantom.nifti, "-o", alone, "--model", uagan, "--domain", "CT", "--device", "cpu")
    np.testing.assert_array_equal(read_labelmap(mask).array, read_labelmap(alone).array)
    assert read_labelmap(mask).geometry.corner_distance(read_volume(pair).geometry) < 1e-4


def test_values_can_be_asked_for_and_are_hounsfield_units_of_a_ct(ganseg, mr_phantom, uagan, stargan, tmp_path):
    output = tmp_path / "as_ct.nrrd"
    for model, asked, expected in (
        (uagan, (), [0, 160, "HU"]),
        (stargan, ("--range", "-100", "400"), [-100, 400, "HU"]),
    ):
        done = ganseg("translate", model, "--input", mr_phantom.dicom, "--to", "CT", "-o", output, *asked, "--json")
        assert done.code == 0, done.err
        assert list(json.loads(done.out)["values"].values()) == expected
        values = read_volume(output).array
        assert expected[0] <= values.min() and values.max() <= expected[1]


def test_a_dataset_is_translated_with_its_masks(ganseg, prepared, uagan, tmp_path):
    output = tmp_path / "as_mr"
    done = ganseg(
        "translate", uagan, "--data", prepared.folder, "--to", "MR", "-o", output, "--patients", "lits_v01", "--json"
    )
    assert done.code == 0, done.err
    said, written = json.loads(done.out), Dataset.open(output)
    (case,) = written.cases
    assert (said["cases"], said["patients"], said["target"]) == (1, ["lits_v01"], "MR")
    assert said["labelled_slices"] == said["slices"] == case.slices
    assert said["fingerprint"] == written.fingerprint
    np.testing.assert_array_equal(written.masks(case), prepared.masks(prepared.by_id["lits_v01"]))


class TestRefusals:
    """Wrong calls end before the work, and leave no file."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--to", "MR", "-o", "out.nrrd"), "--input --data"),
            (("--input", "SCAN", "-o", "out.nrrd"), "--to"),
            (("--input", "SCAN", "--data", "SCAN", "--to", "MR", "-o", "out.nrrd"), "not allowed"),
            (("--input", "SCAN", "--to", "MR", "-o", "out.png"), "no format"),
            (("--input", "SCAN", "--to", "MR", "-o", ".nrrd"), "no format"),
            (("--input", "SCAN", "--to", "MR", "-o", "SCAN"), "read"),
            (("--input", "SCAN", "--to", "MR", "-o", "out.nrrd", "--mask", "out.nrrd"), "two names"),
            (("--input", "SCAN", "--to", "MR", "-o", "out.nrrd", "--mask", "SCAN"), "read"),
            (("--input", "SCAN", "--to", "MR", "-o", "out.nrrd", "--range", "5", "1"), "empty"),
            (("--input", "SCAN", "--to", "MR", "-o", "out.nrrd", "--patients", "a"), "--data"),
            (("--data", "SCAN", "--to", "MR", "-o", "out", "--mask", "m.nrrd"), "--input"),
            (("--data", "SCAN", "--to", "MR", "-o", "out", "--domain", "CT"), "--input"),
        ],
    )
    def test_wrong_use(self, ganseg, phantom, uagan, tmp_path, monkeypatch, arguments, said):
        monkeypatch.chdir(tmp_path)
        done = ganseg("translate", uagan, *(phantom.nifti if word == "SCAN" else word for word in arguments))
        assert done.code == 2
        assert said in done.err
        assert list(tmp_path.glob("**/out*")) == []

    @pytest.mark.parametrize(
        ("to", "options", "code"),
        [
            ("PET", ("--domain", "CT"), "unknown_domain"),
            ("MR", (), "domain_needed"),  # NIfTI does not say its modality
            ("MR", ("--domain", "PET"), "unknown_domain"),
        ],
    )
    def test_domains_that_are_not_known(self, ganseg, phantom, uagan, tmp_path, to, options, code):
        output = tmp_path / "out.nrrd"
        done = ganseg("translate", uagan, "--input", phantom.nifti, "--to", to, "-o", output, *options, "--json")
        assert done.code == 1
        assert json.loads(done.out)["error"]["code"] == code
        assert "CT, MR" in done.err
        assert not output.exists()

    def test_a_model_that_cannot_translate(self, ganseg, phantom, package, tmp_path):
        done = ganseg("translate", package, "--input", phantom.dicom, "--to", "MR", "-o", tmp_path / "out.nrrd")
        assert done.code == 1 and "[cannot_translate]" in done.err and "StarGAN or UAGAN" in done.err

    def test_a_model_without_masks(self, ganseg, phantom, stargan, tmp_path):
        output = tmp_path / "out.nrrd"
        done = ganseg(
            "translate", stargan, "--input", phantom.dicom, "--to", "MR", "-o", output, "--mask", tmp_path / "m.nrrd"
        )
        assert done.code == 2 and "makes no masks" in done.err
        assert not output.exists()

    def test_a_translator_alone_does_not_segment_and_paints_no_masks(
        self, ganseg, phantom, prepared, stargan, tmp_path
    ):
        done = ganseg("segment", phantom.dicom, "-o", tmp_path / "m.nrrd", "--model", stargan)
        assert done.code == 1 and "[wrong_task]" in done.err
        done = ganseg("synthesize", stargan, "--data", prepared.folder, "--output", tmp_path / "painted")
        assert done.code == 1 and "[wrong_task]" in done.err and "translates" in done.err

    def test_a_card_and_a_network_that_know_other_numbers_of_domains(self, ganseg, phantom, uagan, tmp_path):
        """Checked where a package is opened, for every command."""
        with pytest.raises(Exception, match="domains"):
            write_translator(tmp_path / "one.ganseg", domains=["CT"])


@pytest.mark.real_data
def test_a_real_mr_keeps_its_grid(ganseg, uagan, shared_data, tmp_path):
    """Stored left to right, anterior to posterior, with thick slices."""
    source, output = shared_data / "liver_mr_t2_chaos" / "image_01.nii.gz", tmp_path / "as_ct.nii.gz"
    done = ganseg(
        "translate", uagan, "--input", source, "--domain", "MR", "--to", "CT", "-o", output, "--device", "cpu"
    )
    assert done.code == 0, done.err
    before, after = read_volume(source), read_volume(output)
    assert after.geometry.corner_distance(before.geometry) < 1e-4
    assert after.array.shape == before.array.shape
    assert 0 <= after.array.min() < after.array.max() <= 160
