"""``ganseg models``: what is there, what it says of itself, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
import zipfile

import pytest


def rewrite(package, path, change):
    """Copy a package, each file as `change(name, content)` gives it."""
    with zipfile.ZipFile(package) as whole, zipfile.ZipFile(path, "w") as copy:
        for name in whole.namelist():
            copy.writestr(name, change(name, whole.read(name)))
    return path


@pytest.fixture
def damaged(package, tmp_path):
    """The package with one bit of its weights changed."""

    def change(name, content):
        return content[:-1] + bytes([content[-1] ^ 1]) if name.endswith("model.safetensors") else content

    return rewrite(package, tmp_path / "damaged.ganseg", change)


@pytest.fixture
def diverged(package, tmp_path):
    """The package with a NaN among its weights, and a card whose checksum fits them."""
    path = tmp_path / "diverged.ganseg"
    with zipfile.ZipFile(package) as whole:
        (name,) = (name for name in whole.namelist() if name.endswith("model.safetensors"))
        weights = whole.read(name)
    spoilt = weights[:-4] + struct.pack("<f", math.nan)
    sums = [hashlib.sha256(content).hexdigest().encode() for content in (weights, spoilt)]

    def change(name, content):
        return spoilt if name.endswith("model.safetensors") else content.replace(*sums)

    return rewrite(package, path, change)


def test_an_imported_model_is_listed_and_can_be_used_by_its_id(ganseg, package, phantom, tmp_path, library):
    done = ganseg("models", "import", package)
    assert done.code == 0, done.err
    assert "threshold-ct" in done.out
    assert library.is_dir()
    listed = ganseg("models", "list")
    row = next(line.split() for line in listed.out.splitlines() if line.startswith("threshold-ct"))
    assert row[:3] == ["threshold-ct", "1.0.0", "CT"]
    assert "threshold-ct" in [model["id"] for model in json.loads(ganseg("models", "list", "--json").out)["models"]]
    done = ganseg("segment", phantom.dicom, "-o", tmp_path / "m.nrrd", "--model", "threshold-ct", "--device", "cpu")
    assert done.code == 0, done.err


def test_info_shows_the_card_of_an_id_or_a_path(ganseg, package):
    by_path = ganseg("models", "info", package)
    assert by_path.code == 0, by_path.err
    for text in ("Threshold for CT", "CC0-1.0", "It knows brightness only.", "Liver", str(package)):
        assert text in by_path.out
    ganseg("models", "import", package)
    card = json.loads(ganseg("models", "info", "threshold-ct", "--json").out)
    assert card["id"] == "threshold-ct"
    assert card["slicing"]["normalisation"] == {"kind": "window", "low": 0.0, "high": 160.0}


def test_a_version_that_is_there_is_replaced_on_purpose_only(ganseg, package):
    assert ganseg("models", "import", package).code == 0
    again = ganseg("models", "import", package)
    assert again.code == 1
    assert "[model_exists]" in again.err
    assert ganseg("models", "import", package, "--replace").code == 0


def test_an_imported_model_can_be_removed(ganseg, package, library):
    ganseg("models", "import", package)
    done = ganseg("models", "remove", "threshold-ct")
    assert done.code == 0, done.err
    assert list(library.glob("*.ganseg")) == []
    assert ganseg("models", "remove", "threshold-ct").code == 1


def test_info_of_an_unknown_model_is_an_error(ganseg):
    done = ganseg("models", "info", "no-such-model")
    assert done.code == 1
    assert "no-such-model" in done.err


def test_a_damaged_package_is_not_imported(ganseg, damaged, library):
    done = ganseg("models", "import", damaged)
    assert done.code == 1
    assert "model.safetensors" in done.err
    assert not library.exists() or not any(library.iterdir())


class TestVerify:
    def test_whole_models(self, ganseg, package):
        ganseg("models", "import", package)
        done = ganseg("models", "verify")
        assert done.code == 0, done.err
        assert "threshold-ct" in done.out

    def test_a_damaged_model_is_exit_code_1_with_the_reason(self, ganseg, damaged):
        done = ganseg("models", "verify", damaged)
        assert done.code == 1
        assert "BROKEN" in done.out
        assert "model.safetensors" in done.err

    def test_weights_that_are_no_numbers_are_found_behind_a_checksum_that_fits(self, ganseg, diverged):
        assert ganseg("models", "info", diverged).code == 0
        done = ganseg("models", "verify", diverged)
        assert done.code == 1
        assert "[invalid_weights]" in done.err

    def test_some_damaged_is_exit_code_3(self, ganseg, package, damaged):
        done = ganseg("models", "verify", package, damaged, "--json")
        assert done.code == 3
        verdict = json.loads(done.out)
        assert verdict["failed"] == 1
        assert [row["error"] is None for row in verdict["models"]] == [True, False]

    def test_a_model_that_was_damaged_in_the_library_is_found_and_hides_no_other(
        self, ganseg, package, threshold_package, library
    ):
        ganseg("models", "import", package)
        ganseg("models", "import", threshold_package("threshold-us", "US"))
        for found in library.rglob("*threshold-us*"):
            if found.is_file():
                found.write_bytes(found.read_bytes()[:-100])
            else:
                weights = found / "model.safetensors"
                weights.write_bytes(weights.read_bytes()[:-1])
        done = ganseg("models", "verify")
        assert done.code == 3
        assert "threshold-us" in done.err
        listed = ganseg("models", "list")
        assert listed.code == 0
        assert any(line.startswith("threshold-ct") for line in listed.out.splitlines())
        assert "threshold-us" in listed.err

    def test_something_that_is_no_package_is_refused(self, ganseg, tmp_path):
        path = tmp_path / "note.ganseg"
        path.write_text("not a package")
        assert ganseg("models", "verify", path).code == 1
        shutil.rmtree(tmp_path / "library", ignore_errors=True)
