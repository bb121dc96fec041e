"""Which cases a folder holds: series and files, each once, under names that tell of nobody."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from GANSegmentationLib.batch import CaseFilter, find_cases
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Volume, read_volume, write_volume
from Testing.batch.conftest import write_patient, write_reference
from Testing.cli.conftest import write_series
from Testing.tiny_model import tiny_scan


def names(root: Path, **options) -> list[str]:
    return [case.name for case in find_cases(root, **options).cases]


def put(path: Path, volume: Volume | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_volume(volume or tiny_scan(), path)


class TestFiles:
    @pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
    def test_every_kind_of_image_is_a_case_in_its_place(self, tmp_path, ending):
        made = put(tmp_path / "a" / ("scan" + ending.replace(".nhdr", ".nrrd")))
        if ending == ".nhdr":
            made.rename(made.with_suffix(".nhdr"))
        found = find_cases(tmp_path).cases
        assert [case.name for case in found] == ["a/scan"]
        assert set(found[0].files) == set((tmp_path / "a").iterdir())

    def test_other_files_segmentations_and_hidden_ones_are_none(self, tmp_path):
        put(tmp_path / "scan.nrrd")
        put(tmp_path / ".trash" / "old.nrrd")
        put(tmp_path / "._scan.nrrd")
        write_reference(tiny_scan(), tmp_path / "liver.seg.nrrd")
        (tmp_path / "notes.txt").write_text("no scan")
        assert names(tmp_path) == ["scan"]

    def test_a_pipe_is_passed_over_and_a_link_to_nothing_is_said(self, tmp_path):
        put(tmp_path / "scan.nrrd")
        os.mkfifo(tmp_path / "pipe.nii.gz")  # to open it would wait for ever
        (tmp_path / "gone.nrrd").symlink_to(tmp_path / "nowhere.nrrd")
        assert names(tmp_path) == ["gone", "scan"]

    def test_two_files_that_differ_by_their_ending_keep_it(self, tmp_path):
        for name in ("scan.nrrd", "scan.nii.gz", "other.nrrd"):
            put(tmp_path / name)
        assert names(tmp_path) == ["other", "scan.nii.gz", "scan.nrrd"]

    def test_names_that_differ_in_capitals_alone_are_kept_apart(self, tmp_path):
        put(tmp_path / "Scan.nrrd")
        put(tmp_path / "scan.nrrd")
        found = names(tmp_path)
        assert len({name.casefold() for name in found}) == 2

    def test_output_and_references_within_the_input_are_not_looked_into(self, tmp_path):
        put(tmp_path / "scan.nrrd")
        put(tmp_path / "masks" / "scan.nrrd")
        put(tmp_path / "truth" / "scan.nrrd")
        assert names(tmp_path, skip=[tmp_path / "masks"], references=tmp_path / "truth") == ["scan"]

    def test_links_are_followed_but_not_in_circles(self, tmp_path):
        put(tmp_path / "archive" / "scan.nrrd")
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "study").symlink_to(tmp_path / "archive")
        (tmp_path / "archive" / "up").symlink_to(tmp_path / "in")
        assert names(tmp_path / "in") == ["study/scan"]

    def test_an_empty_folder_and_none_are_said(self, tmp_path):
        for folder, code in ((tmp_path, "no_cases"), (tmp_path / "nowhere", "folder_not_found")):
            with pytest.raises(GANSegmentationError) as caught:
                find_cases(folder)
            assert caught.value.code == code


class TestSeries:
    def test_a_series_is_a_case_in_the_place_of_its_folder(self, tmp_path):
        write_series(tiny_scan(), tmp_path / "study" / "portal")
        found = find_cases(tmp_path).cases
        assert [case.name for case in found] == ["study/portal"]
        volume = read_volume(found[0].path, series_uid=found[0].series_uid)
        assert np.array_equal(volume.array, tiny_scan().array)

    def test_a_series_right_in_the_folder_has_the_name_of_the_folder(self, tmp_path):
        write_series(tiny_scan(), tmp_path / "study")
        assert names(tmp_path / "study") == ["study"]

    def test_several_in_one_folder_are_told_apart_by_their_numbers(self, tmp_path):
        for number in ("2", "7"):
            write_patient(tmp_path / number, SeriesNumber=number)
            (tmp_path / "study").mkdir(exist_ok=True)
            for file in (tmp_path / number).iterdir():
                file.rename(tmp_path / "study" / f"{number}-{file.name}")
        assert names(tmp_path) == ["study/series-2", "study/series-7"]

    def test_localizers_and_screenshots_are_no_cases(self, tmp_path):
        write_series(tiny_scan(), tmp_path / "study" / "ct")
        write_patient(tmp_path / "study" / "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
        write_series(tiny_scan(), tmp_path / "study" / "shot")
        for file in (tmp_path / "study" / "shot").iterdir():
            dataset = pydicom.dcmread(file)
            del dataset.ImagePositionPatient
            dataset.save_as(file)
        assert names(tmp_path) == ["study/ct"]

    def test_a_series_spread_over_folders_is_one_and_whole(self, tmp_path):
        whole = write_series(tiny_scan(), tmp_path / "study" / "1")
        (tmp_path / "study" / "2").mkdir()
        for file in sorted(whole.iterdir())[3:]:
            file.rename(tmp_path / "study" / "2" / file.name)
        (case,) = find_cases(tmp_path).cases
        assert case.name == "study"
        assert len(case.files) == 6
        assert read_volume(case.path, series_uid=case.series_uid).array.shape[0] == 6

    def test_copies_of_a_series_are_cases_of_their_own(self, tmp_path):
        shutil.copytree(write_series(tiny_scan(), tmp_path / "a"), tmp_path / "b")
        found = find_cases(tmp_path).cases
        assert [case.name for case in found] == ["a", "b"]
        assert all(read_volume(case.path, series_uid=case.series_uid).array.shape[0] == 6 for case in found)

    def test_a_damaged_file_makes_a_case_that_will_fail_and_disturbs_no_other(self, tmp_path):
        write_series(tiny_scan(), tmp_path / "good")
        bad = write_series(tiny_scan(), tmp_path / "bad")
        for file in bad.iterdir():
            file.write_bytes(file.read_bytes()[:200])
        found = {case.name: case for case in find_cases(tmp_path, names="original").cases}
        assert sorted(found) == ["bad", "good"]
        assert found["bad"].problem.code == "damaged_file"
        assert found["good"].problem is None

    def test_the_folder_of_a_patient_whose_headers_cannot_be_read_is_not_named(self, tmp_path):
        write_series(tiny_scan(), tmp_path / "site" / "good")
        bad = write_series(tiny_scan(), tmp_path / "site" / "Mustermann" / "ct")
        for file in bad.iterdir():
            file.write_bytes(file.read_bytes()[:200])
        found = find_cases(tmp_path)
        named = [case.name.split("/") for case in found.cases]
        assert ["site", "good"] in named
        assert [len(parts) for parts in named if parts[1].startswith("case-")] == [3]
        problem = next(case.problem for case in found.cases if case.problem)
        assert "Mustermann" not in found.redactor.clean(problem.message)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is open to root")
    def test_a_folder_that_cannot_be_listed_is_a_case_that_fails(self, tmp_path):
        put(tmp_path / "scan.nrrd")
        (tmp_path / "closed").mkdir(mode=0)
        found = {case.name: case for case in find_cases(tmp_path).cases}
        assert found["closed"].problem.code == "unreadable_file"


class TestFilter:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("a/one.nrrd", "a/two.nii.gz", "b/three.nrrd"):
            put(tmp_path / name)
        write_series(replace(tiny_scan(), modality="MR"), tmp_path / "mr")
        write_series(tiny_scan(), tmp_path / "ct")
        return tmp_path

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (CaseFilter(), ["a/one", "a/two", "b/three", "ct", "mr"]),
            (CaseFilter(include=("a",)), ["a/one", "a/two"]),
            (CaseFilter(include=("t*",)), ["a/two", "b/three"]),
            (CaseFilter(include=("a", "mr"), exclude=("one*",)), ["a/two", "mr"]),
            (CaseFilter(modalities=("MR",)), ["mr"]),
        ],
    )
    def test_paths_and_modalities_choose(self, folder, wanted, expected):
        assert names(folder, wanted=wanted) == expected

    def test_nothing_left_is_said(self, folder):
        with pytest.raises(GANSegmentationError, match="none that was asked for"):
            find_cases(folder, wanted=CaseFilter(include=("nowhere",)))


class TestNames:
    @pytest.fixture
    def folder(self, tmp_path):
        root = tmp_path / "in"
        write_patient(root / "MUSTERMANN_ERIKA" / "ct", PatientName="Mustermann^Erika", PatientID="4711-A")
        put(root / "MUSTERMANN_ERIKA" / "follow-up 4711-A.nrrd")
        write_patient(root / "second", PatientName="Anonymous", PatientID="second")
        put(root / "third" / "scan.nrrd")
        return root

    def test_names_of_patients_are_replaced_and_all_else_stays(self, folder):
        found = find_cases(folder, key=b"key")
        assert found.renamed == 3
        text = " ".join(case.name for case in found.cases).lower()
        assert "muster" not in text and "4711" not in text and "second" not in text
        assert "third/scan" in [case.name for case in found.cases]
        in_one_folder = [
            case.name.split("/") for case in found.cases if case.name.count("/") and "third" not in case.name
        ]
        assert len({parts[0] for parts in in_one_folder}) == 1
        assert ["ct"] in [parts[1:] for parts in in_one_folder]

    def test_the_same_key_gives_the_same_names(self, folder):
        assert names(folder, key=b"key") == names(folder, key=b"key") != names(folder, key=b"other")

    def test_pseudonyms_can_stand_for_all_names(self, folder):
        for case in find_cases(folder, names="pseudonyms", key=b"key").cases:
            assert all(part.startswith("case-") for part in case.name.split("/"))

    def test_names_are_kept_for_who_asks(self, folder):
        found = find_cases(folder, names="original")
        assert found.renamed == 0
        assert "MUSTERMANN_ERIKA/ct" in [case.name for case in found.cases]


class TestReferences:
    @pytest.mark.parametrize(
        ("scan", "reference"),
        [
            ("a/scan.nii.gz", "a/scan.seg.nrrd"),
            ("a/scan.nii.gz", "a/scan.nii.gz"),
            ("a/liver_001_0000.nii.gz", "a/liver_001.nii.gz"),
            ("a/scan.nii.gz", "a/scan/anything.nrrd"),
        ],
    )
    def test_they_lie_in_the_same_place(self, tmp_path, scan, reference):
        put(tmp_path / "in" / scan)
        path = write_reference(tiny_scan(), tmp_path / "truth" / reference)
        write_reference(tiny_scan(), tmp_path / "truth" / "b" / "other.nrrd")
        (case,) = find_cases(tmp_path / "in", references=tmp_path / "truth").cases
        assert case.reference == path
        assert path in case.files

    def test_png_pictures_belong_to_the_series_of_their_place(self, tmp_path):
        write_series(tiny_scan(), tmp_path / "in" / "1")
        (tmp_path / "truth" / "1").mkdir(parents=True)
        for number in range(6):
            Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "truth" / "1" / f"{number}.png")
        (case,) = find_cases(tmp_path / "in", references=tmp_path / "truth").cases
        assert case.reference == tmp_path / "truth" / "1"
        assert len(case.files) == 12

    def test_a_case_without_one_has_none(self, tmp_path):
        put(tmp_path / "in" / "scan.nrrd")
        (tmp_path / "truth").mkdir()
        (case,) = find_cases(tmp_path / "in", references=tmp_path / "truth").cases
        assert case.reference is None

    def test_a_scan_is_not_its_own(self, tmp_path):
        scan = put(tmp_path / "in" / "scan.nrrd")
        (tmp_path / "truth").mkdir()
        (tmp_path / "truth" / "scan.nrrd").symlink_to(scan)
        (case,) = find_cases(tmp_path / "in", references=tmp_path / "truth").cases
        assert case.reference is None
