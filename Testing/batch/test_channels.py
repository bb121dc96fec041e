"""Models with several inputs: which scans belong together is known for certain, or the case fails and says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.batch import BatchOptions, CaseFilter, find_cases
from GANSegmentationLib.batch.channels import Channels
from GANSegmentationLib.batch.task import WorkSettings
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import write_package
from GANSegmentationLib.slicing import SliceSpec
from GANSegmentationLib.volumes import Geometry, read_labelmap, write_volume
from Testing.batch.conftest import write_reference
from Testing.inference.conftest import WINDOW, card_of, threshold_network
from Testing.tiny_model import LIVER, tiny_scan
from Testing.volumes.conftest import write_dicom

T1_T2 = ("T1", "T2")


def put(path: Path, value: int = 0, geometry: Geometry | None = None) -> Path:
    """A scan that holds `value` in a corner, by which it can be told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scan = tiny_scan(geometry=geometry)
    array = np.array(scan.array)
    array[0, 0, :3] = value
    return write_volume(replace(scan, array=array), path)


def cases(root: Path, *rules: str, **options: object) -> dict[str, list[str]]:
    """Names of cases, each with the names of its channels' files, or with the code of its problem."""
    found = find_cases(root, channels=Channels(T1_T2, rules), **options).cases
    return {
        case.name: [case.problem.code]
        if case.problem
        else [case.path.name, *(other.path.name for other in case.others)]
        for case in found
    }


class TestFilesByNnunet:
    def test_names_with_numbers_belong_together_in_their_order(self, tmp_path):
        for name in ("a_0001", "a_0000", "deep/b_0000", "deep/b_0001"):
            put(tmp_path / f"{name}.nii.gz")
        assert cases(tmp_path) == {
            "a": ["a_0000.nii.gz", "a_0001.nii.gz"],
            "deep/b": ["b_0000.nii.gz", "b_0001.nii.gz"],
        }

    def test_one_that_is_missing_fails_its_case(self, tmp_path):
        put(tmp_path / "a_0001.nii.gz")
        found = find_cases(tmp_path, channels=Channels(T1_T2)).cases
        assert "channel T1" in found[0].problem.message
        assert cases(tmp_path) == {"a": ["channel_missing"]}

    def test_two_for_one_channel_are_not_chosen_from(self, tmp_path):
        for name in ("a_0000.nii.gz", "a_0000.nrrd", "a_0001.nii.gz"):
            put(tmp_path / name)
        assert cases(tmp_path) == {"a": ["channel_ambiguous"]}

    @pytest.mark.parametrize("name", ["a.nii.gz", "a_0002.nii.gz", "a_1.nii.gz"])
    def test_other_names_are_no_channel(self, tmp_path, name):
        put(tmp_path / name)
        assert list(cases(tmp_path).values()) == [["channels_unknown"]]


class TestFilesByPatterns:
    def test_the_star_is_what_the_files_of_a_case_have_in_common(self, tmp_path):
        for name in ("p1/p1_t1.nii.gz", "p1/p1_t2.nii.gz", "p1/p1_seg.nii.gz", "p2_T2.nii.gz", "p2_t1.nii.gz"):
            put(tmp_path / name)
        assert cases(tmp_path, "*_t1.nii.gz", "*_t2.nii.gz") == {
            "p1/p1": ["p1_t1.nii.gz", "p1_t2.nii.gz"],
            "p2": ["p2_t1.nii.gz", "p2_T2.nii.gz"],
        }

    def test_names_that_are_the_channel_alone(self, tmp_path):
        for name in ("p1/t1.nrrd", "p1/t2.nrrd"):
            put(tmp_path / name)
        assert cases(tmp_path, "*t1.nrrd", "*t2.nrrd") == {"p1/scan": ["t1.nrrd", "t2.nrrd"]}

    def test_a_missing_one_and_one_for_both_are_said(self, tmp_path):
        put(tmp_path / "a_t1.nrrd")
        assert cases(tmp_path, "*_t1.nrrd", "*_t2.nrrd") == {"a": ["channel_missing"]}
        assert cases(tmp_path, "*_t1.nrrd", "*_t1.nrrd") == {"a": ["channel_ambiguous"]}


class TestSeriesByRules:
    @pytest.fixture
    def study(self, tmp_path):
        for number, name in enumerate(("t2 tse", "t1 in", "t1 out", "scout"), 1):
            write_dicom(
                tmp_path / "in" / "patient" / name.replace(" ", "-"),
                np.full((3, 16, 16), 900 + number, np.uint16),
                SeriesInstanceUID=f"1.2.3.{number}",
                SeriesDescription=name,
                SeriesNumber=number,
                Modality="MR",
            )
        return tmp_path / "in"

    def test_the_series_of_a_study_make_one_case_in_their_common_folder(self, study):
        (case,) = find_cases(study, channels=Channels(T1_T2, ("description=t1 in", "description=t2*"))).cases
        assert case.name == "patient"
        assert [case.series_uid, *(other.series_uid for other in case.others)] == ["1.2.3.2", "1.2.3.1"]
        assert len(case.files) == 6

    def test_several_that_fit_are_named_and_not_chosen_from(self, study):
        (case,) = find_cases(study, channels=Channels(T1_T2, ("description=t1*", "description=t2*"))).cases
        assert case.problem.code == "channel_ambiguous"
        assert "series 2, series 3" in case.problem.message

    def test_one_that_is_missing_fails_the_study(self, study):
        assert cases(study, "description=t1 in", "description=flair*") == {"patient": ["channel_missing"]}

    def test_studies_of_another_kind_are_no_cases(self, study):
        write_dicom(
            study / "other", np.zeros((3, 16, 16), np.uint16), StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"
        )
        assert list(cases(study, "description=t1 in", "description=t2*")) == ["patient"]

    def test_without_rules_nothing_is_guessed(self, study):
        assert cases(study) == {"patient": ["channels_unknown"]}

    def test_a_study_right_in_the_folder_has_its_name(self, study):
        found = cases(study / "patient", "description=t1 in", "description=t2*")
        assert list(found) == ["patient"]

    def test_two_studies_in_one_folder_are_two_cases(self, study):
        for name in ("t1 in", "t2 tse"):
            write_dicom(
                study / "patient" / f"later {name}",
                np.zeros((3, 16, 16), np.uint16),
                StudyInstanceUID="1.2.4",
                SeriesInstanceUID=f"1.2.4.{len(name)}",
                SeriesDescription=name,
            )
        assert list(cases(study, "description=t1 in", "description=t2*")) == ["patient", "patient-2"]

    def test_the_choice_of_series_and_of_channels_go_together(self, study):
        wanted = CaseFilter(series="description=*t*")
        assert cases(study, "description=t1 in", "description=t2*", wanted=wanted) == {
            "patient": ["000.dcm", "000.dcm"]
        }


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (("*_t1.nrrd",), "wrong_use"),
        (("*_t1.nrrd", "modality=MR"), "wrong_use"),
        (("a*b*.nrrd", "*_t2.nrrd"), "wrong_use"),
        (("t1.nrrd", "*_t2.nrrd"), "wrong_use"),
        (("colour=red", "modality=MR"), "wrong_rule"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, rules, code):
    with pytest.raises(GANSegmentationError) as caught:
        find_cases(tmp_path, channels=Channels(T1_T2, rules))
    assert caught.value.code == code


def test_one_channel_may_have_a_pattern_too(tmp_path):
    for name in ("a_ct.nrrd", "a_pet.nrrd"):
        put(tmp_path / name)
    found = find_cases(tmp_path, channels=Channels(("image",), ("*_ct.nrrd",))).cases
    assert [(case.name, case.path.name) for case in found] == [("a", "a_ct.nrrd")]


class TestBatch:
    @pytest.fixture
    def options(self, tmp_path) -> BatchOptions:
        """Two patients and a model that marks what is bright in the second of its two channels."""
        config, weights = threshold_network(2, 1, (100.0,))
        fields = {"channels": 2, "channel_names": list(T1_T2), "title": "Two channels", "id": "two"}
        card = card_of(config, slicing=SliceSpec("axial", 1, 16, 4, WINDOW), **fields)
        package = write_package(tmp_path / "two.ganseg", card, weights, (LIVER,))
        for patient in ("a", "b"):
            put(tmp_path / "in" / f"{patient}_0000.nrrd", 0)
            put(tmp_path / "in" / f"{patient}_0001.nrrd", 500 if patient == "a" else 0)
        return BatchOptions(tmp_path / "in", tmp_path / "out", package=package, device="cpu")

    def test_the_channels_reach_the_model_in_their_order(self, run, options):
        summary = run(options)
        assert [case.output for case in summary.of_status("done")] == ["a.seg.nrrd", "b.seg.nrrd"]
        a, b = (read_labelmap(options.output / f"{name}.seg.nrrd").array for name in "ab")
        assert a[0, 0, :3].all()
        assert not b[0, 0, :3].any()
        assert np.array_equal(a[1:], b[1:])

    def test_a_changed_second_channel_is_a_changed_case(self, run, options):
        run(options)
        put(options.input / "b_0001.nrrd", 500)
        run(options)
        assert run.engine.done == ["b"]

    def test_channels_on_other_grids_fail_their_case_alone(self, run, options):
        put(options.input / "b_0001.nrrd", geometry=Geometry((16, 16, 6), (1.5, 1.5, 4.0)))
        (case,) = run(options).of_status("failed")
        assert (case.case, case.error["code"]) == ("b", "geometry_mismatch")

    def test_references_are_called_as_the_case(self, run, options, tmp_path):
        write_reference(tiny_scan(), tmp_path / "truth" / "b.nii.gz")
        summary = run(replace(options, references=tmp_path / "truth"))
        assert [case.scores is not None for case in summary.cases] == [False, True]

    def test_missing_channels_are_done_once_they_are_there(self, run, options):
        (options.input / "b_0001.nrrd").unlink()
        assert [case.error["code"] for case in run(options).of_status("failed")] == ["channel_missing"]
        put(options.input / "b_0001.nrrd")
        assert not run(options).of_status("failed"), "its files have changed"

    def test_channels_need_a_model(self, options):
        with pytest.raises(GANSegmentationError, match="--model"):
            replace(options, package=None, channels=("*_a.nrrd",)).check()

    def test_other_channels_are_other_settings(self, run, options):
        run(options)
        with pytest.raises(GANSegmentationError) as caught:
            run(replace(options, channels=("*_0001.nrrd", "*_0000.nrrd")))
        assert caught.value.code == "batch_settings_differ"

    def test_tasks_go_through_the_process_border(self, options):
        from GANSegmentationLib.batch.task import Task

        case = find_cases(options.input, channels=options.inputs()).cases[0]
        task = Task.of(case, Path("staged"))
        assert Task.from_dict(task.to_dict()) == task
        assert [Path(other.path).name for other in task.others] == ["a_0001.nrrd"]
        assert WorkSettings.from_dict(WorkSettings(correct_tilt=True).to_dict()).correct_tilt
