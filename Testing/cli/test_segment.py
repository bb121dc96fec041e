"""``ganseg segment``: the right mask on the scan's grid, in the format asked for, or no file and a reason."""

from __future__ import annotations

import csv
import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from PIL import Image

from GANSegmentationLib.models import DiscriminatorSpec, open_package, write_package
from GANSegmentationLib.networks import build
from GANSegmentationLib.volumes import (
    Geometry,
    Labelmap,
    Volume,
    read_labelmap,
    read_volume,
    write_labelmap,
    write_volume,
)

PTY = ("fcntl", "termios")


def test_a_dicom_series_becomes_a_slicer_segmentation_on_its_own_grid(ganseg_process, phantom, package, tmp_path):
    output = tmp_path / "liver.seg.nrrd"
    done = ganseg_process("segment", phantom.dicom, "--output", output, "--model", package, "--device", "cpu")
    assert done.code == 0, done.err
    mask = read_labelmap(output)
    assert mask.geometry.corner_distance(phantom.volume.geometry) < 1e-4
    assert np.array_equal(mask.array, phantom.liver.array)
    assert [segment.name for segment in mask.segments] == ["Liver"]
    millilitres = phantom.liver.array.sum() * phantom.volume.geometry.voxel_volume_ml
    assert ["Liver", f"{millilitres:.1f}"] in [line.split() for line in done.out.splitlines()]
    assert str(output) in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    ("name", "magic"),
    [
        ("mask.nrrd", b"NRRD"),
        ("mask.seg.nrrd", b"NRRD"),
        ("mask.nii", b"\x5c\x01\x00\x00"),
        ("mask.nii.gz", b"\x1f\x8b"),
        ("mask.mha", b"ObjectType"),
        ("mask.mhd", b"ObjectType"),
        ("new/folder/mask.nrrd", b"NRRD"),
    ],
)
def test_the_name_of_the_output_decides_its_format(ganseg, phantom, package, tmp_path, name, magic):
    output = tmp_path / name
    done = ganseg("segment", phantom.dicom, "-o", output, "--model", package, "--device", "cpu")
    assert done.code == 0, done.err
    assert output.read_bytes().startswith(magic)
    mask = read_labelmap(output)
    assert np.array_equal(mask.array != 0, phantom.liver.array != 0)
    assert mask.geometry.matches(phantom.volume.geometry)


class TestRefusals:
    """Wrong calls end before the work, and leave no file."""

    @pytest.mark.parametrize("name", ["mask.png", "mask", "mask.nrrd.txt", "mask.dicom"])
    def test_an_output_without_a_known_format_is_wrong_use(self, ganseg, phantom, package, tmp_path, name):
        done = ganseg("segment", phantom.dicom, "--output", tmp_path / name, "--model", package)
        assert done.code == 2
        assert ".seg.nrrd" in done.err
        assert not (tmp_path / name).exists()

    def test_a_folder_as_the_output_is_wrong_use(self, ganseg, phantom, package, tmp_path):
        (tmp_path / "mask.nrrd").mkdir()
        assert ganseg("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd", "--model", package).code == 2

    def test_an_overlay_that_is_no_png_is_wrong_use(self, ganseg, phantom, package, tmp_path):
        done = ganseg("segment", phantom.dicom, "-o", tmp_path / "m.nrrd", "--overlay", tmp_path / "picture.jpg")
        assert done.code == 2
        assert list(tmp_path.glob("*.*")) == []

    def test_an_input_that_is_not_there_is_named(self, ganseg, package, tmp_path):
        done = ganseg("segment", tmp_path / "absent", "--output", tmp_path / "mask.nrrd", "--model", package)
        assert done.code == 1
        assert str(tmp_path / "absent") in done.err
        assert not (tmp_path / "mask.nrrd").exists()

    def test_an_unknown_model_is_named(self, ganseg, phantom, tmp_path):
        done = ganseg("segment", phantom.dicom, "--output", tmp_path / "mask.nrrd", "--model", "no-such-model")
        assert done.code == 1
        assert "no-such-model" in done.err

    def test_a_model_package_that_is_not_there_is_named(self, ganseg, phantom, tmp_path):
        done = ganseg("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd", "--model", tmp_path / "absent.ganseg")
        assert done.code == 1
        assert "absent.ganseg" in done.err

    def test_an_unknown_device_is_refused(self, ganseg, phantom, package, tmp_path):
        done = ganseg("segment", phantom.dicom, "-o", tmp_path / "m.nrrd", "--model", package, "--device", "abacus")
        assert done.code == 1
        assert "abacus" in done.err

    def test_a_reference_that_is_not_there_is_found_before_the_work(self, ganseg, phantom, package, tmp_path):
        output = tmp_path / "mask.nrrd"
        done = ganseg("segment", phantom.dicom, "-o", output, "--model", package, "--reference", tmp_path / "no.nrrd")
        assert done.code == 1
        assert "no.nrrd" in done.err
        assert not output.exists()

    def test_too_many_inputs_for_the_model_are_refused(self, ganseg, phantom, package, tmp_path):
        done = ganseg("segment", phantom.dicom, phantom.dicom, "-o", tmp_path / "m.nrrd", "--model", package)
        assert done.code == 1
        assert not (tmp_path / "m.nrrd").exists()


class TestPlaces:
    """Nothing that is read is written over, and a place where nothing can be written is known before the work."""

    @pytest.mark.parametrize("spelling", ["scan.nrrd", "folder/../scan.nrrd", "link.nrrd"])
    def test_a_mask_never_replaces_the_scan(self, ganseg, phantom, package, tmp_path, spelling):
        scan = write_volume(phantom.volume, tmp_path / "scan.nrrd")
        (tmp_path / "folder").mkdir()
        (tmp_path / "link.nrrd").symlink_to(scan)
        before = scan.read_bytes()
        done = ganseg("segment", scan, "-o", tmp_path / spelling, "--model", package, "--device", "cpu")
        assert done.code == 2
        assert scan.read_bytes() == before

    def test_a_mask_never_replaces_the_reference(self, ganseg, phantom, package, tmp_path):
        reference = shutil.copy(phantom.reference, tmp_path)
        before = phantom.reference.read_bytes()
        done = ganseg("segment", phantom.dicom, "-o", reference, "--model", package, "--reference", reference)
        assert done.code == 2
        assert (tmp_path / phantom.reference.name).read_bytes() == before

    def test_a_picture_never_joins_the_pictures_of_the_reference(self, ganseg, phantom, package, tmp_path):
        pictures = tmp_path / "Ground"
        pictures.mkdir()
        for index, labels in enumerate(phantom.liver.array):
            Image.fromarray(labels * np.uint8(255)).save(pictures / f"{index:03}.png")
        done = ganseg(
            *("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu"),
            *("--reference", pictures, "--overlay", pictures / "overlay.png"),
        )
        assert done.code == 2
        assert len(list(pictures.iterdir())) == len(phantom.liver.array)

    @pytest.mark.parametrize("option", ["--output", "--overlay"])
    def test_a_folder_that_is_a_file_is_known_before_the_work(self, ganseg, phantom, package, tmp_path, option):
        (tmp_path / "file").write_text("in the way")
        places = {"--output": tmp_path / "mask.nrrd", "--overlay": tmp_path / "picture.png"}
        places[option] = tmp_path / "file" / "sub" / places[option].name
        done = ganseg("segment", phantom.dicom, "--model", package, *(part for pair in places.items() for part in pair))
        assert done.code == 1
        assert "[write_failed]" in done.err
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    @pytest.mark.parametrize("name", [".nrrd", ".seg.nrrd", ".nii.gz"])
    def test_an_ending_is_not_a_name(self, ganseg, phantom, package, tmp_path, name):
        assert ganseg("segment", phantom.dicom, "-o", tmp_path / name, "--model", package).code == 2
        assert not (tmp_path / name).exists()


class TestModelNames:
    def test_an_unpacked_package_in_the_working_directory_is_a_path(
        self, ganseg, phantom, package, tmp_path, monkeypatch
    ):
        shutil.unpack_archive(package, tmp_path / "unpacked", "zip")
        monkeypatch.chdir(tmp_path)
        for spelling in ("./unpacked", "unpacked"):
            done = ganseg("segment", phantom.dicom, "-o", "mask.nrrd", "--model", spelling, "--device", "cpu")
            assert done.code == 0, done.err

    def test_a_folder_does_not_hide_the_model_of_its_name(self, ganseg, package, tmp_path, monkeypatch):
        assert ganseg("models", "import", package).code == 0
        (tmp_path / "threshold-ct").mkdir()
        monkeypatch.chdir(tmp_path)
        assert ganseg("models", "info", "threshold-ct").code == 0
        assert "[unknown_model]" not in ganseg("models", "info", "./threshold-ct").err


class TestModality:
    def test_a_known_mismatch_is_refused(self, ganseg, mr_phantom, package, tmp_path):
        output = tmp_path / "mask.nrrd"
        done = ganseg("segment", mr_phantom.dicom, "--output", output, "--model", package, "--device", "cpu")
        assert done.code == 1
        assert "[modality_mismatch]" in done.err
        assert done.out == ""
        assert not output.exists()

    def test_force_segments_all_the_same_and_warns(self, ganseg, mr_phantom, package, tmp_path):
        output = tmp_path / "mask.nrrd"
        done = ganseg("segment", mr_phantom.dicom, "-o", output, "--model", package, "--force", "--device", "cpu")
        assert done.code == 0, done.err
        assert "Warning" in done.err
        assert np.array_equal(read_labelmap(output).array, mr_phantom.liver.array)

    def test_an_unknown_modality_warns(self, ganseg, phantom, package, tmp_path):
        output = tmp_path / "mask.nrrd"
        done = ganseg("segment", phantom.nifti, "-o", output, "--model", package, "--device", "cpu")
        assert done.code == 0, done.err
        assert done.err.startswith("Warning: ")
        assert np.array_equal(read_labelmap(output).array, phantom.liver.array)

    def test_without_a_model_the_modality_chooses(self, ganseg, threshold_package, new_scan, tmp_path):
        """Ultrasound, for which nothing is shipped: only one of the imported models can be meant."""
        scan = new_scan(tmp_path / "us", "US")
        done = ganseg("segment", scan.dicom, "--output", tmp_path / "none.nrrd", "--device", "cpu")
        assert done.code == 1
        assert not (tmp_path / "none.nrrd").exists()
        for model_id, modality in (("threshold-us", "US"), ("threshold-pt", "PT")):
            assert ganseg("models", "import", threshold_package(model_id, modality)).code == 0
        done = ganseg("segment", scan.dicom, "--output", tmp_path / "mask.nrrd", "--device", "cpu", "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["model"]["id"] == "threshold-us"


class TestReference:
    def test_the_scores_are_in_the_table(self, ganseg, phantom, package, tmp_path):
        done = ganseg(
            *("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu"),
            *("--reference", phantom.reference),
        )
        assert done.code == 0, done.err
        header, rule, row = done.out.splitlines()[:3]
        assert all(word in header for word in ("structure", "Dice", "IoU", "HD mm", "HD95 mm", "ASSD mm", "CHAOS"))
        assert set(rule) == {"-", " "}
        assert row.split()[0] == "Liver"
        assert "1.000" in row
        assert row.split()[-1] == "100.0"

    def test_json_holds_the_whole_outcome(self, ganseg, phantom, package, tmp_path):
        output = tmp_path / "mask.nrrd"
        done = ganseg(
            *("segment", phantom.dicom, "-o", output, "--model", package, "--device", "cpu", "--json"),
            *("--reference", phantom.reference),
        )
        outcome = json.loads(done.out)
        assert outcome["output"] == str(output)
        assert outcome["model"] == {"id": "threshold-ct", "title": "Threshold for CT", "version": "1.0.0"}
        assert outcome["modality"] == "CT"
        assert outcome["device"].startswith("CPU")
        assert outcome["geometry"]["size_xyz"] == list(phantom.volume.geometry.size)
        assert outcome["segments"][0]["name"] == "Liver"
        assert outcome["labels"][0]["dice"] == 1.0
        assert outcome["labels"][0]["chaos"]["score"] == 100.0

    def test_a_folder_of_png_slices_is_a_reference(self, ganseg, phantom, package, tmp_path):
        folder = tmp_path / "Ground"
        folder.mkdir()
        for file, labels in zip(sorted(phantom.dicom.iterdir()), phantom.liver.array, strict=True):
            Image.fromarray(labels * np.uint8(255)).save(folder / f"{file.stem}.png")
        done = ganseg(
            *("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu", "--json"),
            *("--reference", folder),
        )
        assert done.code == 0, done.err
        assert json.loads(done.out)["labels"][0]["dice"] == 1.0

    def test_a_reference_of_another_scan_is_found_before_the_work(self, ganseg, phantom, package, tmp_path):
        wrong = write_labelmap(
            Labelmap(phantom.liver.array[:-1], Geometry((32, 32, 5), (2.5, 2.5, 4.0))),
            tmp_path / "wrong.nrrd",
        )
        done = ganseg(
            *("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu"),
            *("--reference", wrong),
        )
        assert done.code == 1
        assert "[geometry_mismatch]" in done.err
        assert not (tmp_path / "mask.nrrd").exists()


class TestSeries:
    @pytest.fixture
    def folder(self, new_scan, tmp_path):
        """A folder with two series, and their UIDs."""
        both = tmp_path / "both"
        uids = []
        for name in ("a", "b"):
            scan = new_scan(tmp_path / name)
            shutil.copytree(scan.dicom, both / name)
            uids.append(str(pydicom.dcmread(next((both / name).iterdir())).SeriesInstanceUID))
        return both, uids

    def test_a_folder_with_several_lists_them(self, ganseg, package, folder, tmp_path):
        both, uids = folder
        done = ganseg("segment", both, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu")
        assert done.code == 1
        assert all(uid in done.err for uid in uids)
        assert "(--series on the command line" in done.err

    def test_the_series_that_was_chosen_is_segmented(self, ganseg, package, folder, tmp_path):
        both, uids = folder
        done = ganseg(
            *("segment", both, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu"),
            *("--series", uids[1]),
        )
        assert done.code == 0, done.err

    def test_a_rule_chooses_and_one_that_fits_none_says_what_there_is(self, ganseg, package, new_scan, tmp_path):
        for modality in ("CT", "MR"):
            (tmp_path / "study" / modality).mkdir(parents=True)
            new_scan(tmp_path / "study" / modality, modality)
        study, mask = tmp_path / "study", tmp_path / "mask.nrrd"
        common = ("segment", study, "-o", mask, "--model", package, "--device", "cpu", "--series")
        refused = ganseg(*common, "modality=PT")
        assert refused.code == 1 and "[unknown_series]" in refused.err and not mask.exists()
        done = ganseg(*common, "modality=CT")
        assert done.code == 0, done.err
        geometry = read_volume(study, series_uid="modality=CT").geometry
        assert read_labelmap(mask).geometry.corner_distance(geometry) < 1e-4

    def test_a_tilted_gantry_is_corrected_on_request_and_the_mask_lies_on_that_grid(
        self, ganseg, package, new_scan, tmp_path
    ):
        folder = new_scan(tmp_path).dicom
        angle = np.radians(10)
        for path in folder.rglob("*.dcm"):
            image = pydicom.dcmread(path)
            image.ImageOrientationPatient = [1, 0, 0, 0, float(f"{np.cos(angle):.8f}"), float(f"{-np.sin(angle):.8f}")]
            image.save_as(path)
        mask = tmp_path / "mask.nrrd"
        refused = ganseg("segment", folder, "-o", mask, "--model", package, "--device", "cpu")
        assert refused.code == 1 and "[gantry_tilt]" in refused.err and not mask.exists()
        done = ganseg("segment", folder, "-o", mask, "--model", package, "--device", "cpu", "--correct-tilt")
        assert done.code == 0, done.err
        assert "the mask lies on that grid" in done.err
        grid = read_volume(folder, correct_tilt=True).geometry
        assert read_labelmap(mask).geometry.corner_distance(grid) < 1e-4

    def test_a_series_of_a_file_that_has_none_is_wrong_use(self, ganseg, phantom, package, tmp_path):
        done = ganseg("segment", phantom.nifti, "-o", tmp_path / "mask.nrrd", "--model", package, "--series", "1.2.3")
        assert done.code == 2
        assert "--series" in done.err

    def test_series_and_inputs_must_be_as_many(self, ganseg, package, folder, tmp_path):
        both, uids = folder
        done = ganseg(
            *("segment", both, "-o", tmp_path / "mask.nrrd", "--series", uids[0], "--series", uids[1]),
        )
        assert done.code == 2


def test_the_overlay_is_a_picture_of_the_scan(ganseg, phantom, package, tmp_path):
    picture = tmp_path / "pictures" / "overlay.png"
    done = ganseg(
        *("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu"),
        *("--overlay", picture),
    )
    assert done.code == 0, done.err
    with Image.open(picture) as image:
        assert image.format == "PNG"
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    assert (np.ptp(colours, axis=1) > 30).any(), "the mask is drawn in colour"


def test_a_ct_that_does_not_say_so_is_drawn_as_one(ganseg, phantom, package, tmp_path):
    pictures = []
    for scan in (phantom.dicom, phantom.nifti):
        picture = tmp_path / f"{scan.name}.png"
        done = ganseg(
            *("segment", scan, "-o", tmp_path / "mask.nrrd", "--overlay", picture),
            *("--model", package, "--device", "cpu"),
        )
        assert done.code == 0, done.err
        pictures.append(np.asarray(Image.open(picture))[90:])  # below the title, which is the scan's name
    assert np.array_equal(*pictures)


def test_a_failed_run_leaves_the_mask_of_an_earlier_one_alone(ganseg, phantom, mr_phantom, package, tmp_path):
    output = tmp_path / "mask.nrrd"
    assert ganseg("segment", phantom.dicom, "-o", output, "--model", package, "--device", "cpu").code == 0
    before = output.read_bytes()
    assert ganseg("segment", mr_phantom.dicom, "-o", output, "--model", package, "--device", "cpu").code == 1
    assert output.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mask.nrrd"]


def test_progress_is_shown_on_a_terminal_only(phantom, package, library, project, tmp_path):
    fcntl, termios = (pytest.importorskip(name, reason="this system has no pseudo-terminals") for name in PTY)
    array = np.repeat(phantom.volume.array, 4, axis=0)
    geometry = Geometry((32, 32, 24), (2.5, 2.5, 4.0))
    scan = write_volume(Volume(array, geometry), tmp_path / "scan.nrrd")
    command = [sys.executable, "-m", "GANSegmentationLib", "segment", str(scan), "-o", str(tmp_path / "m.nrrd")]
    command += ["--model", str(package), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    quiet = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "slice" not in quiet.stderr

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # the other end is closed: the command is done
            pass
        assert process.wait() == 0
    os.close(ours)
    assert b"slice" in shown
    assert b" 0/24 " in shown
    assert b" 24/24 " in shown


class TestPlausibility:
    def test_slices_are_sorted_for_review(self, ganseg, phantom, package, tmp_path):
        table = tmp_path / "review" / "slices.csv"
        done = ganseg("segment", phantom.dicom, "-o", tmp_path / "m.nrrd", "--model", package, "--plausibility", table)
        assert done.code == 0, done.err
        assert "carries no discriminator: the slices are sorted by entropy" in done.err
        assert str(table) in done.out
        with table.open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["rank"]) for row in rows] == [1, 2, 3, 4, 5, 6]
        assert {int(row["slice"]) for row in rows} == set(range(6)) and {row["axis"] for row in rows} == {"z"}
        voxels = {int(row["slice"]): int(row["voxels"]) for row in rows}
        assert voxels == {z: int(phantom.liver.array[z].sum()) for z in range(6)}
        entropies = [float(row["entropy"]) for row in rows]
        assert entropies == sorted(entropies, reverse=True)

    def test_the_model_s_own_discriminator_is_asked(self, ganseg, phantom, package, tmp_path):
        opened, given = open_package(package), {"in_channels": 2, "width": 4, "halvings": 1}
        weights = {name: each.numpy() for name, each in build("patch70", given).state_dict().items()}
        card = replace(opened.card, discriminator=DiscriminatorSpec("patch70", given, "pair"), files={})
        path = write_package(
            tmp_path / "r.ganseg", card, opened.weights(), opened.labels, discriminator_weights=weights
        )
        table = tmp_path / "slices.csv"
        arguments = ["-o", tmp_path / "m.nrrd", "--model", path, "--plausibility", table, "--json"]
        done = ganseg("segment", phantom.dicom, *arguments)
        assert done.code == 0 and done.err == ""
        with table.open() as file:
            rows = list(csv.DictReader(file))
        said = json.loads(done.out)["review"]
        assert said["sorted_by"] == "plausibility" and said["order"] == [int(row["slice"]) for row in rows]
        assert float(rows[0]["plausibility"]) == said["signals"]["plausibility"][said["order"][0]]

    @pytest.mark.parametrize("name", ["slices.txt", "slices"])
    def test_the_table_is_a_csv(self, ganseg, phantom, package, tmp_path, name):
        done = ganseg("segment", phantom.dicom, "-o", tmp_path / "m.nrrd", "--plausibility", tmp_path / name)
        assert done.code == 2 and ".csv" in done.err
        assert list(tmp_path.iterdir()) == []
