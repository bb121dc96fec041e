"""Prepared cases in another domain, with the very masks of their scans."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, check_dataset, patient_split
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Translator
from GANSegmentationLib.models import open_package
from GANSegmentationLib.training import Preset, RunOptions, Trainer
from GANSegmentationLib.training.starting.mixing import with_synthetic
from GANSegmentationLib.training.synthesis.translated import PROVENANCE, translate_dataset
from Testing.translator import write_translator, write_two_domains


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    path = write_translator(tmp_path_factory.mktemp("translator") / "translator.ganseg")
    return Translator(open_package(path), "cpu")


@pytest.fixture(scope="module")
def translated(dataset, translator, tmp_path_factory):
    return translate_dataset(translator, dataset, "mr", tmp_path_factory.mktemp("translated"))


def test_every_case_keeps_its_masks_patient_and_place(dataset, translated):
    opened = Dataset.open(translated.folder)
    assert {case.id: case for case in opened.cases} == {case.id: case for case in translated.cases}
    assert len(opened.cases) == len(dataset.cases) and opened.labels == dataset.labels
    for case in opened.cases:
        before = dataset.by_id[case.id.removeprefix("synthetic_mr_")]
        np.testing.assert_array_equal(opened.masks(case), dataset.masks(before))
        assert (case.patient, case.derived_from) == (before.patient, (before.patient,))
        assert (case.modality, case.unit, case.source) == ("MR", "arbitrary", "synthetic")
        for name in ("slices", "shape", "slice_index", "foreground", "spacing_zyx", "is_volume", "labelled"):
            assert getattr(case, name) == getattr(before, name), name
        assert case.licence == f"translated by tiny-translator from a scan under {before.licence}"


def test_cases_of_the_target_are_left_out_and_masks_stay_slice_by_slice(translator, tmp_path):
    both = write_two_domains(tmp_path / "data")
    written = translate_dataset(translator, both, "CT", tmp_path / "as_ct")
    assert [case.id for case in written.cases] == [f"synthetic_ct_mr_{number}" for number in (1, 3, 5)]
    for case in written.cases:
        masks = np.asarray(written.masks(case))
        assert not masks[0].any() and masks[3].any(), "these phantoms have no organ in their first slice"
        np.testing.assert_array_equal(masks, both.masks(both.by_id[case.id.removeprefix("synthetic_ct_")]))


def test_grey_values_are_those_of_the_translation(dataset, translator, translated):
    from GANSegmentationLib.training.evaluation.references import case_volume

    case = translated.cases[0]
    before = dataset.by_id[case.id.removeprefix("synthetic_mr_")]
    expected = translator.translate(case_volume(dataset, before), "MR").volume.array
    images = np.asarray(translated.images(case))
    assert images.dtype == np.uint16 and images.std() > 0
    np.testing.assert_allclose(images * case.slope + case.intercept, expected, atol=case.slope)
    assert case.value_range == (0.0, 1000.0)


def test_the_dataset_is_sound_and_says_where_it_comes_from(dataset, translated):
    assert [each for each in check_dataset(Dataset.open(translated.folder)) if each.level == "error"] == []
    facts = json.loads((translated.folder / PROVENANCE).read_text())
    assert facts["target"] == "MR" and facts["model"]["id"] == "tiny-translator"
    assert facts["weights_sha256"]["model.safetensors"]
    assert {entry["from"] for entry in facts["cases"]} == set(dataset.by_id)
    assert {entry["domain"] for entry in facts["cases"]} == {"CT"}


def test_values_in_hounsfield_units_keep_the_target_s_window(dataset, translator, translated, tmp_path):
    """There and back again: the MR-like cases as CT."""
    back = translate_dataset(translator, translated, "CT", tmp_path, patients=["lits_v01"])
    assert [case.id for case in back.cases] == ["synthetic_ct_synthetic_mr_lits_v01"]
    (case,) = back.cases
    assert (case.modality, case.unit, case.value_range) == ("CT", "HU", (0.0, 160.0))
    assert case.derived_from == ("lits_v01",)


def test_a_split_keeps_translations_on_their_patient_s_side(dataset, translated):
    both = replace(
        dataset,
        cases=(*dataset.cases, *translated.cases),
        elsewhere={case.id: translated.folder for case in translated.cases},
    )
    split = patient_split(both, validation=["lits_v02"])
    of_patient = {case.id for case in dataset.cases if case.patient == "lits_v02"}
    assert set(split.validation) == of_patient | {f"synthetic_mr_{name}" for name in of_patient}


def test_translations_are_mixed_in_but_nobody_is_judged_on_them(supervised_json, dataset, translated, tmp_path):
    slicing = {**supervised_json["slicing"], "normalisation": {"kind": "zscore", "clip": 4.0}}
    preset = Preset.from_dict(supervised_json | {"epochs": 1, "slicing": slicing})
    mixed = with_synthetic(preset, dataset, translated, 0.5, force=True)
    trainer = Trainer(mixed.preset, mixed.dataset, tmp_path, RunOptions("cpu"))
    judged = set(preset.data.validation_patients)
    used = [case for case in trainer.dataset.cases if case.derived_from]
    assert used and not judged & {case.patient for case in used}
    assert set(trainer.split.validation) <= set(dataset.by_id)
    assert trainer.run().finished


def test_what_cannot_be_translated_is_refused_before_anything_is_written(dataset, translator, translated, tmp_path):
    output = tmp_path / "out"
    for data, target, patients, code in (
        (dataset, "CT", (), "nothing_to_translate"),
        (translated, "MR", (), "nothing_to_translate"),
        (dataset, "PET", (), "unknown_domain"),
        (dataset, "MR", ("nobody",), "unknown_patient"),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            translate_dataset(translator, data, target, output, patients=patients)
        assert caught.value.code == code
    assert not output.exists()
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    with pytest.raises(GANSegmentationError) as caught:
        translate_dataset(translator, dataset, "MR", output)
    assert caught.value.code == "folder_in_use"


def test_cases_are_reported_one_by_one(dataset, translator, tmp_path):
    said = []
    chosen = dataset.of_patients(["lits_v02", "lits_v01"])
    translate_dataset(translator, chosen, "MR", tmp_path, report=lambda *each: said.append(each))
    assert said == [(done, len(chosen.cases), case.id) for done, case in enumerate(chosen.cases)]
