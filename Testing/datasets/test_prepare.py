"""Importing public layouts: lossless, by patient, resumable, and refusing what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.datasets import Dataset, check_dataset, prepare, same_patients
from GANSegmentationLib.errors import GANSegmentationError


def _prepare(layouts: Path, output: Path, **options: object) -> Dataset:
    return prepare(
        [("lits_slices", layouts / "lits"), ("msd_slices", layouts / "msd")],
        output,
        labels={1: "Liver"},
        msd_to_lits=same_patients(layouts / "same.json"),
        **options,  # type: ignore[arg-type]
    )


def test_grey_values_are_stored_unchanged_and_mean_hounsfield_units(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = _prepare(layouts_folder, tmp_path)
    case = dataset.by_id["lits_v01"]
    source = np.asarray(Image.open(layouts_folder / "lits" / "v01" / "s006.jpg"))
    np.testing.assert_array_equal(dataset.images(case)[2], source)
    assert 0 * case.slope + case.intercept == -40 and 255 * case.slope + case.intercept == pytest.approx(160)
    msd = dataset.by_id["msd_c002"]
    assert (msd.slope, msd.intercept) == (1.027, -2.5)
    assert case.slice_index == (0, 3, 6, 9, 12, 15) and msd.slice_index == (40, 55)
    assert (case.is_volume, msd.is_volume) == (True, False), "MSD gives single slices, which nothing may join"


def test_liver_and_tumour_become_one_label(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = _prepare(layouts_folder, tmp_path)
    source = np.asarray(Image.open(layouts_folder / "lits" / "v00" / "s006_mask.png"))
    assert set(np.unique(source)) == {0, 1, 2}
    stored = dataset.masks(dataset.by_id["lits_v00"])[2]
    np.testing.assert_array_equal(stored, source > 0)
    assert dataset.by_id["lits_v00"].foreground == (0, *[int((source > 0).sum())] * 4, 0)


def test_the_same_patient_has_one_name_in_both_sources(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = _prepare(layouts_folder, tmp_path)
    assert dataset.by_id["msd_c001"].patient == "lits_v00" == dataset.by_id["lits_v00"].patient
    assert dataset.by_id["msd_c002"].patient == "msd_c002"
    assert len({case.patient for case in dataset.cases}) == 6


def test_a_second_run_reads_no_finished_case_and_gives_the_same_fingerprint(
    layouts_folder: Path, tmp_path: Path
) -> None:
    layouts = tmp_path / "layouts"
    shutil.copytree(layouts_folder, layouts)
    first = _prepare(layouts, tmp_path / "out")
    out = tmp_path / "out"
    written = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    # What an interruption or an accident leaves behind is imported anew, whatever it is; the rest is not touched.
    (out / "cases" / "lits_v02.json").unlink()
    (out / "images" / "lits_v02.npy").write_bytes(b"half")
    (out / "cases" / "lits_v03.json").write_text("{")
    (out / "images" / "msd_c001.npy").unlink()
    masks = out / "masks" / "msd_c002.npy"
    masks.write_bytes(masks.read_bytes()[:-1] + b"x")
    second = _prepare(layouts, out)
    assert second.fingerprint == first.fingerprint
    changed = {path.stem for path, time in written.items() if path.stat().st_mtime_ns != time}
    assert changed == {"lits_v02", "lits_v03", "msd_c001", "msd_c002"}
    assert check_dataset(second) == []


def test_a_source_that_has_changed_since_is_read_again(layouts_folder: Path, tmp_path: Path) -> None:
    layouts = tmp_path / "layouts"
    shutil.copytree(layouts_folder, layouts)
    first = _prepare(layouts, tmp_path / "out")
    mask = layouts / "lits" / "v01" / "s006_mask.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(mask)
    for path in (layouts / "msd").glob("c004_s055*"):
        path.unlink()
    second = _prepare(layouts, tmp_path / "out")
    assert second.by_id["lits_v01"].foreground[2] == 0 and second.by_id["msd_c004"].slices == 1
    same = [case.id for case in first.cases if case == second.by_id[case.id]]
    assert set(same) == {case.id for case in first.cases} - {"lits_v01", "msd_c004"}


def test_forgotten_aliases_do_not_stick(layouts_folder: Path, tmp_path: Path) -> None:
    sources = [("lits_slices", layouts_folder / "lits"), ("msd_slices", layouts_folder / "msd")]
    without = prepare(sources, tmp_path, labels={1: "Liver"})
    assert without.by_id["msd_c001"].patient == "msd_c001"
    assert _prepare(layouts_folder, tmp_path).by_id["msd_c001"].patient == "lits_v00"
    assert Dataset.open(tmp_path).by_id["msd_c001"].patient == "lits_v00"


@pytest.mark.parametrize("names", [{"msd_c001": "v00"}, {"c001": "lits_v00"}, {"1": "v00"}])
def test_an_alias_that_no_case_can_have_is_refused(names: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "same.json").write_text(json.dumps({"msd_to_lits": names}))
    with pytest.raises(GANSegmentationError, match="c001") as caught:
        same_patients(tmp_path / "same.json")
    assert caught.value.code == "invalid_same_patients"


def test_labels_are_read_before_they_become_eight_bit(layouts_folder: Path, tmp_path: Path) -> None:
    layouts = tmp_path / "layouts"
    shutil.copytree(layouts_folder, layouts)
    Image.fromarray(np.full((64, 64), 256, np.uint16)).save(layouts / "lits" / "v00" / "s003_mask.png")
    with pytest.raises(GANSegmentationError, match=r"s003_mask\.png.*256"):
        _prepare(layouts, tmp_path / "out")
    Image.fromarray(np.full((64, 64), 300, np.uint16)).save(layouts / "msd" / "c001_s040.png")
    with pytest.raises(GANSegmentationError, match=r"c001_s040\.png.*uint16"):
        prepare([("msd_slices", layouts / "msd")], tmp_path / "out", labels={1: "Liver"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda case: case.update(foreground=case["foreground"][:-1]), "lits_v00 has 6 slices, and 5 counts"),
        (lambda case: case.update(slices="6"), "slices is '6', which is not a whole number"),
        (lambda case: case.update(colour="red"), "no setting named 'colour'"),
        (lambda case: case.pop("fingerprint"), "needs 'fingerprint'"),
        (lambda case: case.update(id="lits_v01"), "two cases have one name"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_in_words(
    layouts_folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    _prepare(layouts_folder, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    change(manifest["cases"][0])
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(GANSegmentationError, match=said) as caught:
        Dataset.open(tmp_path)
    assert caught.value.code == "invalid_dataset"


def test_patients_are_chosen_by_name_and_unknown_ones_refused(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = _prepare(layouts_folder, tmp_path)
    assert {case.id for case in dataset.of_patients(["lits_v00"]).cases} == {"lits_v00", "msd_c001"}
    with pytest.raises(GANSegmentationError, match="lits_v77") as caught:
        dataset.of_patients(["lits_v00", "lits_v77"])
    assert caught.value.code == "unknown_patient"


def test_the_dataset_opens_as_it_was_written(layouts_folder: Path, tmp_path: Path) -> None:
    written = _prepare(layouts_folder, tmp_path)
    opened = Dataset.open(tmp_path)
    assert {case.id: case for case in opened.cases} == {case.id: case for case in written.cases}
    assert opened.labels == {1: "Liver"} and opened.fingerprint == written.fingerprint


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda folder: (folder / "lits" / "v00" / "s003.jpg").write_bytes(b"no picture"), "invalid_source"),
        (lambda folder: (folder / "lits" / "v00" / "s003_mask.png").unlink(), "invalid_source"),
        (
            lambda folder: Image.fromarray(np.full((64, 64), 7, np.uint8)).save(
                folder / "lits" / "v00" / "s003_mask.png"
            ),
            "invalid_source",
        ),
        (
            lambda folder: Image.fromarray(np.zeros((32, 64), np.uint8)).save(folder / "lits" / "v00" / "s003.jpg"),
            "invalid_source",
        ),
        (lambda folder: shutil.rmtree(folder / "lits"), "source_not_found"),
        (lambda folder: (folder / "same.json").write_text("[]"), "invalid_same_patients"),
    ],
)
def test_a_damaged_source_is_refused_by_name(layouts_folder: Path, tmp_path: Path, damage, code: str) -> None:
    layouts = tmp_path / "layouts"
    shutil.copytree(layouts_folder, layouts)
    damage(layouts)
    with pytest.raises(GANSegmentationError) as caught:
        _prepare(layouts, tmp_path / "out")
    assert caught.value.code == code
    assert "same.json" in str(caught.value) or "lits" in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_unknown_layout_and_a_source_given_twice_are_refused(layouts_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError, match="lits_slices") as caught:
        prepare([("lits_jpeg", layouts_folder / "lits")], tmp_path, labels={1: "Liver"})
    assert caught.value.code == "unknown_layout"
    with pytest.raises(GANSegmentationError) as caught:
        prepare([("lits_slices", layouts_folder / "lits")] * 2, tmp_path, labels={1: "Liver"})
    assert caught.value.code == "duplicate_case"


def test_a_missing_or_changed_dataset_is_refused(layouts_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Dataset.open(tmp_path)
    assert caught.value.code == "dataset_not_found"
    dataset = _prepare(layouts_folder, tmp_path)
    np.save(tmp_path / "images" / "lits_v00.npy", np.zeros((2, 64, 64), np.uint8))
    with pytest.raises(GANSegmentationError, match="lits_v00"):
        dataset.images(dataset.by_id["lits_v00"])
    (tmp_path / "manifest.json").write_text('{"schema": 99}')
    with pytest.raises(GANSegmentationError, match="99"):
        Dataset.open(tmp_path)


@pytest.mark.real_data
def test_the_real_slice_sets_are_read_whole(shared_data: Path, tmp_path: Path) -> None:
    volume = tmp_path / "lits" / "v32"
    shutil.copytree(shared_data / "liver_ct_slices_lits" / "v32", volume)
    aliases = same_patients(shared_data / "liver_ct_same_patients.json")
    assert len(aliases) == 27
    dataset = prepare(
        [("lits_slices", tmp_path / "lits"), ("msd_slices", shared_data / "liver_ct_slices_msd")],
        tmp_path / "out",
        labels={1: "Liver"},
        msd_to_lits=aliases,
    )
    assert dataset.by_id["lits_v32"].slices == 70
    msd = [case for case in dataset.cases if case.source == "msd_slices"]
    assert len(msd) == 115 and sum(case.slices for case in msd) == 591
    case = dataset.by_id["lits_v32"]
    values = dataset.images(case) * case.slope + case.intercept
    liver = values[np.asarray(dataset.masks(case)) > 0]
    assert 60 < np.median(liver) < 160, "an enhanced liver, in HU"


@pytest.mark.real_data
def test_the_chaos_scan_is_prepared_in_radiological_display(shared_data: Path, tmp_path: Path) -> None:
    dataset = prepare([("chaos_ct", shared_data / "liver_ct_chaos_set3")], tmp_path, labels={1: "Liver"})
    (case,) = dataset.cases
    assert (case.slices, case.shape, case.spacing_zyx) == (78, (512, 512), pytest.approx((2.0, 0.7265625, 0.7265625)))
    mask = np.asarray(dataset.masks(case)) > 0
    images = np.asarray(dataset.images(case))
    assert 90 < np.median(images[mask]) < 160, "the mask lies on the liver, in HU"
    columns = np.nonzero(mask)[2]
    assert columns.mean() < 256, "the liver is on the patient's right, the picture's left"


def test_the_cases_of_other_sources_are_not_dropped_from_a_folder(layouts_folder: Path, tmp_path: Path) -> None:
    before = _prepare(layouts_folder, tmp_path / "out")
    with pytest.raises(GANSegmentationError, match="msd_slices") as caught:
        prepare([("lits_slices", layouts_folder / "lits")], tmp_path / "out", labels={1: "Liver"})
    assert caught.value.code == "folder_in_use"
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(layouts_folder / "lits" / "v01", elsewhere / "v77")
    with pytest.raises(GANSegmentationError, match="other sources") as caught:
        prepare([("lits_slices", elsewhere)], tmp_path / "out", labels={1: "Liver"})
    assert Dataset.open(tmp_path / "out").fingerprint == before.fingerprint
    assert not (tmp_path / "out" / "images" / "lits_v77.npy").exists()


def test_a_case_that_was_removed_from_its_source_goes_and_another_source_comes(
    layouts_folder: Path, tmp_path: Path
) -> None:
    layouts, out = tmp_path / "layouts", tmp_path / "out"
    shutil.copytree(layouts_folder, layouts)
    prepare([("lits_slices", layouts / "lits")], out, labels={1: "Liver"})
    shutil.rmtree(layouts / "lits" / "v01")
    names = set(_prepare(layouts, out).by_id)
    assert "lits_v01" not in names and {"lits_v00", "msd_c001"} <= names
