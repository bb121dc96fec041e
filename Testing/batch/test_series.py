"""Series that are more, or less, than one stack of files: four-dimensional, enhanced, tilted; each volume once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.batch import CaseFilter, find_cases
from GANSegmentationLib.batch.task import WorkSettings
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import read_labelmap, read_volume
from Testing.batch.conftest import write_patient, write_reference
from Testing.tiny_model import tiny_scan
from Testing.volumes.conftest import item, make_enhanced, make_image, save, write_dicom

STORED = np.random.default_rng(3).integers(0, 4000, (6, 16, 16)).astype(np.uint16)
HEIGHTS = [(0.0, 0.0, 5.0 * k) for k in range(3)]


def write_time_points(folder: Path, **tags: object) -> Path:
    """Two volumes of three slices in one series; the files of both by turns."""
    write_dicom(
        folder,
        STORED,
        positions=[HEIGHTS[k // 2] for k in range(6)],
        each=lambda k: {"TemporalPositionIdentifier": 1 + k % 2},
        PixelSpacing=[1.5, 1.5],
        **tags,
    )
    return folder


def write_frames(path: Path, stored: np.ndarray, positions: list[tuple[float, ...]], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save(make_enhanced(stored, positions, **options), path)
    return path


class TestFourDimensional:
    def test_every_volume_is_a_case_with_its_own_files(self, tmp_path):
        write_time_points(tmp_path / "in" / "perfusion")
        found = find_cases(tmp_path / "in").cases
        assert [case.name for case in found] == ["perfusion/part-1", "perfusion/part-2"]
        for number, case in enumerate(found):
            volume = read_volume(case.path, series_uid=case.series_uid)
            assert np.array_equal(volume.array, STORED[number::2].astype(int) - 1024)
            assert [file.name for file in case.files] == [f"{k:03}.dcm" for k in range(number, 6, 2)]

    def test_beside_another_series_the_number_of_the_series_comes_first(self, tmp_path):
        write_time_points(tmp_path / "in")
        for file in sorted((tmp_path / "in").iterdir()):
            file.rename(file.with_name(f"a{file.name}"))
        write_dicom(tmp_path / "in", STORED, SeriesInstanceUID="1.2.3.9", SeriesNumber=9)
        assert [case.name for case in find_cases(tmp_path / "in").cases] == [
            "series-4/part-1",
            "series-4/part-2",
            "series-9",
        ]

    def test_a_rule_chooses_one_of_them(self, tmp_path):
        write_time_points(tmp_path / "in" / "a")
        found = find_cases(tmp_path / "in", wanted=CaseFilter(series="part=2")).cases
        assert [case.name for case in found] == ["a/part-2"]

    def test_references_lie_in_the_place_of_the_part(self, tmp_path):
        write_time_points(tmp_path / "in" / "a")
        truth = write_reference(tiny_scan(), tmp_path / "truth" / "a" / "part-2.nii.gz")
        found = find_cases(tmp_path / "in", references=tmp_path / "truth").cases
        assert [case.reference for case in found] == [None, truth]

    def test_one_that_cannot_be_taken_apart_is_one_case_that_says_so(self, tmp_path, run, options):
        write_time_points(tmp_path / "twice")
        for file in (tmp_path / "twice").iterdir():
            image = make_image(STORED[int(file.stem)], HEIGHTS[0], 1)
            image.ImagePositionPatient = list(HEIGHTS[int(file.stem) // 2])
            save(image, file)
        (case,) = run(replace(options, input=tmp_path / "twice")).cases
        assert (case.case, case.error["code"]) == ("twice", "four_dimensional")

    def test_the_masks_of_all_volumes_are_made(self, tmp_path, run, options):
        write_time_points(tmp_path / "4d" / "a")
        summary = run(replace(options, input=tmp_path / "4d"))
        assert [case.output for case in summary.of_status("done")] == ["a/part-1.seg.nrrd", "a/part-2.seg.nrrd"]
        for number in (1, 2):
            mask = read_labelmap(options.output / "a" / f"part-{number}.seg.nrrd")
            assert np.array_equal(mask.array, STORED[number - 1 :: 2].astype(int) - 1024 > 100)


class TestEnhanced:
    def test_a_file_with_many_frames_is_one_case(self, tmp_path, run, options):
        path = write_frames(tmp_path / "in2" / "a" / "scan", STORED[:3], HEIGHTS, spacing=(1.5, 1.5))
        (case,) = find_cases(tmp_path / "in2").cases
        assert (case.name, case.files) == ("a", (path,))
        summary = run(replace(options, input=tmp_path / "in2"))
        mask = read_labelmap(options.output / summary.of_status("done")[0].output)
        assert np.array_equal(mask.array, STORED[:3].astype(int) - 1024 > 100)

    def test_the_volumes_of_one_file_are_cases(self, tmp_path):
        write_frames(
            tmp_path / "in" / "scan",
            STORED,
            [HEIGHTS[k // 2] for k in range(6)],
            each=lambda k: {"FrameContentSequence": [item(TemporalPositionIndex=1 + k % 2)]},
        )
        found = find_cases(tmp_path / "in").cases
        assert [case.name for case in found] == ["in/part-1", "in/part-2"]
        second = read_volume(found[1].path, series_uid=found[1].series_uid)
        assert np.array_equal(second.array, STORED[1::2].astype(int) - 1024)

    def test_files_of_one_series_in_several_folders_are_one_volume(self, tmp_path):
        more = [(0.0, 0.0, 15.0 + 5 * k) for k in range(3)]
        write_frames(tmp_path / "in" / "study" / "1" / "a", STORED[:3], HEIGHTS)
        write_frames(tmp_path / "in" / "study" / "2" / "b", STORED[3:], more)
        (case,) = find_cases(tmp_path / "in").cases
        assert case.name == "study"
        assert len(read_volume(case.path, series_uid=case.series_uid).array) == 6

    def test_copies_are_cases_of_their_own(self, tmp_path):
        for folder in ("a", "b"):
            write_frames(tmp_path / "in" / folder / "scan", STORED[:3], HEIGHTS)
        assert [case.name for case in find_cases(tmp_path / "in").cases] == ["a", "b"]

    def test_frames_of_a_localizer_are_no_case(self, tmp_path):
        localizer = item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
        write_frames(tmp_path / "in" / "a" / "scan", STORED[:3], HEIGHTS)
        write_frames(
            tmp_path / "in" / "b" / "scout",
            STORED[:1],
            HEIGHTS[:1],
            each=lambda k: {"CTImageFrameTypeSequence": [localizer]},
            SeriesInstanceUID="1.2.3.5",
        )
        assert [case.name for case in find_cases(tmp_path / "in").cases] == ["a"]


class TestTilt:
    @pytest.fixture
    def tilted(self, tmp_path, options):
        stored = np.zeros((6, 16, 16), np.uint16)
        stored[1:5, 4:12, 3:13] = 1300
        write_dicom(tmp_path / "tilted" / "a", stored, step=(0.0, 1.5, 5.0), PixelSpacing=[1.5, 1.5])
        return replace(options, input=tmp_path / "tilted")

    def test_it_is_refused_without_the_option(self, run, tilted):
        (case,) = run(tilted).cases
        assert case.error["code"] == "gantry_tilt"
        assert "--correct-tilt" in case.error["action"]

    def test_with_it_the_mask_lies_on_the_resampled_grid_and_says_so(self, run, tilted):
        run.settings = WorkSettings(str(tilted.package), device="cpu", correct_tilt=True)
        (case,) = run(replace(tilted, correct_tilt=True)).cases
        assert case.status == "done"
        assert [warning["code"] for warning in case.warnings if warning["code"].startswith("tilt")] == [
            "tilt_corrected"
        ]
        mask = read_labelmap(tilted.output / case.output)
        scan = read_volume(tilted.input / "a", correct_tilt=True)
        assert mask.geometry.corner_distance(scan.geometry) < 1e-4
        bright = scan.array > 100
        assert bright.any()
        assert 2 * np.sum(bright & (mask.array > 0)) > 0.95 * (bright.sum() + mask.array.sum())

    def test_it_belongs_to_the_settings_of_a_folder(self, run, tilted):
        run(tilted)
        with pytest.raises(GANSegmentationError, match="correct_tilt was False, now True"):
            run(replace(tilted, correct_tilt=True))

    def test_the_workers_are_told(self, tilted, tmp_path):
        from GANSegmentationLib.batch.runner import _engine

        assert _engine(replace(tilted, correct_tilt=True), tmp_path, None)._settings.correct_tilt


class TestWhatIsNoScan:
    @pytest.mark.parametrize(
        "sop_class",
        [
            "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
            "1.2.840.10008.5.1.4.1.1.481.3",  # structure set
            "1.2.840.10008.5.1.4.1.1.88.22",  # report
        ],
    )
    def test_segmentations_structure_sets_and_reports_in_a_study_are_no_cases(self, tmp_path, sop_class):
        write_patient(tmp_path / "in" / "study" / "ct")
        other = make_image(STORED[0], HEIGHTS[0], 1, SeriesInstanceUID="1.2.3.7", Modality="SEG")
        if not sop_class.endswith("66.4"):
            for keyword in ("Rows", "Columns", "PixelData", "ImagePositionPatient"):
                delattr(other, keyword)
        other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = sop_class
        for place in (tmp_path / "in" / "study" / "ct", tmp_path / "in" / "study" / "other"):
            place.mkdir(exist_ok=True)
            save(other, place / "object.dcm")
        (case,) = find_cases(tmp_path / "in").cases
        assert case.name == "study/ct"
        assert len(case.files) == 6


class TestRules:
    @pytest.fixture
    def studies(self, tmp_path):
        for study in ("a", "b"):
            for number, (modality, slices) in enumerate((("CT", 4), ("CT", 6), ("MR", 3)), 1):
                write_dicom(
                    tmp_path / "in" / study / str(number),
                    STORED[:slices],
                    StudyInstanceUID=f"1.2.{study == 'b':d}",
                    SeriesInstanceUID=f"1.2.{study == 'b':d}.{number}",
                    SeriesDescription=f"{modality} {'portal' if number == 2 else 'plain'}",
                    Modality=modality,
                )
        write_dicom(tmp_path / "in" / "c", STORED[:3], StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1")
        return tmp_path / "in"

    @pytest.mark.parametrize(
        ("rule", "expected", "without"),
        [
            ("modality=CT,most-slices", ["a/2", "b/2", "c"], 0),
            ("description=*portal*", ["a/2", "b/2"], 1),
            ("modality=ct", ["a/1", "a/2", "b/1", "b/2", "c"], 0),
            ("number=4,modality=MR", ["a/3", "b/3"], 1),
        ],
    )
    def test_of_every_study_the_series_that_fit(self, studies, rule, expected, without):
        found = find_cases(studies, wanted=CaseFilter(series=rule))
        assert [case.name for case in found.cases] == expected
        assert found.without_series == without

    def test_the_thinnest_is_told_by_the_distance_of_slices(self, tmp_path):
        for name, step in (("thick", 5.0), ("thin", 1.25)):
            write_dicom(tmp_path / "in" / name, STORED, step=(0, 0, step), SeriesInstanceUID=f"1.2.{len(name)}")
        found = find_cases(tmp_path / "in", wanted=CaseFilter(series="thinnest"))
        assert [case.name for case in found.cases] == ["thin"]

    def test_a_rule_that_is_none_is_refused(self, studies):
        with pytest.raises(GANSegmentationError) as caught:
            find_cases(studies, wanted=CaseFilter(series="colour=red"))
        assert caught.value.code == "wrong_rule"

    def test_image_files_are_not_looked_for(self, scans):
        with pytest.raises(GANSegmentationError, match="none that was asked for"):
            find_cases(scans, wanted=CaseFilter(series="modality=CT"))
