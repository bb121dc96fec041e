"""A batch from its folder to its masks, ledger and summary; stopped anywhere, it goes on."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from GANSegmentationLib.batch import BatchOptions, plan_batch, run_batch
from GANSegmentationLib.batch.lock import locked
from GANSegmentationLib.batch.runner import PRIVATE_FOLDER
from GANSegmentationLib.batch.sheets import SHEETS_FOLDER
from GANSegmentationLib.batch.task import WorkSettings
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import read_labelmap, read_volume, write_volume
from Testing.batch.conftest import events, numbered_scan, tree, write_patient, write_reference
from Testing.tiny_model import tiny_scan, write_tiny_package

CASES = ["site-0/scan-00", "site-0/scan-03", "site-1/scan-01", "site-1/scan-04", "site-2/scan-02"]


def interrupt_at(case: str):
    def before(task) -> None:
        if task.case == case:
            raise KeyboardInterrupt

    return before


def fail_at(*cases: str):
    def before(task) -> None:
        if task.case in cases:
            raise GANSegmentationError("damaged_file", "It is damaged.")

    return before


class TestOnce:
    def test_masks_lie_in_the_places_of_their_scans(self, run, options):
        summary = run(options)
        assert sorted(tree(options.output)) == [f"{case}.seg.nrrd" for case in CASES]
        for path in options.input.rglob("scan*"):
            place = path.relative_to(options.input).parent / (path.name.split(".")[0] + ".seg.nrrd")
            mask, scan = read_labelmap(options.output / place), read_volume(path)
            assert np.array_equal(mask.array, scan.array > 100)
            assert mask.geometry.corner_distance(scan.geometry) < 1e-4
        assert [case.case for case in summary.of_status("done")] == CASES

    @pytest.mark.parametrize("form", ["nrrd", "nii", "nii.gz", "mha", "mhd"])
    def test_the_format_is_a_choice(self, run, options, form):
        run(replace(options, format=form))
        assert np.array_equal(read_labelmap(options.output / f"{CASES[0]}.{form}").array, numbered_scan(0).array > 100)

    def test_a_case_is_claimed_before_and_done_after_its_mask_is_in_place(self, run, options):
        seen = []

        def before(task) -> None:
            claimed = {event["case"] for event in events(options.output, "claim")}
            assert task.case in claimed
            done = {event["case"] for event in events(options.output, "done")}
            assert {case.removesuffix(".seg.nrrd") for case in tree(options.output)} == done
            seen.append(task.case)

        run(options, before)
        assert seen == CASES
        assert [event["event"] for event in events(options.output)][::11] == ["begin", "end"]

    def test_nothing_but_masks_ledger_summary_and_the_private_folder_is_left(self, run, options):
        run(options)
        left = {path.name for path in options.output.iterdir()}
        made = {"batch.jsonl", "summary.csv", "summary.json", "report.html", SHEETS_FOLDER, PRIVATE_FOLDER}
        assert left == {"site-0", "site-1", "site-2"} | made
        assert {path.name for path in (options.output / PRIVATE_FOLDER).iterdir()} == {"lock", "key"}

    def test_progress_counts_and_the_remaining_time_ends_at_nothing(self, run, options):
        told = []
        run(options, report=told.append)
        assert [(each.settled, each.total) for each in told] == [(number, 5) for number in range(1, 6)]
        assert told[-1].seconds_left == 0
        assert told[0].seconds_left > 0

    def test_scores_are_there_where_references_are(self, run, options, tmp_path):
        write_reference(numbered_scan(0), tmp_path / "truth" / "site-0" / "scan-00.nrrd")
        summary = run(replace(options, references=tmp_path / "truth"))
        assert [case.scores is not None for case in summary.cases] == [True, False, False, False, False]
        (structure,) = summary.structures()
        assert (structure.n, structure.scored, structure.means["dice"]) == (5, 1, 1.0)

    def test_a_reference_of_another_scan_fails_its_case_alone(self, run, options, tmp_path):
        scan = numbered_scan(1)
        wrong = replace(scan, geometry=replace(scan.geometry, origin=(0.0, 0.0, 0.0)))
        write_reference(wrong, tmp_path / "truth" / "site-1" / "scan-01.nrrd")
        summary = run(replace(options, references=tmp_path / "truth"))
        assert [(case.case, case.error["code"]) for case in summary.of_status("failed")] == [
            ("site-1/scan-01", "geometry_mismatch")
        ]


class TestAgain:
    def test_what_is_done_is_not_done_again(self, run, options):
        run(options)
        before = tree(options.output)
        summary = run(options)
        assert run.engine.done == []
        assert len(summary.of_status("done")) == 5
        assert tree(options.output) == before
        assert len(events(options.output, "done")) == 5

    @pytest.mark.parametrize("stop", CASES)
    def test_a_stopped_batch_goes_on_with_the_rest(self, run, options, stop):
        with pytest.raises(KeyboardInterrupt):
            run(options, interrupt_at(stop))
        done = CASES.index(stop)
        assert len(tree(options.output)) == done
        last = events(options.output)[-1]
        assert (last["event"], last["why"]) == ("stopped", "KeyboardInterrupt")
        counts = json.loads((options.output / "summary.json").read_text())["counts"]
        assert counts == {"cases": 5, "done": done, "failed": 0, "pending": 5 - done}
        run(options)
        assert run.engine.done == CASES[done:]
        assert sorted(event["case"] for event in events(options.output, "done")) == CASES

    def test_a_changed_scan_is_done_again_and_said(self, run, options):
        run(options)
        write_volume(numbered_scan(9), options.input / "site-0" / "scan-00.nrrd")
        told = []
        run(options, report=told.append)
        assert [(each.outcome.case, each.why) for each in told] == [("site-0/scan-00", "changed")]
        mask = read_labelmap(options.output / "site-0" / "scan-00.seg.nrrd")
        assert np.array_equal(mask.array, numbered_scan(9).array > 100)

    def test_a_scan_that_was_only_touched_is_not(self, run, options):
        run(options)
        for path in options.input.rglob("scan*"):
            os.utime(path, ns=(1, 1))
        run(options)
        assert run.engine.done == []

    def test_a_reference_that_came_later_counts_as_a_change(self, run, options, tmp_path):
        (tmp_path / "truth").mkdir()
        with_references = replace(options, references=tmp_path / "truth")
        run(with_references)
        write_reference(numbered_scan(0), tmp_path / "truth" / "site-0" / "scan-00.nrrd")
        run(with_references)
        assert run.engine.done == ["site-0/scan-00"]

    def test_a_mask_that_was_removed_or_cut_is_made_again(self, run, options):
        run(options)
        whole = tree(options.output)
        (options.output / "site-0" / "scan-00.seg.nrrd").unlink()
        (options.output / "site-2" / "scan-02.seg.nrrd").write_bytes(b"half")
        run(options)
        assert run.engine.done == ["site-0/scan-00", "site-2/scan-02"]
        assert tree(options.output) == whole

    def test_new_scans_are_added(self, run, options):
        run(options)
        write_volume(numbered_scan(7), options.input / "late.nrrd")
        run(options)
        assert run.engine.done == ["late"]

    def test_failed_ones_wait_until_they_are_asked_for(self, run, options):
        summary = run(options, fail_at(CASES[1], CASES[3]))
        assert [case.case for case in summary.of_status("failed")] == [CASES[1], CASES[3]]
        assert len(run(options).of_status("failed")) == 2
        assert run.engine.done == []
        summary = run(replace(options, retry_failed=True))
        assert run.engine.done == [CASES[1], CASES[3]]
        assert len(summary.of_status("done")) == 5

    def test_a_changed_scan_that_fails_leaves_no_mask_of_the_old_one(self, run, options):
        run(options)
        (options.input / "site-0" / "scan-00.nrrd").write_bytes(b"NRRD0005\n")
        summary = run(options)
        assert [case.case for case in summary.of_status("failed")] == ["site-0/scan-00"]
        assert "site-0/scan-00.seg.nrrd" not in tree(options.output)

    def test_what_a_killed_run_left_behind_is_swept(self, run, options):
        run(options)
        left = options.output / PRIVATE_FOLDER / "staging-dead" / "0"
        left.mkdir(parents=True)
        (left / "mask.seg.nrrd").write_bytes(b"half")
        run(options)
        assert not left.parent.exists()


class TestRefusals:
    def test_other_settings_do_not_mix_in_one_folder(self, run, options, tmp_path):
        run(options)
        other = write_tiny_package(tmp_path / "other.ganseg", version="2.0.0")
        for changed in (replace(options, force=True), replace(options, package=other), replace(options, format="nii")):
            with pytest.raises(GANSegmentationError) as caught:
                run(changed)
            assert caught.value.code == "batch_settings_differ"
        with pytest.raises(GANSegmentationError, match=r"model was tiny-liver 1\.0\.0"):
            run(replace(options, package=other))

    def test_a_second_batch_in_the_folder_is_refused_and_disturbs_nothing(self, run, options):
        run(options)
        before = (options.output / "batch.jsonl").read_bytes()
        with locked(options.output / PRIVATE_FOLDER / "lock"), pytest.raises(GANSegmentationError) as caught:
            run(options)
        assert caught.value.code == "batch_running"
        assert (options.output / "batch.jsonl").read_bytes() == before

    def test_a_file_of_somebody_else_is_not_written_over(self, run, options):
        taken = options.output / "site-0" / "scan-00.seg.nrrd"
        taken.parent.mkdir(parents=True)
        taken.write_bytes(b"by hand")
        for again in (False, True):
            summary = run(replace(options, retry_failed=again))
            assert [case.error["code"] for case in summary.of_status("failed")] == ["file_exists"]
            assert taken.read_bytes() == b"by hand"
        taken.unlink()
        assert not run(replace(options, retry_failed=True)).of_status("failed")

    def test_a_name_in_the_way_fails_its_case_alone(self, run, options):
        options.output.mkdir()
        (options.output / "site-0").write_text("a file where a folder has to be")
        summary = run(options)
        assert [case.case for case in summary.of_status("failed")] == CASES[:2]
        assert len(summary.of_status("done")) == 3

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"format": "jpeg"}, "wrong_use"),
            ({"time_limit": 0.0}, "wrong_use"),
            ({"workers": 2}, "wrong_use"),
            ({"workers": 0, "engine": "ray"}, "wrong_use"),
            ({"address": "auto"}, "wrong_use"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_anything_is_written(self, run, options, changes, code):
        with pytest.raises(GANSegmentationError) as caught:
            run(replace(options, **changes))
        assert caught.value.code == code
        assert not options.output.exists()

    def test_the_input_is_no_output_and_references_are_a_folder(self, options, tmp_path):
        for changed in (replace(options, output=options.input), replace(options, references=tmp_path / "none")):
            with pytest.raises(GANSegmentationError) as caught:
                changed.check()
            assert caught.value.code == "wrong_use"


class TestPlan:
    def test_it_tells_what_would_be_done_and_writes_nothing(self, run, options):
        assert [each.why for each in plan_batch(options).cases] == ["new"] * 5
        assert not options.output.exists()
        run(options, fail_at(CASES[0]))
        (options.output / f"{CASES[1]}.seg.nrrd").unlink()
        before = sorted(options.output.rglob("*"))
        assert [each.why for each in plan_batch(options).cases] == ["", "output_missing", "", "", ""]
        assert plan_batch(replace(options, retry_failed=True)).cases[0].why == "retry"
        assert sorted(options.output.rglob("*")) == before


IDENTITY = {"PatientName": "Mustermann^Erika", "PatientID": "KH-471199", "PatientBirthDate": "19640812"}
PLANTED = (b"mustermann", b"erika", b"471199", b"19640812", b"1964-08-12")


class TestPrivacy:
    @pytest.fixture
    def patients(self, tmp_path):
        """A patient in the names of folders and files and in a description, sound and damaged."""
        root = tmp_path / "patients"
        sound = root / "Mustermann Erika 1964-08-12" / "CT_KH-471199"
        write_patient(sound, SeriesDescription="Abdomen Erika Mustermann", **IDENTITY)
        write_volume(numbered_scan(1), root / "Mustermann Erika 1964-08-12" / "KH471199.nii.gz")
        damaged = write_patient(root / "kh-471199-b", **IDENTITY)
        for file in sorted(damaged.iterdir())[:2]:
            file.rename(file.with_name(f"erika_{file.name}"))
        first = sorted(damaged.iterdir())[0]
        first.write_bytes(first.read_bytes()[:-100])
        mr = write_patient(root / "mr", SeriesDescription="Mustermann", **IDENTITY)
        for file in mr.iterdir():
            file.write_bytes(file.read_bytes().replace(b"CS\x02\x00CT", b"CS\x02\x00MR"))
        return root

    def written(self, output):
        for path in output.rglob("*"):
            yield path.relative_to(output).as_posix().encode()
            if path.is_file():
                yield path.read_bytes()

    @pytest.mark.parametrize("names", ["checked", "pseudonyms"])
    def test_nothing_that_is_written_says_who_it_is_of(self, run, options, patients, names):
        told = []
        summary = run(replace(options, input=patients, names=names), report=told.append)
        assert len(summary.of_status("done")) == 2
        codes = {case.error["code"] for case in summary.of_status("failed")}
        assert codes == {"damaged_file", "modality_mismatch"}
        for text in (*self.written(options.output), repr(told).encode()):
            assert not [planted for planted in PLANTED if planted in text.lower()], text[:3000]

    def test_who_asks_for_the_names_has_them(self, run, options, patients):
        run(replace(options, input=patients, names="original"))
        text = b"".join(self.written(options.output)).lower()
        assert b"mustermann erika 1964-08-12/ct_kh-471199.seg.nrrd" in text

    def test_the_names_are_the_same_when_the_batch_goes_on(self, run, options, patients):
        given = replace(options, input=patients)
        with pytest.raises(KeyboardInterrupt):
            run(given, lambda task: (_ for _ in ()).throw(KeyboardInterrupt))
        run(given)
        assert len(run(given).of_status("done")) == 2
        assert run.engine.done == []


def test_the_tables_hold_every_case(run, options, tmp_path):
    shutil.rmtree(options.input / "site-2")
    (options.input / "bad.nrrd").write_bytes(b"NRRD0005\n")
    write_reference(numbered_scan(0), tmp_path / "truth" / "site-0" / "scan-00.nrrd")
    run(replace(options, references=tmp_path / "truth"))
    with (options.output / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["bad", *CASES[:4]]
    assert (rows[0]["status"], rows[0]["error"], rows[0]["volume_ml"]) == ("failed", "damaged_file", "")
    assert (rows[1]["structure"], rows[1]["dice"], rows[1]["flags"]) == ("Liver", "1.0", "tiny border")
    assert rows[2]["dice"] == ""
    whole = json.loads((options.output / "summary.json").read_text())
    assert whole["counts"] == {"cases": 5, "done": 4, "failed": 1, "pending": 0}
    assert whole["flags"] == {"tiny": CASES[:4], "border": CASES[:4]}
    assert whole["cases"][1]["scores"][0]["chaos"]["score"] == 100.0


# Models


@pytest.fixture
def mr_models(tmp_path, monkeypatch):
    """A folder with a model for MR, which is not the user's own."""
    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path / "own"))
    folder = tmp_path / "of the department"
    folder.mkdir()
    write_tiny_package(folder / "mr.ganseg", id="tiny-mr", title="Tiny MR", modalities=("MR",), default_for=("MR",))
    return folder


def test_a_model_is_chosen_from_the_folder_that_is_named(tmp_path, mr_models):
    write_patient(tmp_path / "in" / "mr", Modality="MR")
    options = BatchOptions(tmp_path / "in", tmp_path / "out", models=mr_models, device="cpu")
    (case,) = run_batch(options).cases
    assert (case.status, case.model) == ("done", "tiny-mr 1.0.0")


def test_a_file_that_says_its_modality_has_its_model(tmp_path, mr_models):
    (tmp_path / "in").mkdir()
    write_volume(tiny_scan("MR"), tmp_path / "in" / "a.nrrd")
    (case,) = run_batch(BatchOptions(tmp_path / "in", tmp_path / "out", models=mr_models, device="cpu")).cases
    assert (case.status, case.model) == ("done", "tiny-mr 1.0.0")


def test_a_batch_of_which_no_case_can_have_a_model_is_refused_before_the_first(tmp_path, mr_models, run):
    write_patient(tmp_path / "in" / "mr", Modality="MR")
    write_patient(tmp_path / "in" / "pet", Modality="PT")
    options = BatchOptions(tmp_path / "in", tmp_path / "out", device="cpu")
    with pytest.raises(GANSegmentationError, match="There is no model for") as caught:
        run(options)
    assert caught.value.code == "no_model"
    assert len(plan_batch(options).cases) == 2
    run.settings = WorkSettings(models=str(mr_models), device="cpu")  # now one can, and the other fails alone
    summary = run(replace(options, models=mr_models))
    assert {case.case.partition("/")[0]: case.status for case in summary.cases} == {"mr": "done", "pet": "failed"}
    again = run(options)  # nothing is to do, so no model is wanted
    assert {case.status for case in again.cases} == {"done", "failed"}


# Names


def test_a_name_that_is_too_long_for_its_mask_fails_alone(options, run):
    long = "n" * 247  # with .nii it is a name, with .seg.nrrd none
    write_volume(tiny_scan(), options.input / f"{long}.nii")
    summary = run(options)
    assert {case.case: case.status for case in summary.cases if case.status != "done"} == {long: "failed"}
    (failed,) = summary.of_status("failed")
    assert "too long" in failed.error["message"] and "--names pseudonyms" in str(failed.error)
    assert len(summary.of_status("done")) == len(CASES)


def test_masks_of_another_batch_within_the_input_are_no_scans_but_what_lies_beside_them_is(options, run):
    run(replace(options, output=options.input / "earlier", format="nii.gz"))
    assert sorted(each.case.name for each in plan_batch(options).cases) == CASES
    write_volume(tiny_scan(), options.input / "earlier" / "site-0" / "new.nii.gz")
    assert sorted(each.case.name for each in plan_batch(options).cases) == ["earlier/site-0/new", *CASES]


def test_settings_that_differ_are_told_in_full(options, run, tmp_path):
    run(options)
    other = write_tiny_package(tmp_path / "other.ganseg", id="a-model-with-a-long-name")
    with pytest.raises(GANSegmentationError) as caught:
        run(replace(options, package=other))
    assert "a-model-with-a-long-name 1.0.0" in str(caught.value)
