"""``ganseg compare``: the scores by name, in a table and as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, write_labelmap

GRID = Geometry(size=(20, 20, 6), spacing=(0.5, 0.5, 3.0), origin=(-10, 5, 40))
KEYS = {
    *("name", "value", "status", "dice", "iou", "hd_mm", "hd95_mm", "hd95_pooled_mm", "assd_mm", "masd_mm"),
    *("volume_ml", "reference_volume_ml", "chaos"),
}


@pytest.fixture
def write(tmp_path):
    """Write a labelmap that is 1 in the given boxes, on the grid of this page."""

    def make(name: str, *boxes: tuple[slice, slice, slice], geometry: Geometry = GRID):
        array = np.zeros(geometry.shape, np.uint8)
        for value, box in enumerate(boxes, 1):
            array[box] = value
        segments = [Segment(value, f"Organ {value}", (9 * value, 80, 80)) for value in range(1, len(boxes) + 1)]
        return write_labelmap(Labelmap(array, geometry, segments), tmp_path / name)

    return make


CUBE = (slice(1, 5), slice(4, 14), slice(4, 14))
SHIFTED = (slice(1, 5), slice(4, 14), slice(6, 16))


def test_json_has_the_promised_keys_and_the_right_numbers(ganseg_process, write):
    mask, reference = write("mask.seg.nrrd", SHIFTED), write("reference.seg.nrrd", CUBE)
    done = ganseg_process("compare", mask, reference, "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    (row,) = json.loads(done.out)["labels"]
    assert set(row) >= KEYS
    assert set(row["chaos"]) >= {"dice", "ravd", "assd_mm", "mssd_mm", "score"}
    assert (row["name"], row["value"], row["status"]) == ("Organ 1", 1, "ok")
    assert row["dice"] == pytest.approx(0.8)
    assert row["iou"] == pytest.approx(2 / 3)
    assert row["hd_mm"] == pytest.approx(1.0)  # two voxels of 0.5 mm
    assert row["volume_ml"] == pytest.approx(400 * 0.75 / 1000)
    assert row["chaos"]["ravd"] == pytest.approx(0)


def test_a_mask_equals_itself(ganseg, write):
    mask = write("mask.nrrd", CUBE)
    done = ganseg("compare", mask, mask)
    assert done.code == 0
    row = done.out.splitlines()[2]
    assert "1.000" in row
    assert row.split()[-1] == "100.0"


def test_several_structures_have_a_row_each(ganseg, write):
    both = write("mask.seg.nrrd", CUBE, (slice(5, 6), slice(0, 3), slice(0, 3)))
    rows = json.loads(ganseg("compare", both, both, "--json").out)["labels"]
    assert [(row["name"], row["value"], row["dice"]) for row in rows] == [("Organ 1", 1, 1.0), ("Organ 2", 2, 1.0)]


def test_an_empty_mask_has_overlap_0_and_no_distance(ganseg, write):
    done = ganseg("compare", write("mask.nrrd"), write("reference.nrrd", CUBE), "--json")
    assert done.code == 0
    (row,) = json.loads(done.out)["labels"]
    assert row["status"] == "mask_empty"
    assert row["dice"] == 0
    assert row["hd_mm"] is None
    assert "NaN" not in done.out
    assert "Infinity" not in done.out
    assert "mask empty" in ganseg("compare", write("mask.nrrd"), write("reference.nrrd", CUBE)).out


def test_two_masks_without_a_structure_are_said_to_be_empty(ganseg, write):
    one, other = write("one.nrrd"), write("other.nrrd")
    done = ganseg("compare", one, other)
    assert done.code == 0
    assert "both empty" in done.out
    assert json.loads(ganseg("compare", one, other, "--json").out)["labels"] == []


def test_the_surface_tolerance_gives_the_surface_dice(ganseg, write):
    mask, reference = write("mask.nrrd", SHIFTED), write("reference.nrrd", CUBE)

    def surface_dice(*options: object) -> float | None:
        return json.loads(ganseg("compare", mask, reference, "--json", *options).out)["labels"][0]["surface_dice"]

    assert surface_dice() is None
    assert surface_dice("--surface-tolerance", 1.01) == pytest.approx(1)
    assert surface_dice("--surface-tolerance", 0.1) < 1
    assert "surface Dice" in ganseg("compare", mask, reference, "--surface-tolerance", 1).out
    assert "surface Dice" not in ganseg("compare", mask, reference).out


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf", "wide"])
def test_a_tolerance_that_is_no_distance_is_wrong_use(ganseg, write, tolerance):
    mask = write("mask.nrrd", CUBE)
    assert ganseg("compare", mask, mask, "--surface-tolerance", tolerance).code == 2


def test_per_slice_has_every_slice(ganseg, write):
    mask, reference = write("mask.nrrd", SHIFTED), write("reference.nrrd", CUBE)
    (row,) = json.loads(ganseg("compare", mask, reference, "--per-slice", "--json").out)["labels"]
    assert [each["index"] for each in row["slices"]] == list(range(6))
    assert [each["dice"] for each in row["slices"]] == [None, *[pytest.approx(0.8)] * 4, None]
    table = ganseg("compare", mask, reference, "--per-slice").out
    rows = [line.split() for line in table.splitlines() if line[:1].isdigit()]
    assert rows == [["0", "-"], *[[str(index), "0.800"] for index in range(1, 5)], ["5", "-"]]
    assert "slices" not in json.loads(ganseg("compare", mask, reference, "--json").out)["labels"][0]


def test_other_grids_are_an_error_not_a_number(ganseg, write):
    moved = Geometry(size=GRID.size, spacing=GRID.spacing, origin=(-10, 5, 43))
    done = ganseg("compare", write("mask.nrrd", CUBE), write("reference.nrrd", CUBE, geometry=moved), "--json")
    assert done.code == 1
    assert "[geometry_mismatch]" in done.err
    assert json.loads(done.out)["error"]["code"] == "geometry_mismatch"


def test_a_file_that_is_not_there_is_named(ganseg, write, tmp_path):
    done = ganseg("compare", write("mask.nrrd", CUBE), tmp_path / "absent.nrrd")
    assert done.code == 1
    assert "absent.nrrd" in done.err


class TestPngSlices:
    """A folder of PNG slices knows no position; the DICOM series that it was drawn on does."""

    @pytest.fixture
    def slices(self, phantom, tmp_path):
        folder = tmp_path / "Ground"
        folder.mkdir()
        for file, labels in zip(sorted(phantom.dicom.iterdir()), phantom.liver.array, strict=True):
            Image.fromarray(labels * np.uint8(255)).save(folder / f"{file.stem}.png")
        return folder

    def test_the_scan_says_where_they_lie(self, ganseg, phantom, slices):
        for pair in ((phantom.reference, slices), (slices, phantom.reference), (slices, slices)):
            done = ganseg("compare", *pair, "--scan", phantom.dicom, "--json")
            assert done.code == 0, done.err
            (row,) = json.loads(done.out)["labels"]
            assert row["dice"] == 1.0
            millilitres = phantom.liver.array.sum() * phantom.volume.geometry.voxel_volume_ml
            assert row["volume_ml"] == pytest.approx(millilitres)

    def test_without_the_scan_they_are_refused_with_the_option_that_helps(self, ganseg, phantom, slices):
        done = ganseg("compare", phantom.reference, slices)
        assert done.code == 1
        assert "--scan" in done.err


class TestOtherLayouts:
    """3D Slicer crops what it stores, other programs turn axes round: the same voxels under other indices."""

    @pytest.fixture
    def layouts(self, phantom, tmp_path):
        geometry, array = phantom.volume.geometry, phantom.liver.array
        x, y, z = 2, 3, 1
        corner = (geometry.index_to_lps @ [x, y, z, 1])[:3]
        crop = Geometry((26, 26, 4), geometry.spacing, corner, geometry.direction)
        last = (geometry.index_to_lps @ [geometry.size[0] - 1, 0, 0, 1])[:3]
        turned = Geometry(geometry.size, geometry.spacing, last, (geometry.direction_matrix * [-1, 1, 1]).ravel())
        return (
            write_labelmap(Labelmap(array[z : z + 4, y : y + 26, x : x + 26], crop), tmp_path / "cropped.nrrd"),
            write_labelmap(Labelmap(array[:, :, ::-1], turned), tmp_path / "flipped.nrrd"),
        )

    def test_are_refused_as_they_stand(self, ganseg, phantom, layouts):
        for layout in layouts:
            done = ganseg("compare", phantom.reference, layout)
            assert done.code == 1
            assert "[geometry_mismatch]" in done.err

    def test_are_brought_to_the_grid_of_the_scan_if_it_is_given(self, ganseg, phantom, layouts):
        for layout in layouts:
            done = ganseg("compare", layout, phantom.reference, "--scan", phantom.dicom, "--json")
            assert done.code == 0, done.err
            assert json.loads(done.out)["labels"][0]["dice"] == 1.0


@pytest.mark.real_data
def test_the_challenge_s_own_example_has_the_challenge_s_own_scores(ganseg, shared_data):
    case = shared_data / "liver_ct_chaos_set3"
    folders = {path.name: path for path in case.rglob("*") if path.is_dir()}
    scan = next(path for name, path in folders.items() if name.startswith("DICOM"))
    done = ganseg("compare", folders["Segmentation"], folders["Ground"], "--scan", scan, "--json")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)["labels"]
    assert row["chaos"]["dice"] == pytest.approx(0.9784, abs=5e-5)
    assert row["chaos"]["ravd"] == pytest.approx(0.6645, abs=5e-5)
    assert row["chaos"]["assd_mm"] == pytest.approx(0.7341, abs=5e-5)
    assert row["chaos"]["mssd_mm"] == pytest.approx(14.0, abs=5e-2)
