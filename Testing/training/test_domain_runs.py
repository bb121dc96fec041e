"""Runs of the objective domain, from two modalities to a package that segments both and translates between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Predictor, Translator
from GANSegmentationLib.models import PostProcessing, open_package
from GANSegmentationLib.objectives import build
from GANSegmentationLib.slicing import ByModality
from GANSegmentationLib.training import Preset, RunOptions, Trainer, export_package, load_preset
from GANSegmentationLib.training.data import validation_slices
from GANSegmentationLib.training.evaluation.references import case_volume
from GANSegmentationLib.training.starting.preflight import check_run
from GANSegmentationLib.training.watching.run_log import sample_keys
from GANSegmentationLib.training.watching.score import patient_scores
from GANSegmentationLib.training.watching.validation_translation import (
    case_translations,
    translation_picture,
)
from Testing.training.miniatures import miniature, small
from Testing.translator import domain_preset, write_two_domains


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_two_domains(tmp_path_factory.mktemp("ct_and_mr"))


@pytest.mark.parametrize("setting", ["uagan", "uasegan", "stargan"])
def test_a_run_becomes_a_package_that_knows_its_domains(data, tmp_path, setting):
    preset = Preset.from_dict(domain_preset(setting))
    trainer = Trainer(preset, data, tmp_path / "run", RunOptions("cpu"))
    assert trainer.run().finished
    shares = [row["generator/adversarial_share"] for row in trainer.log.rows if "generator/adversarial_share" in row]
    assert all(0 < share < 1 for share in shares) and (shares or setting == "stargan"), "its adversary is heard"
    path = export_package(tmp_path / "run", preset, data, tmp_path / "model.ganseg", device="cpu", date="2026-01-02")
    package = open_package(path)
    package.verify()
    card = package.card
    assert card.domains == ("CT", "MR") and card.modalities == ("CT", "MR")
    assert isinstance(card.slicing.normalisation, ByModality)
    assert card.training.objective == "domain" and card.metrics
    assert card.task == ("synthesis" if setting == "stargan" else "segmentation")
    scan = case_volume(data, data.by_id["mr_5"])
    assert Translator(package, "cpu").translate(scan, "CT").source == "MR"
    if setting == "stargan":
        assert {fact.name for fact in card.metrics} == {"translation score", "structure", "likeness"}
        with pytest.raises(GANSegmentationError) as caught:
            Predictor(package, "cpu")
        assert caught.value.code == "wrong_task"
    else:
        Predictor(package, "cpu").segment([scan])


def test_the_card_of_a_translator_is_complete_and_claims_no_masks(tmp_path):
    preset = replace(small(load_preset("stargan_ct_mr")), steps_per_epoch=5)  # the generator learns in every fifth
    data = miniature(preset, tmp_path / "data")
    data = replace(data, cases=tuple(replace(case, licence="CC0-1.0") for case in data.cases))
    result = Trainer(preset, data, tmp_path / "run", RunOptions("cpu")).run()
    assert result.finished and result.score == "translation score"
    path = export_package(tmp_path / "run", preset, data, tmp_path / "model.ganseg", device="cpu", date="2026-01-02")
    package = open_package(path)
    package.verify()
    card = package.card
    assert (card.id, card.task, card.domains) == ("ct-mr-stargan", "synthesis", ("CT", "MR"))
    assert (card.network.name, card.training.objective) == ("stargan_generator", "domain")
    assert card.default_for == () and card.discriminator is None and card.review is None
    assert card.postprocessing == PostProcessing() and card.mask_channels == ()
    assert {each.name for each in card.training.data} == {"lits_slices", "msd_slices", "chaos_mr"}
    assert (card.training.preset, card.training.seed, card.training.epochs) == (preset.name, preset.seed, 1)
    facts = {(fact.dataset, fact.name): fact for fact in card.metrics}
    assert {name for _, name in facts} == {"translation score", "structure", "likeness"}
    for source, patients in (("lits_slices", 6), ("msd_slices", 12), ("chaos_mr", 3)):
        score = facts[source, "translation score"]
        assert score.n == patients and score.ci95 is not None and score.split == "validation"
        assert score.comment.startswith("the mean of structure and likeness")
    words = " ".join([card.intended_use, card.limitations, *(fact.name + fact.comment for fact in card.metrics)])
    assert not any(word in words for word in ("Dice", "segment", "mask")), words
    assert package.preview() is not None
    with pytest.raises(GANSegmentationError, match="translates scans") as caught:
        Predictor(package, "cpu")
    assert "ganseg translate" in caught.value.action


def test_the_supervised_twin_learns_the_same_generator_without_translation(data, tmp_path):
    plain = domain_preset("uagan")
    generator = plain["objective"]["config"]["generator"]
    plain |= {"objective": {"name": "supervised", "config": {"generator": generator}}, "optimisers": {"generator": {}}}
    preset = Preset.from_dict(plain)
    assert Trainer(preset, data, tmp_path / "run", RunOptions("cpu")).run().finished
    path = export_package(tmp_path / "run", preset, data, tmp_path / "twin.ganseg", device="cpu", date="2026-01-02")
    package = open_package(path)
    assert Predictor(package, "cpu").segment([case_volume(data, data.by_id["ct_4"])]).labelmap.array.shape == (
        4,
        32,
        32,
    )
    with pytest.raises(GANSegmentationError) as caught:
        Translator(package, "cpu")
    assert caught.value.code == "cannot_translate"


@pytest.mark.parametrize("domains", [[], ["CT"], ["CT", "MR", "PT"]])
@pytest.mark.parametrize("setting", ["uagan", "supervised"])
def test_domains_that_are_not_the_generator_s_are_refused_before_the_first_step(data, setting, domains):
    plain = domain_preset("uagan")
    plain["data"]["domains"] = domains
    if setting == "supervised":
        config = {"generator": plain["objective"]["config"]["generator"]}
        plain |= {"objective": {"name": "supervised", "config": config}, "optimisers": {"generator": {}}}
    with pytest.raises(GANSegmentationError, match=r"data\.domains") as caught:
        check_run(Preset.from_dict(plain), data)
    assert caught.value.code == "invalid_preset"


def test_a_domain_that_is_only_named_is_refused(data):
    plain = domain_preset("uagan")
    plain["data"]["groups"] = [{"source": "ct"}]
    with pytest.raises(GANSegmentationError, match="domain MR") as caught:
        check_run(Preset.from_dict(plain), data)
    assert caught.value.code == "empty_domain"


def test_a_case_of_a_modality_without_a_normalisation_is_refused(data):
    plain = domain_preset("uagan")
    del plain["slicing"]["normalisation"]["schemes"]["MR"]
    with pytest.raises(GANSegmentationError) as caught:
        check_run(Preset.from_dict(plain), data)
    assert caught.value.code == "modality_unknown"


# ------------------------------------------------------------------------------------------------ how it is judged


@pytest.fixture
def judged(data):
    """The objective and the validation slices of a StarGAN."""
    preset = Preset.from_dict(domain_preset("stargan"))
    run = check_run(preset, data)
    return run.objective, validation_slices(preset, run.dataset, run.split)


class Fixed(torch.nn.Module):
    """A translator whose painting is a function of the slice and of the target's number."""

    def __init__(self, paint) -> None:
        super().__init__()
        self.paint = paint

    def forward(self, image, target):
        return torch.cat(
            [self.paint(one[None], int(which)) for one, which in zip(image, target.argmax(1), strict=True)]
        )


def judgement(judged, paint):
    """Structure and likeness of every case, CT first."""
    objective, slices = judged
    found = case_translations(Fixed(paint), objective, slices, torch.device("cpu"))
    assert [each.patient for each in found] == ["ct_4", "mr_5"]
    return found


def test_a_slice_left_as_it_is_keeps_all_and_is_no_more_like_the_target(judged):
    for each in judgement(judged, lambda image, _: image):
        assert (each.structure, each.likeness) == pytest.approx((1, 0))
        assert each.score == pytest.approx(0.5)


def test_a_slice_of_the_target_is_like_it_and_keeps_nothing(judged):
    _, slices = judged
    examples = [slices.inputs(case, 2, 3) for case in slices.dataset.cases]  # CT, then MR
    for each in judgement(judged, lambda _, target: examples[target]):
        assert each.likeness > 0.8
        assert each.structure < 0.9


class Oracle(torch.nn.Module):
    """Knows what the phantoms are made of: the organ's values differ by 100, and each domain has its own scale."""

    def __init__(self, slices) -> None:
        super().__init__()
        self.cases, self.calls = slices.dataset.cases, 0
        self.maps = [slices.stack(case).intensities[0] for case in self.cases]
        self.masks = [torch.from_numpy(np.array(slices.dataset.masks(case)))[:, None] for case in self.cases]

    def forward(self, image, target):
        mask = self.masks[self.calls // 2]  # there and back, case by case
        self.calls += 1
        to = int(target[0].argmax())
        before, after = self.maps[1 - to], self.maps[to]
        values = image / before.scale + before.centre + (100.0 if to == 0 else -100.0) * mask
        return ((values - after.centre) * after.scale).clamp(-1, 1)


def test_the_right_translation_scores_best(judged):
    objective, slices = judged
    right = case_translations(Oracle(slices), objective, slices, torch.device("cpu"))
    nothing = judgement(judged, lambda image, _: image)
    grey = judgement(judged, lambda image, _: torch.zeros_like(image))
    for one, two, three in zip(right, nothing, grey, strict=True):
        assert one.score > max(two.score, three.score) + 0.2
        assert one.score > 0.75


def test_patients_count_once_and_sources_can_be_chosen(judged):
    found = judgement(judged, lambda image, _: image)
    assert patient_scores(found) == pytest.approx({"ct_4": 0.5, "mr_5": 0.5})
    assert list(patient_scores(found, "mr")) == ["mr_5"]


def test_without_a_patient_of_the_target_only_structure_counts(judged):
    objective, slices = judged
    slices.dataset = slices.dataset.subset(["ct_4"])
    (alone,) = case_translations(Fixed(lambda image, _: image), objective, slices, torch.device("cpu"))
    assert np.isnan(alone.likeness) and alone.score == pytest.approx(1.0)


def test_the_picture_shows_every_domain_and_the_way_back(judged, data):
    from io import BytesIO

    from PIL import Image

    objective, slices = judged
    generator = build("domain", domain_preset("stargan")["objective"]["config"]).build_networks()["generator"]
    picture = translation_picture(generator, objective, slices, sample_keys(slices), torch.device("cpu"))
    width, height = Image.open(BytesIO(picture)).size
    assert width > 4 * 32 and height > 2 * 32
    assert generator.training
